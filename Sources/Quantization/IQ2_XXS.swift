import SalanganeFiles

/// 256 values, eight at a time from a grid of 256 vectors, in 8 groups of 32: `d: f16`, `groups: uint64[8]`;
/// value = `d * (0.5 + scale) * 0.25 * grid * sign`.
///
/// A group's first four bytes are grid indexes; the upper 32 bits are four sign indexes of 7 bits (see
/// `SignBits`), lowest first, and a scale of 4 bits.
public enum IQ2_XXS: ByteLevelFormat {
  /// The type this format decodes.
  public static var type: TensorType { .iq2_XXS }

  /// Takes a block apart into levels and scales.
  @inline(__always)
  public static func split(
    _ block: UnsafeRawPointer, codes: UnsafeMutablePointer<UInt8>, scales: UnsafeMutableRawPointer
  ) {
    let grid = Grid.iq2XXS
    let superScale = block.half(0)
    for group in 0..<8 {
      let first = 2 &+ group &* 8
      let packed = block.integer(first &+ 4, as: UInt32.self)
      let scale = superScale * (0.5 + Float(packed >> 28)) * 0.25
      scales.storeScale(scale, at: group &* 2)
      scales.storeScale(scale, at: group &* 2 &+ 1)
      for eight in 0..<4 {
        let vector = grid[Int(block.byte(first &+ eight))]
        let signs = SignBits.ofIndex(packed &>> UInt32(truncatingIfNeeded: eight &* 7))
        vector.store(signs: signs, to: codes + (group &* 32 &+ eight &* 8))
      }
    }
  }
}
