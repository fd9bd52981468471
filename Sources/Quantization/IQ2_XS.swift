import SalanganeFiles

/// 256 values, eight at a time from a grid of 512 vectors, in 16 groups of 16: `d: f16`, `q: uint16[32]`,
/// `scales: uint8[8]`; value = `d * (0.5 + scale) * 0.25 * grid * sign`.
///
/// The lower 9 bits of `q` are a grid index, the upper 7 a sign index (see `SignBits`). Scales have 4 bits, low
/// nibble first.
public enum IQ2_XS: ByteLevelFormat {
  /// The type this format decodes.
  public static var type: TensorType { .iq2_XS }

  /// Takes a block apart into levels and scales.
  @inline(__always)
  public static func split(
    _ block: UnsafeRawPointer, codes: UnsafeMutablePointer<UInt8>, scales: UnsafeMutableRawPointer
  ) {
    let grid = Grid.iq2XS
    let superScale = block.half(0)
    for eight in 0..<32 {
      let scaleBits = block.byte(66 &+ eight >> 2) &>> UInt8(truncatingIfNeeded: (eight & 2) &* 2) & 15
      scales.storeScale(superScale * (0.5 + Float(scaleBits)) * 0.25, at: eight >> 1)
      let packed = block.integer(2 &+ eight &* 2, as: UInt16.self)
      let signs = SignBits.ofIndex(UInt32(packed >> 9))
      grid[Int(packed & 511)].store(signs: signs, to: codes + eight &* 8)
    }
  }
}
