import SalanganeFiles

/// 256 values, eight at a time from a grid of 2,048 ternary vectors, in 8 groups of 32: `d: f16`,
/// `low: uint8[32]`, `high: uint16[8]`; value = `d * (2 * scale + 1) * (grid + shift)`.
///
/// A grid index has its lower eight bits in `low` and its upper three in the lower 12 bits of the group's
/// `high`, lowest first. The next three bits are the scale, and the top bit tells whether the shift is 1/8 (0)
/// or -1/8 (1).
public enum IQ1_S: ByteLevelFormat {
  /// The type this format decodes.
  public static var type: TensorType { .iq1_S }

  /// Takes a block apart into levels and scales.
  @inline(__always)
  public static func split(
    _ block: UnsafeRawPointer, codes: UnsafeMutablePointer<UInt8>, scales: UnsafeMutableRawPointer
  ) {
    let grid = Grid.iq1
    let superScale = block.half(0)
    for group in 0..<8 {
      let high = Int(block.integer(34 &+ group &* 2, as: UInt16.self))
      let scale = superScale * Float(2 &* (high >> 12 & 7) &+ 1)
      // Levels are eight times as large, so that the shift is whole.
      let shift: Int8 = high & 0x8000 == 0 ? 1 : -1
      scales.storeScale(scale * 0.125, at: group &* 2)
      scales.storeScale(scale * 0.125, at: group &* 2 &+ 1)
      for eight in 0..<4 {
        let low = Int(block.byte(2 &+ group &* 4 &+ eight))
        let vector = grid[low | (high &>> (eight &* 3) & 7) << 8]
        vector.store(eightfoldAnd: shift, to: codes + (group &* 32 &+ eight &* 8))
      }
    }
  }
}
