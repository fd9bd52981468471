import SalanganeFiles

/// 32 values of 5 bits with one scale: `d: f16`, `high: uint32`, `low: uint8[16]`; value = `d * (q - 16)`.
///
/// `q` has its fifth bit in `high`, at the value's index, and the others in `low`, laid out as in `Q4_0`.
public enum Q5_0: IntegerBlockFormat {
  /// The type this format decodes.
  public static var type: TensorType { .q5_0 }

  /// Decodes one block of 32 values.
  @inline(__always)
  public static func decode(_ block: UnsafeRawPointer, into values: UnsafeMutablePointer<Float>) {
    let scale = block.half(0)
    let high = block.integer(2, as: UInt32.self)
    for index in 0..<16 {
      let pair = block.byte(6 &+ index)
      let first = UInt32(pair & 15) | (high >> UInt32(index) & 1) << 4
      let second = UInt32(pair >> 4) | (high >> UInt32(index &+ 16) & 1) << 4
      values[index] = scale * Float(Int32(first) &- 16)
      values[index &+ 16] = scale * Float(Int32(second) &- 16)
    }
  }

  /// Bytes of a block's scales, split.
  public static var scaleBytesPerBlock: Int { 2 }

  /// Takes a block apart into codes and scales.
  @inline(__always)
  public static func split(
    _ block: UnsafeRawPointer, codes: UnsafeMutablePointer<UInt8>, scales: UnsafeMutableRawPointer
  ) {
    splitNibbles(block + 6, codes)
    addFifthBits(block.integer(2, as: UInt32.self), codes)
    scales.copyBytes(2, from: block)
  }
}

extension Q5_0: EncodableBlockFormat {
  /// The scale, an sixteenth of the greatest value, must be a finite half.
  public static var greatestMagnitude: Float? { 65504 * 16 }

  /// Encodes one block of 32 values.
  ///
  /// The value of greatest magnitude, the first of several, gets the code 0, and so sets the scale's sign.
  @inline(__always)
  public static func encode(_ values: UnsafePointer<Float>, into block: UnsafeMutableRawPointer) {
    let scale = extremeValue(values, count: 32) / -16
    let inverse = scale == 0 ? 0 : 1 / scale
    block.storeHalf(scale, at: 0)
    var high: UInt32 = 0
    for index in 0..<16 {
      let first = truncated(values[index] * inverse + 16.5, limit: 31)
      let second = truncated(values[index &+ 16] * inverse + 16.5, limit: 31)
      block.store(first & 15 | (second & 15) << 4, at: 6 &+ index)
      high |= UInt32(first >> 4) << UInt32(index) | UInt32(second >> 4) << UInt32(index &+ 16)
    }
    block.store(high, at: 2)
  }
}
