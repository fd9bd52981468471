/// A format whose values are integer codes times scales: what products with quantised activations compute with.
public protocol IntegerBlockFormat: BlockFormat {
  /// Bytes of the scales of a block as `split` writes them.
  static var scaleBytesPerBlock: Int { get }

  /// Takes a block apart, without any arithmetic on its numbers.
  ///
  /// - Parameters:
  ///   - block: `bytesPerBlock` bytes, at any alignment.
  ///   - codes: Room for `valuesPerBlock` codes, which come in the order of the values; codes with a sign come
  ///     with a bias added, those of a code book as they are.
  ///   - scales: Room for `scaleBytesPerBlock`: the format's half-precision numbers, scale before minimum, then its
  ///     integers of a byte, all scales before all minimums.
  static func split(
    _ block: UnsafeRawPointer, codes: UnsafeMutablePointer<UInt8>, scales: UnsafeMutableRawPointer)
}

extension IntegerBlockFormat {
  /// Takes consecutive blocks apart.
  ///
  /// - Parameters:
  ///   - blocks: `count * bytesPerBlock` bytes, at any alignment.
  ///   - count: The number of blocks.
  ///   - codes: Room for `count * valuesPerBlock` codes.
  ///   - scales: Room for `count * scaleBytesPerBlock`.
  public static func split(
    _ blocks: UnsafeRawPointer, count: Int, codes: UnsafeMutablePointer<UInt8>,
    scales: UnsafeMutableRawPointer
  ) {
    for block in 0..<count {
      split(
        blocks + block &* bytesPerBlock, codes: codes + block &* valuesPerBlock,
        scales: scales + block &* scaleBytesPerBlock)
    }
  }
}

/// Sixteen bytes of two 4-bit codes each: the low nibbles are the first sixteen codes, the high ones the others.
@inline(__always)
func splitNibbles(_ pairs: UnsafeRawPointer, _ codes: UnsafeMutablePointer<UInt8>) {
  for index in 0..<16 {
    let pair = pairs.byte(index)
    codes[index] = pair & 15
    codes[index &+ 16] = pair >> 4
  }
}

/// Adds the fifth bits of 32 codes.
@inline(__always)
func addFifthBits(_ high: UInt32, _ codes: UnsafeMutablePointer<UInt8>) {
  for index in 0..<32 {
    codes[index] |= UInt8(truncatingIfNeeded: high &>> UInt32(truncatingIfNeeded: index) & 1) &<< 4
  }
}

extension UnsafeMutableRawPointer {
  /// Copies `count` bytes.
  @inline(__always)
  func copyBytes(_ count: Int, from source: UnsafeRawPointer) {
    copyMemory(from: source, byteCount: count)
  }
}
