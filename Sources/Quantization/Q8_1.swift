import SalanganeFiles

/// 32 values of 8 bits with one scale, and their sum: `d: f16`, `s: f16`, `q: int8[32]`; value = `d * q`.
///
/// `s`, the scale times the sum of all `q`, helps dot products and isn't needed to decode. ggml makes such
/// blocks of activations; files hardly ever hold them.
public enum Q8_1: BlockFormat {
  /// The type this format decodes.
  public static var type: TensorType { .q8_1 }

  /// Decodes one block of 32 values.
  @inline(__always)
  public static func decode(_ block: UnsafeRawPointer, into values: UnsafeMutablePointer<Float>) {
    let scale = block.half(0)
    for index in 0..<32 {
      values[index] = scale * Float(block.signedByte(4 &+ index))
    }
  }
}
