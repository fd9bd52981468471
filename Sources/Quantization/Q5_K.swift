import SalanganeFiles

/// 256 values of 5 bits in 8 groups of 32: `d: f16`, `dmin: f16`, `scales: uint8[12]`, `high: uint8[32]`,
/// `low: uint8[128]`; value = `d * scale * q - dmin * minimum`.
///
/// Scales and the lower four bits lie as in `Q4_K`; the fifth bit of group k is bit k of the 32 bytes of `high`.
public enum Q5_K: IntegerBlockFormat {
  /// The type this format decodes.
  public static var type: TensorType { .q5_K }

  /// Decodes one block of 256 values.
  @inline(__always)
  public static func decode(_ block: UnsafeRawPointer, into values: UnsafeMutablePointer<Float>) {
    let superScale = block.half(0)
    let superMinimum = block.half(2)
    let scales = SuperBlockScales(bytes: block + 4)
    for group in 0..<8 {
      let packed = scales[group]
      let scale = superScale * Float(packed.scale)
      let minimum = superMinimum * Float(packed.minimum)
      let firstLow = 48 &+ (group >> 1) &* 32
      let lowShift = UInt8(truncatingIfNeeded: (group & 1) &* 4)
      let highShift = UInt8(truncatingIfNeeded: group)
      let groupValues = values + group &* 32
      for index in 0..<32 {
        let low = block.byte(firstLow &+ index) &>> lowShift & 15
        let high = block.byte(16 &+ index) &>> highShift & 1
        groupValues[index] = scale * Float(low | high << 4) - minimum
      }
    }
  }

  /// Bytes of a block's scales, split.
  public static var scaleBytesPerBlock: Int { 20 }

  /// Takes a block apart into codes and scales.
  @inline(__always)
  public static func split(
    _ block: UnsafeRawPointer, codes: UnsafeMutablePointer<UInt8>, scales: UnsafeMutableRawPointer
  ) {
    scales.copyBytes(4, from: block)
    let packed = SuperBlockScales(bytes: block + 4)
    for group in 0..<8 {
      scales.store(packed[group].scale, at: 4 &+ group)
      scales.store(packed[group].minimum, at: 12 &+ group)
    }
    for index in 0..<256 {
      let byte = block.byte(48 &+ (index >> 6) &* 32 &+ index & 31)
      let low = byte &>> UInt8(truncatingIfNeeded: (index >> 5 & 1) &* 4) & 15
      let high = block.byte(16 &+ index & 31) &>> UInt8(truncatingIfNeeded: index >> 5) & 1
      codes[index] = low | high &<< 4
    }
  }
}

extension Q5_K: AffineBlockFormat {
  /// The minimums, of up to 63 times a half, must reach it.
  public static var greatestMagnitude: Float? { F16.greatestScale * 63 }

  static var greatestCode: Float { 31 }
  static var greatestScale: Float { 63 }

  /// Encodes one block of 256 values.
  public static func encode(_ values: UnsafePointer<Float>, into block: UnsafeMutableRawPointer) {
    let superBlock = AffineSuperBlock<Q5_K, 8, 8>(values)
    let codes = superBlock.codes(of: values)
    block.storeHalf(superBlock.d, at: 0)
    block.storeHalf(superBlock.dmin, at: 2)
    SuperBlockScales.store(superBlock.scales, superBlock.minimums, into: block + 4)
    for index in 0..<32 {
      var high: UInt8 = 0
      for pair in 0..<4 {
        let first = codes[unchecked: pair &* 64 &+ index]
        let second = codes[unchecked: pair &* 64 &+ 32 &+ index]
        block.store(first & 15 | second << 4, at: 48 &+ pair &* 32 &+ index)
        high |= (first >> 4 | (second >> 4) << 1) << UInt8(pair &* 2)
      }
      block.store(high, at: 16 &+ index)
    }
  }
}
