import SalanganeFiles

/// 256 values, four at a time from a grid of 256 vectors, in 8 groups of 32: `d: f16`, `q: uint8[64]`,
/// `signs: uint32[8]`; value = `d * (0.5 + scale) * 0.5 * grid * sign`.
///
/// `q` are grid indexes. Each `signs` holds four sign indexes of 7 bits (see `SignBits`), lowest first, and the
/// group's scale of 4 bits.
public enum IQ3_XXS: ByteLevelFormat {
  /// The type this format decodes.
  public static var type: TensorType { .iq3_XXS }

  /// Takes a block apart into levels and scales.
  @inline(__always)
  public static func split(
    _ block: UnsafeRawPointer, codes: UnsafeMutablePointer<UInt8>, scales: UnsafeMutableRawPointer
  ) {
    let grid = Grid.iq3XXS
    let superScale = block.half(0)
    for group in 0..<8 {
      let packed = block.integer(66 &+ group &* 4, as: UInt32.self)
      let scale = superScale * (0.5 + Float(packed >> 28)) * 0.5
      scales.storeScale(scale, at: group &* 2)
      scales.storeScale(scale, at: group &* 2 &+ 1)
      for eight in 0..<4 {
        let first = 2 &+ group &* 8 &+ eight &* 2
        let vector = GridVector(grid[Int(block.byte(first))], grid[Int(block.byte(first &+ 1))])
        let signs = SignBits.ofIndex(packed &>> UInt32(truncatingIfNeeded: eight &* 7))
        vector.store(signs: signs, to: codes + (group &* 32 &+ eight &* 8))
      }
    }
  }
}
