import SalanganeFiles

/// 32 values of 8 bits with one scale: `d: f16`, `q: int8[32]`; value = `d * q`.
public enum Q8_0: IntegerBlockFormat {
  /// The type this format decodes.
  public static var type: TensorType { .q8_0 }

  /// Decodes one block of 32 values.
  @inline(__always)
  public static func decode(_ block: UnsafeRawPointer, into values: UnsafeMutablePointer<Float>) {
    let scale = block.half(0)
    for index in 0..<32 {
      values[index] = scale * Float(block.signedByte(2 &+ index))
    }
  }

  /// Bytes of a block's scales, split.
  public static var scaleBytesPerBlock: Int { 2 }

  /// Takes a block apart into codes and scales.
  @inline(__always)
  public static func split(
    _ block: UnsafeRawPointer, codes: UnsafeMutablePointer<UInt8>, scales: UnsafeMutableRawPointer
  ) {
    for index in 0..<32 { codes[index] = block.byte(2 &+ index) ^ 0x80 }
    scales.copyBytes(2, from: block)
  }
}

extension Q8_0: EncodableBlockFormat {
  /// The scale, a 127th of the greatest value, must be a finite half.
  public static var greatestMagnitude: Float? { 65504 * 127 }

  /// Encodes one block of 32 values; codes halfway between two integers go away from zero.
  @inline(__always)
  public static func encode(_ values: UnsafePointer<Float>, into block: UnsafeMutableRawPointer) {
    let scale = extremeValue(values, count: 32).magnitude / 127
    let inverse = scale == 0 ? 0 : 1 / scale
    block.storeHalf(scale, at: 0)
    for index in 0..<32 {
      let code = values[index] * inverse
      let whole = truncated(code.magnitude, limit: 127)
      // Not the truncated sum with 0.5, which rounds up the greatest float below 0.5.
      let magnitude = Int8(whole) &+ (code.magnitude - Float(whole) >= 0.5 && whole < 127 ? 1 : 0)
      block.store(code < 0 ? 0 &- magnitude : magnitude, at: 2 &+ index)
    }
  }
}
