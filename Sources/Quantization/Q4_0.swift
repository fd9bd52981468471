import SalanganeFiles

/// 32 values of 4 bits with one scale: `d: f16`, `q: uint8[16]`; value = `d * (q - 8)`.
///
/// Low nibbles hold the first 16 values, high nibbles the last 16.
public enum Q4_0: IntegerBlockFormat {
  /// The type this format decodes.
  public static var type: TensorType { .q4_0 }

  /// Decodes one block of 32 values.
  @inline(__always)
  public static func decode(_ block: UnsafeRawPointer, into values: UnsafeMutablePointer<Float>) {
    let scale = block.half(0)
    for index in 0..<16 {
      let pair = Int32(block.byte(2 &+ index))
      values[index] = scale * Float((pair & 15) &- 8)
      values[index &+ 16] = scale * Float((pair >> 4) &- 8)
    }
  }

  /// Bytes of a block's scales, split.
  public static var scaleBytesPerBlock: Int { 2 }

  /// Takes a block apart into codes and scales.
  @inline(__always)
  public static func split(
    _ block: UnsafeRawPointer, codes: UnsafeMutablePointer<UInt8>, scales: UnsafeMutableRawPointer
  ) {
    splitNibbles(block + 2, codes)
    scales.copyBytes(2, from: block)
  }
}

extension Q4_0: EncodableBlockFormat {
  /// The scale, an eighth of the greatest value, must be a finite half.
  public static var greatestMagnitude: Float? { 65504 * 8 }

  /// Encodes one block of 32 values.
  ///
  /// The value of greatest magnitude, the first of several, gets the code 0, and so sets the scale's sign.
  @inline(__always)
  public static func encode(_ values: UnsafePointer<Float>, into block: UnsafeMutableRawPointer) {
    let scale = extremeValue(values, count: 32) / -8
    let inverse = scale == 0 ? 0 : 1 / scale
    block.storeHalf(scale, at: 0)
    for index in 0..<16 {
      let first = truncated(values[index] * inverse + 8.5, limit: 15)
      let second = truncated(values[index &+ 16] * inverse + 8.5, limit: 15)
      block.store(first | second << 4, at: 2 &+ index)
    }
  }
}
