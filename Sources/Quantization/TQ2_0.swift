import SalanganeFiles

/// 256 ternary values of 2 bits with one scale: `q: uint8[64]`, `d: f16`; value = `d * (q - 1)`.
///
/// `q` is laid out as in `Q2_K`.
public enum TQ2_0: ByteLevelFormat {
  /// The type this format decodes.
  public static var type: TensorType { .tq2_0 }

  /// Takes a block apart into levels and scales.
  @inline(__always)
  public static func split(
    _ block: UnsafeRawPointer, codes: UnsafeMutablePointer<UInt8>, scales: UnsafeMutableRawPointer
  ) {
    let scale = block.half(64)
    for index in 0..<16 { scales.storeScale(scale, at: index) }
    for group in 0..<8 {
      let first = (group >> 2) &* 32
      let shift = UInt8(truncatingIfNeeded: (group & 3) &* 2)
      let groupCodes = codes + group &* 32
      for index in 0..<32 {
        let quant = block.byte(first &+ index) &>> shift & 3
        groupCodes[index] = quant &+ 127
      }
    }
  }
}
