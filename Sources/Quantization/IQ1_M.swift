import SalanganeFiles

/// 256 values, eight at a time from a grid of 2,048 ternary vectors, in 16 groups of 16: `low: uint8[32]`,
/// `high: uint8[16]`, `scales: uint16[4]`; value = `d * (2 * scale + 1) * (grid + shift)`.
///
/// Each nibble of `high`, low one first, has the upper three bits of a grid index and, on top, whether the shift
/// is 1/8 (0) or -1/8 (1). Each `scales` has four scales of 3 bits, lowest first; its upper 4 bits are a quarter
/// of the half-precision `d`, lowest first.
public enum IQ1_M: ByteLevelFormat {
  /// The type this format decodes.
  public static var type: TensorType { .iq1_M }

  /// Takes a block apart into levels and scales.
  @inline(__always)
  public static func split(
    _ block: UnsafeRawPointer, codes: UnsafeMutablePointer<UInt8>, scales: UnsafeMutableRawPointer
  ) {
    let grid = Grid.iq1
    var scaleBits: UInt16 = 0
    for quarter in 0..<4 {
      let nibble = block.integer(48 &+ quarter &* 2, as: UInt16.self) >> 12
      scaleBits |= nibble &<< UInt16(truncatingIfNeeded: quarter &* 4)
    }
    let superScale = F16.float(scaleBits)
    for eight in 0..<32 {
      let packed = Int(block.integer(48 &+ (eight >> 3) &* 2, as: UInt16.self))
      let scale = superScale * Float(2 &* (packed &>> ((eight >> 1 & 3) &* 3) & 7) &+ 1)
      let high = Int(block.byte(32 &+ eight >> 1) &>> UInt8(truncatingIfNeeded: (eight & 1) &* 4))
      // Levels are eight times as large, so that the shift is whole.
      let shift: Int8 = high & 8 == 0 ? 1 : -1
      scales.storeScale(scale * 0.125, at: eight >> 1)
      let vector = grid[Int(block.byte(eight)) | (high & 7) << 8]
      vector.store(eightfoldAnd: shift, to: codes + eight &* 8)
    }
  }
}
