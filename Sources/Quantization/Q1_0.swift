import SalanganeFiles

/// 128 signs with one scale: `d: f16`, `signs: uint8[16]`, lowest bit first; value = `d` where the bit is set,
/// `-d` elsewhere.
public enum Q1_0: ByteLevelFormat {
  /// The type this format decodes.
  public static var type: TensorType { .q1_0 }

  /// Takes a block apart into levels and scales.
  @inline(__always)
  public static func split(
    _ block: UnsafeRawPointer, codes: UnsafeMutablePointer<UInt8>, scales: UnsafeMutableRawPointer
  ) {
    let scale = block.half(0)
    for index in 0..<8 { scales.storeScale(scale, at: index) }
    for index in 0..<128 {
      let bit = block.byte(2 &+ index >> 3) &>> UInt8(truncatingIfNeeded: index & 7) & 1
      codes[index] = 127 &+ 2 &* bit
    }
  }
}
