import SalanganeFiles

/// 256 values of 4-bit non-linear codes in 8 groups of 32: `d: f16`, `high: uint16`, `low: uint8[4]`,
/// `q: uint8[128]`; value = `d * (scale - 32) * code[q]`.
///
/// A group's scale has its lower four bits in the nibbles of `low`, low nibble first, and its upper two in
/// `high`, lowest first. Each group's 16 bytes of `q` are laid out as in `Q4_0`.
public enum IQ4_XS: IntegerBlockFormat {
  /// The type this format decodes.
  public static var type: TensorType { .iq4_XS }

  /// Decodes one block of 256 values.
  @inline(__always)
  public static func decode(_ block: UnsafeRawPointer, into values: UnsafeMutablePointer<Float>) {
    let superScale = block.half(0)
    let highScales = block.integer(2, as: UInt16.self)
    for group in 0..<8 {
      let lowBits = Int32(block.byte(4 &+ group >> 1) &>> UInt8(truncatingIfNeeded: (group & 1) &* 4) & 15)
      let highBits = Int32(highScales &>> UInt16(truncatingIfNeeded: group &* 2) & 3)
      let scale = superScale * Float((lowBits | highBits << 4) &- 32)
      let first = 8 &+ group &* 16
      let groupValues = values + group &* 32
      for index in 0..<16 {
        let pair = block.byte(first &+ index)
        groupValues[index] = scale * CodeBook.nonlinear[Int(pair & 15)]
        groupValues[index &+ 16] = scale * CodeBook.nonlinear[Int(pair >> 4)]
      }
    }
  }

  /// Bytes of a block's scales, split.
  public static var scaleBytesPerBlock: Int { 10 }

  /// Takes a block apart into codes and scales.
  @inline(__always)
  public static func split(
    _ block: UnsafeRawPointer, codes: UnsafeMutablePointer<UInt8>, scales: UnsafeMutableRawPointer
  ) {
    let highScales = block.integer(2, as: UInt16.self)
    scales.copyBytes(2, from: block)
    for group in 0..<8 {
      let lowBits = block.byte(4 &+ group >> 1) &>> UInt8(truncatingIfNeeded: (group & 1) &* 4) & 15
      let highBits = UInt8(truncatingIfNeeded: highScales &>> UInt16(truncatingIfNeeded: group &* 2) & 3)
      scales.store((lowBits | highBits &<< 4) &- 32, at: 2 &+ group)
      splitNibbles(block + (8 &+ group &* 16), codes + group &* 32)
    }
  }
}
