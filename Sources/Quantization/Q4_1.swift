import SalanganeFiles

/// 32 values of 4 bits with a scale and a minimum: `d: f16`, `m: f16`, `q: uint8[16]`; value = `d * q + m`.
///
/// Low nibbles hold the first 16 values, high nibbles the last 16.
public enum Q4_1: BlockFormat {
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
}
