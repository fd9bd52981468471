import SalanganeFiles

/// 256 values of 8 bits with one scale, and partial sums: `d: f32`, `q: int8[256]`, `sums: int16[16]`;
/// value = `d * q`.
///
/// The sums of 16 `q` each help dot products and aren't needed to decode. ggml makes such blocks of
/// activations; files hardly ever hold them.
public enum Q8_K: BlockFormat {
  /// The type this format decodes.
  public static var type: TensorType { .q8_K }

  /// Decodes one block of 256 values.
  @inline(__always)
  public static func decode(_ block: UnsafeRawPointer, into values: UnsafeMutablePointer<Float>) {
    let scale = block.single(0)
    for index in 0..<256 {
      values[index] = scale * Float(block.signedByte(4 &+ index))
    }
  }
}
