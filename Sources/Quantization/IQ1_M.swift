import SalanganeFiles

/// 256 values, eight at a time from a grid of 2,048 ternary vectors, in 16 groups of 16: `low: uint8[32]`,
/// `high: uint8[16]`, `scales: uint16[4]`; value = `d * (2 * scale + 1) * (grid + shift)`.
///
/// Each nibble of `high`, low one first, has the upper three bits of a grid index and, on top, whether the shift
/// is 1/8 (0) or -1/8 (1). Each `scales` has four scales of 3 bits, lowest first; its upper 4 bits are a quarter
/// of the half-precision `d`, lowest first.
public enum IQ1_M: BlockFormat {
  /// The type this format decodes.
  public static var type: TensorType { .iq1_M }

  /// Decodes one block of 256 values.
  @inline(__always)
  public static func decode(_ block: UnsafeRawPointer, into values: UnsafeMutablePointer<Float>) {
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
      let shift: Float = high & 8 == 0 ? 0.125 : -0.125
      let vector = grid[Int(block.byte(eight)) | (high & 7) << 8]
      vector.store(shiftedBy: shift, scaledBy: scale, to: values + eight &* 8)
    }
  }
}
