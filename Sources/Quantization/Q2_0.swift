import SalanganeFiles

/// 64 values of 2 bits with one scale: `d: f16`, `q: uint8[16]`, lowest bits first; value = `d * (q - 1)`.
public enum Q2_0: BlockFormat {
  /// The type this format decodes.
  public static var type: TensorType { .q2_0 }

  /// Decodes one block of 64 values.
  @inline(__always)
  public static func decode(_ block: UnsafeRawPointer, into values: UnsafeMutablePointer<Float>) {
    let scale = block.half(0)
    for index in 0..<64 {
      let quant = block.byte(2 &+ index >> 2) &>> UInt8(truncatingIfNeeded: (index & 3) &* 2) & 3
      values[index] = scale * Float(Int32(quant) &- 1)
    }
  }
}
