/// The rules of a SentencePiece normalizer in compiled form (`precompiled_charsmap`): a trie of what is
/// replaced, and what it is replaced by.
///
/// The trie is a double array as the library Darts-clone writes it: 32-bit units with an 8-bit label, and
/// an offset that is combined with the next byte by exclusive or. It comes from a file and is trusted
/// in nothing: every index is checked, and a walk ends after `longestKey` bytes, cycle or not.
struct CharacterMap: Sendable {
  /// Why bytes are no map.
  enum Failure: Error {
    /// The trie is longer than the bytes, or not made of whole units.
    case size
    /// The replacements aren't UTF-8.
    case encoding
  }

  private let units: [UInt32]
  /// Texts, each up to a NUL.
  private let replacements: [UInt8]
  /// For each ASCII character whether it stays as it is if another one follows.
  private var staysBeforeASCII: [Bool] = []

  /// No rule of the maps in use replaces more than 18 bytes at once.
  private static let longestKey = 256

  /// Reads the form that model files hold: the size of the trie in bytes, in 32 bits, the trie, and the
  /// replacements; all in little-endian order.
  init(_ bytes: UTF8Text) throws(Failure) {
    guard bytes.count > 4 else { throw .size }
    func word(_ offset: Int) -> UInt32 {
      UInt32(bytes[offset]) | UInt32(bytes[offset + 1]) << 8 | UInt32(bytes[offset + 2]) << 16
        | UInt32(bytes[offset + 3]) << 24
    }
    let size = Int(word(0))
    guard size % 4 == 0, size > 0, size < bytes.count - 4 else { throw .size }
    units = (0..<size / 4).map { word(4 + 4 * $0) }
    replacements = Array(bytes[(4 + size)...])
    guard String(validating: replacements, as: UTF8.self) != nil else { throw .encoding }
    staysBeforeASCII = (0..<UInt8(128)).map { character in
      [character].withUnsafeBufferPointer { replacement(of: $0, at: 0) == nil }
        && !(0..<UInt8(128)).contains { next in hasKeys(with: character, next) }
    }
  }

  /// True for an ASCII character that stays as it is before another one: no walk is needed.
  @inline(__always)
  func stays(_ character: UInt8) -> Bool { staysBeforeASCII[Int(character)] }

  /// Calls `body` with the end of each key that `text` continues with at `start`, from short to long, and
  /// the offset of its replacement, until it returns false.
  @inline(__always)
  private func forEachMatch(in text: UTF8Text, at start: Int, _ body: (Int, Int) -> Bool) {
    var position = start
    let end = min(text.count, start + Self.longestKey)
    var index = Self.offset(units[0])
    while position < end {
      let byte = text[position]
      if byte == 0 { return }
      index ^= UInt32(byte)
      guard index < units.count else { return }
      let unit = units[Int(index)]
      // A label has its high bit only in units that hold values.
      guard unit & 0x8000_00FF == UInt32(byte) else { return }
      position += 1
      index ^= Self.offset(unit)
      guard index < units.count else { return }
      if unit & 0x100 != 0, !body(position, Int(units[Int(index)] & 0x7FFF_FFFF)) { return }
    }
  }

  /// True if keys begin with these two bytes.
  private func hasKeys(with first: UInt8, _ second: UInt8) -> Bool {
    var index = Self.offset(units[0])
    for byte in [first, second] {
      index ^= UInt32(byte)
      guard byte != 0, index < units.count, case let unit = units[Int(index)],
        unit & 0x8000_00FF == UInt32(byte)
      else { return false }
      index ^= Self.offset(unit)
    }
    return true
  }

  @inline(__always)
  private static func offset(_ unit: UInt32) -> UInt32 { (unit >> 10) << ((unit & 0x200) >> 6) }

  /// True if a key may end at `end`, and a replacement begin at `offset`: both where a code point does.
  @inline(__always)
  private func isUsable(_ text: UTF8Text, _ end: Int, _ offset: Int) -> Bool {
    offset < replacements.count && replacements[offset] & 0xC0 != 0x80
      && (end == text.count || text[end] & 0xC0 != 0x80)
  }

  /// The replacement of the longest key that `text` continues with at `start`, as SentencePiece does.
  func replacement(of text: UTF8Text, at start: Int) -> (end: Int, bytes: ArraySlice<UInt8>)? {
    var found: (end: Int, offset: Int)?
    forEachMatch(in: text, at: start) { end, offset in
      if isUsable(text, end, offset) { found = (end, offset) }
      return true
    }
    return found.map { ($0.end, bytes(at: $0.offset)) }
  }

  /// The replacement of the shortest key that `text` begins with, as the tokenizers library does.
  func shortestReplacement(of text: UTF8Text) -> ArraySlice<UInt8>? {
    var found: Int?
    forEachMatch(in: text, at: 0) { end, offset in
      if isUsable(text, end, offset) { found = offset }
      return false
    }
    return found.map(bytes)
  }

  private func bytes(at offset: Int) -> ArraySlice<UInt8> {
    var end = offset
    while end < replacements.count, replacements[end] != 0 { end += 1 }
    return replacements[offset..<end]
  }
}
