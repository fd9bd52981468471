import SalanganeFiles

/// 32 values of 8 bits with one scale: `d: f16`, `q: int8[32]`; value = `d * q`.
public enum Q8_0: BlockFormat {
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
}
