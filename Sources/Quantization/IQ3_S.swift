import SalanganeFiles

/// 256 values, four at a time from a grid of 512 vectors, in 8 groups of 32: `d: f16`, `low: uint8[64]`,
/// `high: uint8[8]`, `signs: uint8[32]`, `scales: uint8[4]`; value = `d * (1 + 2 * scale) * grid * sign`.
///
/// A grid index has its lower eight bits in `low` and the ninth in `high`, lowest bit first. Scales have 4 bits,
/// low nibble first. A set bit of `signs` means a negative value.
public enum IQ3_S: ByteLevelFormat {
  /// The type this format decodes.
  public static var type: TensorType { .iq3_S }

  /// Takes a block apart into levels and scales.
  @inline(__always)
  public static func split(
    _ block: UnsafeRawPointer, codes: UnsafeMutablePointer<UInt8>, scales: UnsafeMutableRawPointer
  ) {
    let grid = Grid.iq3S
    let superScale = block.half(0)
    for group in 0..<8 {
      let scaleBits = block.byte(106 &+ group >> 1) &>> UInt8(truncatingIfNeeded: (group & 1) &* 4) & 15
      let scale = superScale * Float(1 &+ 2 &* Int32(scaleBits))
      scales.storeScale(scale, at: group &* 2)
      scales.storeScale(scale, at: group &* 2 &+ 1)
      let high = Int(block.byte(66 &+ group))
      for eight in 0..<4 {
        let pair = eight &* 2
        let first = 2 &+ group &* 8 &+ pair
        let vector = GridVector(
          grid[Int(block.byte(first)) | (high &>> pair & 1) << 8],
          grid[Int(block.byte(first &+ 1)) | (high &>> (pair &+ 1) & 1) << 8])
        let signs = block.byte(74 &+ group &* 4 &+ eight)
        vector.store(signs: signs, to: codes + (group &* 32 &+ eight &* 8))
      }
    }
  }
}
