import SalanganeFiles

/// 64 values of 2 bits with one scale: `d: f16`, `q: uint8[16]`, lowest bits first; value = `d * (q - 1)`.
public enum Q2_0: ByteLevelFormat {
  /// The type this format decodes.
  public static var type: TensorType { .q2_0 }

  /// Takes a block apart into levels and scales.
  @inline(__always)
  public static func split(
    _ block: UnsafeRawPointer, codes: UnsafeMutablePointer<UInt8>, scales: UnsafeMutableRawPointer
  ) {
    let scale = block.half(0)
    for index in 0..<4 { scales.storeScale(scale, at: index) }
    for index in 0..<64 {
      let quant = block.byte(2 &+ index >> 2) &>> UInt8(truncatingIfNeeded: (index & 3) &* 2) & 3
      codes[index] = quant &+ 127
    }
  }
}
