import SalanganeFiles

/// 256 values of 6 bits in 16 groups of 16: `low: uint8[128]`, `high: uint8[64]`, `scales: int8[16]`, `d: f16`;
/// value = `d * scale * (q - 32)`.
///
/// Each half of the block (128 values) takes 64 bytes of `low`, whose low nibbles are values 0 to 63 and whose
/// high ones are 64 to 127, and 32 bytes of `high`: bits 0 and 1 belong to values 0 to 31, 2 and 3 to 32 to 63,
/// and so on.
public enum Q6_K: IntegerBlockFormat {
  /// The type this format decodes.
  public static var type: TensorType { .q6_K }

  /// Decodes one block of 256 values.
  @inline(__always)
  public static func decode(_ block: UnsafeRawPointer, into values: UnsafeMutablePointer<Float>) {
    let superScale = block.half(208)
    for group in 0..<16 {
      let scale = superScale * Float(block.signedByte(192 &+ group))
      let half = group >> 3
      let firstLow = half &* 64 &+ (group & 3) &* 16
      let lowShift = UInt8(truncatingIfNeeded: group & 4)
      let firstHigh = 128 &+ half &* 32 &+ (group & 1) &* 16
      let highShift = UInt8(truncatingIfNeeded: group & 6)
      let groupValues = values + group &* 16
      for index in 0..<16 {
        let low = block.byte(firstLow &+ index) &>> lowShift & 15
        let high = block.byte(firstHigh &+ index) &>> highShift & 3
        groupValues[index] = scale * Float(Int32(low | high << 4) &- 32)
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
    scales.copyBytes(2, from: block + 208)
    (scales + 2).copyBytes(16, from: block + 192)
    for index in 0..<256 {
      let half = index >> 7
      let low = block.byte(half &* 64 &+ index & 63) &>> UInt8(truncatingIfNeeded: (index >> 6 & 1) &* 4) & 15
      let high =
        block.byte(128 &+ half &* 32 &+ index & 31) &>> UInt8(truncatingIfNeeded: (index >> 5 & 3) &* 2) & 3
      codes[index] = low | high &<< 4
    }
  }
}

extension Q6_K: LevelSuperBlockFormat {
  /// The greatest level with the greatest scale, times a half, must reach it.
  public static var greatestMagnitude: Float? { F16.greatestScale * 127 * 31 }

  static var leastScale: Float { -128 }

  static var seedCount: Int { 14 }
  static func seed(_ index: Int) -> Float { -32.4 + Float((index + 1) % 14) * 0.4 }

  @inline(__always)
  static func levels(_ lanes: Lanes) -> Lanes { lanes.limited(to: -32, 31).nearestIntegers }

  /// Encodes one block of 256 values.
  public static func encode(_ values: UnsafePointer<Float>, into block: UnsafeMutableRawPointer) {
    let superBlock = LevelSuperBlock<Q6_K, 16, 4>(values)
    var codes = InlineArray<256, UInt8>(repeating: 0)
    superBlock.forEachLevel(of: values) { position, levels in codes.store(levels + 32, at: position) }
    for group in 0..<16 { block.store(Int8(superBlock.scales[group]), at: 192 &+ group) }
    for half in 0..<2 {
      for index in 0..<32 {
        let start = half &* 128 &+ index
        let (first, second) = (codes[unchecked: start], codes[unchecked: start &+ 32])
        let (third, fourth) = (codes[unchecked: start &+ 64], codes[unchecked: start &+ 96])
        block.store(first & 15 | third << 4, at: half &* 64 &+ index)
        block.store(second & 15 | fourth << 4, at: half &* 64 &+ 32 &+ index)
        let high = first >> 4 | (second >> 4) << 2 | (third >> 4) << 4 | (fourth >> 4) << 6
        block.store(high, at: 128 &+ half &* 32 &+ index)
      }
    }
    block.storeHalf(superBlock.d, at: 208)
  }
}
