/// Spoils bytes at random, but the same way for the same number.
public struct Mutator: Sendable {
  /// Valid inputs that mutants are made of.
  public let originals: [[UInt8]]
  /// Text that mutants may get in the place of other text.
  private let words: [[UInt8]]

  /// Creates a mutator.
  ///
  /// - Parameters:
  ///   - originals: At least one valid input.
  ///   - words: Pieces of text that mean something in this format.
  public init(_ originals: [[UInt8]], words: [String] = []) {
    precondition(!originals.isEmpty)
    self.originals = originals
    self.words = words.map { Array($0.utf8) }
  }

  /// The words of JSON documents.
  public static let jsonWords = [
    "null", "true", "-1", "0", "1e400", "1e-400", "NaN", "9223372036854775808", "18446744073709551616", "0.5",
    "[]", "{}",
    "\"\"", "\"\\ud800\"", "\\", "\"", ",", ":", "[[[[[[[[", "{\"a\":", "\u{0}", "\u{FEFF}", "1e", "-", "../",
  ]

  /// Numbers near which counts and sizes go wrong.
  private static let numbers: [UInt64] = [
    0, 1, 2, 7, 127, 128, 255, 256, 65_535, 1 << 31, (1 << 31) - 1, 1 << 32, (1 << 32) - 1, 1 << 33, 1 << 40,
    1 << 62,
    (1 << 63) - 1, 1 << 63, .max - 7, .max,
  ]

  /// The mutant of a number: flips, truncations, splices, swapped and replaced lengths, up to three of them.
  public func mutant(_ number: Int) -> [UInt8] {
    var generator = SplitMix64(seed: UInt64(number))
    var bytes = originals[Int.random(in: 0..<originals.count, using: &generator)]
    for _ in 0..<Int.random(in: 1...3, using: &generator) { mutate(&bytes, &generator) }
    return bytes
  }

  /// A place in `count` bytes: most that can be wrong lies at the start of a file.
  private func place(_ count: Int, _ generator: inout SplitMix64) -> Int {
    let near = [64, 1024, 8192, 8192, count, count].randomElement(using: &generator)!
    return Int.random(in: 0..<max(1, min(count, near)), using: &generator)
  }

  private func range(_ count: Int, _ generator: inout SplitMix64) -> Range<Int> {
    let start = place(count, &generator)
    let length = [1, 4, 8, 30, 300, count].randomElement(using: &generator)!
    return start..<min(count, start + Int.random(in: 1...max(1, length), using: &generator))
  }

  private func mutate(_ bytes: inout [UInt8], _ generator: inout SplitMix64) {
    guard bytes.count > 8 else {
      bytes.append(UInt8.random(in: 0...255, using: &generator))
      return
    }
    let at = place(bytes.count, &generator)
    switch Int.random(in: 0..<10, using: &generator) {
    case 0: bytes[at] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
    case 1: bytes[at] = UInt8.random(in: 0...255, using: &generator)
    case 2: bytes.removeSubrange(at...)
    case 3: bytes.removeSubrange(range(bytes.count, &generator))
    case 4: bytes.insert(contentsOf: bytes[range(bytes.count, &generator)], at: at)
    case 5:
      // A piece of another original.
      let other = originals.randomElement(using: &generator)!
      guard !other.isEmpty else { return }
      bytes.replaceSubrange(
        range(bytes.count, &generator), with: other[range(other.count, &generator)])
    case 6:
      // Two numbers of 8 bytes change places.
      let first = min(at, bytes.count - 8)
      let second = min(place(bytes.count, &generator), bytes.count - 8)
      for offset in 0..<8 { bytes.swapAt(first + offset, second + offset) }
    case 7, 8:
      let width = [1, 4, 8].randomElement(using: &generator)!
      let number = Self.numbers.randomElement(using: &generator)!
      let start = min(at, bytes.count - width)
      bytes.replaceSubrange(start..<start + width, with: RawGGUF.number(number).prefix(width))
    default:
      guard let word = words.randomElement(using: &generator) else { return }
      bytes.replaceSubrange(range(bytes.count, &generator), with: word)
    }
  }
}
