import SalanganeFiles

/// 32 values of 4 bits with a scale and a minimum: `d: f16`, `m: f16`, `q: uint8[16]`; value = `d * q + m`.
///
/// Low nibbles hold the first 16 values, high nibbles the last 16.
public enum Q4_1: IntegerBlockFormat {
  /// The type this format decodes.
  public static var type: TensorType { .q4_1 }

  /// Decodes one block of 32 values.
  @inline(__always)
  public static func decode(_ block: UnsafeRawPointer, into values: UnsafeMutablePointer<Float>) {
    let scale = block.half(0)
    let minimum = block.half(2)
    for index in 0..<16 {
      let pair = Int32(block.byte(4 &+ index))
      values[index] = scale * Float(pair & 15) + minimum
      values[index &+ 16] = scale * Float(pair >> 4) + minimum
    }
  }

  /// Bytes of a block's scales, split.
  public static var scaleBytesPerBlock: Int { 4 }

  /// Takes a block apart into codes and scales.
  @inline(__always)
  public static func split(
    _ block: UnsafeRawPointer, codes: UnsafeMutablePointer<UInt8>, scales: UnsafeMutableRawPointer
  ) {
    splitNibbles(block + 4, codes)
    scales.copyBytes(4, from: block)
  }
}

extension Q4_1: EncodableBlockFormat {
  /// The minimum must be a finite half.
  public static var greatestMagnitude: Float? { 65504 }

  /// Encodes one block of 32 values.
  @inline(__always)
  public static func encode(_ values: UnsafePointer<Float>, into block: UnsafeMutableRawPointer) {
    let (minimum, maximum) = extent(values, count: 32)
    let scale = (maximum - minimum) / 15
    let inverse = scale == 0 ? 0 : 1 / scale
    block.storeHalf(scale, at: 0)
    block.storeHalf(minimum, at: 2)
    for index in 0..<16 {
      let first = truncated((values[index] - minimum) * inverse + 0.5, limit: 15)
      let second = truncated((values[index &+ 16] - minimum) * inverse + 0.5, limit: 15)
      block.store(first | second << 4, at: 4 &+ index)
    }
  }
}
