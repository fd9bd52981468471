import SalanganeFiles

/// 256 ternary values of 2 bits with one scale: `q: uint8[64]`, `d: f16`; value = `d * (q - 1)`.
///
/// `q` is laid out as in `Q2_K`.
public enum TQ2_0: BlockFormat {
  /// The type this format decodes.
  public static var type: TensorType { .tq2_0 }

  /// Decodes one block of 256 values.
  @inline(__always)
  public static func decode(_ block: UnsafeRawPointer, into values: UnsafeMutablePointer<Float>) {
    let scale = block.half(64)
    for group in 0..<8 {
      let first = (group >> 2) &* 32
      let shift = UInt8(truncatingIfNeeded: (group & 3) &* 2)
      let groupValues = values + group &* 32
      for index in 0..<32 {
        let quant = block.byte(first &+ index) &>> shift & 3
        groupValues[index] = scale * Float(Int32(quant) &- 1)
      }
    }
  }
}
