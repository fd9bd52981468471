import SalanganeFiles

/// 256 values of 4-bit non-linear codes in 8 groups of 32: `d: f16`, `high: uint16`, `low: uint8[4]`,
/// `q: uint8[128]`; value = `d * (scale - 32) * code[q]`.
///
/// A group's scale has its lower four bits in the nibbles of `low`, low nibble first, and its upper two in
/// `high`, lowest first. Each group's 16 bytes of `q` are laid out as in `Q4_0`.
public enum IQ4_XS: IntegerBlockFormat {
  /// The type this format decodes.
  public static var type: TensorType { .iq4_XS }

  /// Decodes one block of 256 values.
  @inline(__always)
  public static func decode(_ block: UnsafeRawPointer, into values: UnsafeMutablePointer<Float>) {
    let superScale = block.half(0)
    let highScales = block.integer(2, as: UInt16.self)
    for group in 0..<8 {
      let lowBits = Int32(block.byte(4 &+ group >> 1) &>> UInt8(truncatingIfNeeded: (group & 1) &* 4) & 15)
      let highBits = Int32(highScales &>> UInt16(truncatingIfNeeded: group &* 2) & 3)
      let scale = superScale * Float((lowBits | highBits << 4) &- 32)
      let first = 8 &+ group &* 16
      let groupValues = values + group &* 32
      for index in 0..<16 {
        let pair = block.byte(first &+ index)
        groupValues[index] = scale * CodeBook.nonlinear[Int(pair & 15)]
        groupValues[index &+ 16] = scale * CodeBook.nonlinear[Int(pair >> 4)]
      }
    }
  }

  /// Bytes of a block's scales, split.
  public static var scaleBytesPerBlock: Int { 10 }

  /// Takes a block apart into codes and scales.
  @inline(__always)
  public static func split(
    _ block: UnsafeRawPointer, codes: UnsafeMutablePointer<UInt8>, scales: UnsafeMutableRawPointer
  ) {
    let highScales = block.integer(2, as: UInt16.self)
    scales.copyBytes(2, from: block)
    for group in 0..<8 {
      let lowBits = block.byte(4 &+ group >> 1) &>> UInt8(truncatingIfNeeded: (group & 1) &* 4) & 15
      let highBits = UInt8(truncatingIfNeeded: highScales &>> UInt16(truncatingIfNeeded: group &* 2) & 3)
      scales.store((lowBits | highBits &<< 4) &- 32, at: 2 &+ group)
      splitNibbles(block + (8 &+ group &* 16), codes + group &* 32)
    }
  }
}

extension IQ4_XS: LevelSuperBlockFormat {
  /// The greatest level with the greatest scale, times a half, must reach it.
  public static var greatestMagnitude: Float? { F16.greatestScale * 31 * 113 }

  static var leastScale: Float { -32 }

  static var seedCount: Int { CodeBook.nonlinearSeeds.count }

  @inline(__always)
  static func seed(_ index: Int) -> Float { CodeBook.nonlinearSeeds[index] }

  @inline(__always)
  static func levels(_ lanes: Lanes) -> Lanes { CodeBook.nonlinearValues(lanes) }

  /// Encodes one block of 256 values.
  public static func encode(_ values: UnsafePointer<Float>, into block: UnsafeMutableRawPointer) {
    let superBlock = LevelSuperBlock<IQ4_XS, 8, 8>(values)
    var lowScales: UInt32 = 0
    var highScales: UInt16 = 0
    for group in 0..<8 {
      let scale = UInt32(superBlock.scales[group] + 32)
      lowScales |= (scale & 15) << UInt32(group &* 4)
      highScales |= UInt16(scale >> 4) << UInt16(group &* 2)
      CodeBook.storeNonlinear(
        ValueGroup(values + group &* 32),
        inverseScale: inverse(of: superBlock.d * superBlock.scales[group]), into: block + (8 &+ group &* 16))
    }
    block.storeHalf(superBlock.d, at: 0)
    block.store(highScales, at: 2)
    block.store(lowScales, at: 4)
  }
}
