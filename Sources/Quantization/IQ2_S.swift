import SalanganeFiles

/// 256 values, eight at a time from a grid of 1,024 vectors, in 16 groups of 16: `d: f16`, `low: uint8[32]`,
/// `signs: uint8[32]`, `high: uint8[8]`, `scales: uint8[8]`; value = `d * (0.5 + scale) * 0.25 * grid * sign`.
///
/// A grid index has its lower eight bits in `low` and its upper two in `high`, lowest first. Scales have 4
/// bits, low nibble first. A set bit of `signs` means a negative value.
public enum IQ2_S: ByteLevelFormat {
  /// The type this format decodes.
  public static var type: TensorType { .iq2_S }

  /// Takes a block apart into levels and scales.
  @inline(__always)
  public static func split(
    _ block: UnsafeRawPointer, codes: UnsafeMutablePointer<UInt8>, scales: UnsafeMutableRawPointer
  ) {
    let grid = Grid.iq2S
    let superScale = block.half(0)
    for eight in 0..<32 {
      let scaleBits = block.byte(74 &+ eight >> 2) &>> UInt8(truncatingIfNeeded: (eight & 2) &* 2) & 15
      scales.storeScale(superScale * (0.5 + Float(scaleBits)) * 0.25, at: eight >> 1)
      let high = block.byte(66 &+ eight >> 2) &>> UInt8(truncatingIfNeeded: (eight & 3) &* 2) & 3
      let vector = grid[Int(block.byte(2 &+ eight)) | Int(high) << 8]
      vector.store(signs: block.byte(34 &+ eight), to: codes + eight &* 8)
    }
  }
}
