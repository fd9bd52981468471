import SalanganeFiles

/// 256 values of 3 bits in 16 groups of 16: `high: uint8[32]`, `low: uint8[64]`, `scales: uint8[12]`, `d: f16`;
/// value = `d * (scale - 32) * (q - 4)`.
///
/// 32 bytes of `low` hold the lower two bits of 128 values, laid out as in `Q2_K`. The third bit of values
/// 32 k to 32 k + 31 is bit k of the 32 bytes of `high`. Of the 16 scales of 6 bits, the first 8 bytes hold the
/// lower four bits (low nibbles: scales 0 to 7), and the last 4 the upper two, of scales 0 to 3 in bits 0 and 1.
public enum Q3_K: IntegerBlockFormat {
  /// The type this format decodes.
  public static var type: TensorType { .q3_K }

  /// Decodes one block of 256 values.
  @inline(__always)
  public static func decode(_ block: UnsafeRawPointer, into values: UnsafeMutablePointer<Float>) {
    let superScale = block.half(108)
    for group in 0..<16 {
      let lowBits = block.byte(96 &+ (group & 7)) &>> UInt8(truncatingIfNeeded: group >> 3 &* 4) & 15
      let highBits = block.byte(104 &+ (group & 3)) &>> UInt8(truncatingIfNeeded: group >> 2 &* 2) & 3
      let scale = superScale * Float(Int32(lowBits | highBits << 4) &- 32)
      let firstLow = 32 &+ (group >> 3) &* 32 &+ (group & 1) &* 16
      let lowShift = UInt8(truncatingIfNeeded: group & 6)
      let firstHigh = (group & 1) &* 16
      let highShift = UInt8(truncatingIfNeeded: group >> 1)
      let groupValues = values + group &* 16
      for index in 0..<16 {
        let low = block.byte(firstLow &+ index) &>> lowShift & 3
        let high = block.byte(firstHigh &+ index) &>> highShift & 1
        groupValues[index] = scale * Float(Int32(low | high << 2) &- 4)
      }
    }
  }

  /// Bytes of a block's scales, split.
  public static var scaleBytesPerBlock: Int { 18 }

  /// Takes a block apart into codes and scales.
  @inline(__always)
  public static func split(
    _ block: UnsafeRawPointer, codes: UnsafeMutablePointer<UInt8>, scales: UnsafeMutableRawPointer
  ) {
    scales.copyBytes(2, from: block + 108)
    for group in 0..<16 {
      let lowBits = block.byte(96 &+ (group & 7)) &>> UInt8(truncatingIfNeeded: group >> 3 &* 4) & 15
      let highBits = block.byte(104 &+ (group & 3)) &>> UInt8(truncatingIfNeeded: group >> 2 &* 2) & 3
      scales.store((lowBits | highBits &<< 4) &- 32, at: 2 &+ group)
    }
    for index in 0..<256 {
      let byte = block.byte(32 &+ (index >> 7) &* 32 &+ index & 31)
      let low = byte &>> UInt8(truncatingIfNeeded: (index >> 5 & 3) &* 2) & 3
      let high = block.byte(index & 31) &>> UInt8(truncatingIfNeeded: index >> 5) & 1
      codes[index] = low | high &<< 2
    }
  }
}

extension Q3_K: LevelSuperBlockFormat {
  /// The greatest level with the greatest scale, times a half, must reach it.
  public static var greatestMagnitude: Float? { F16.greatestScale * 31 * 3 }

  static var leastScale: Float { -32 }

  static var seedCount: Int { 10 }
  static func seed(_ index: Int) -> Float { index == 0 ? -4 : -4.9 + Float(index) * 0.2 }

  @inline(__always)
  static func levels(_ lanes: Lanes) -> Lanes { lanes.limited(to: -4, 3).nearestIntegers }

  /// Encodes one block of 256 values.
  public static func encode(_ values: UnsafePointer<Float>, into block: UnsafeMutableRawPointer) {
    let superBlock = LevelSuperBlock<Q3_K, 16, 4>(values)
    var codes = InlineArray<256, UInt8>(repeating: 0)
    superBlock.forEachLevel(of: values) { position, levels in codes.store(levels + 4, at: position) }
    for index in 0..<32 {
      var high: UInt8 = 0
      for half in 0..<2 {
        var low: UInt8 = 0
        for part in 0..<4 {
          let code = codes[unchecked: half &* 128 &+ part &* 32 &+ index]
          low |= (code & 3) << UInt8(part &* 2)
          high |= (code >> 2) << UInt8(half &* 4 &+ part)
        }
        block.store(low, at: 32 &+ half &* 32 &+ index)
      }
      block.store(high, at: index)
    }
    let scales = InlineArray<16, UInt8> { UInt8(superBlock.scales[$0] + 32) }
    for index in 0..<8 { block.store(scales[index] & 15 | scales[index &+ 8] << 4, at: 96 &+ index) }
    for index in 0..<4 {
      let low = scales[index] >> 4 | (scales[index &+ 4] >> 4) << 2
      let high = scales[index &+ 8] >> 4 | (scales[index &+ 12] >> 4) << 2
      block.store(low | high << 4, at: 104 &+ index)
    }
    block.storeHalf(superBlock.d, at: 108)
  }
}
