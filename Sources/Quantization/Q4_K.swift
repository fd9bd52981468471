import SalanganeFiles

/// 256 values of 4 bits in 8 groups of 32: `d: f16`, `dmin: f16`, `scales: uint8[12]`, `q: uint8[128]`;
/// value = `d * scale * q - dmin * minimum`.
///
/// 32 bytes of `q` hold two groups: one in the low nibbles, the next in the high ones. `SuperBlockScales`
/// says how scales and minimums are packed.
public enum Q4_K: IntegerBlockFormat {
  /// The type this format decodes.
  public static var type: TensorType { .q4_K }

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
      let first = 16 &+ (group >> 1) &* 32
      let shift = UInt8(truncatingIfNeeded: (group & 1) &* 4)
      let groupValues = values + group &* 32
      for index in 0..<32 {
        let quant = block.byte(first &+ index) &>> shift & 15
        groupValues[index] = scale * Float(quant) - minimum
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
      let byte = block.byte(16 &+ (index >> 6) &* 32 &+ index & 31)
      codes[index] = byte &>> UInt8(truncatingIfNeeded: (index >> 5 & 1) &* 4) & 15
    }
  }
}

extension Q4_K: AffineBlockFormat {
  /// The minimums, of up to 63 times a half, must reach it.
  public static var greatestMagnitude: Float? { F16.greatestScale * 63 }

  static var greatestCode: Float { 15 }
  static var greatestScale: Float { 63 }

  /// Encodes one block of 256 values.
  public static func encode(_ values: UnsafePointer<Float>, into block: UnsafeMutableRawPointer) {
    let superBlock = AffineSuperBlock<Q4_K, 8, 8>(values)
    let codes = superBlock.codes(of: values)
    block.storeHalf(superBlock.d, at: 0)
    block.storeHalf(superBlock.dmin, at: 2)
    SuperBlockScales.store(superBlock.scales, superBlock.minimums, into: block + 4)
    for pair in 0..<4 {
      for index in 0..<32 {
        let low = codes[unchecked: pair &* 64 &+ index]
        let high = codes[unchecked: pair &* 64 &+ 32 &+ index]
        block.store(low | high << 4, at: 16 &+ pair &* 32 &+ index)
      }
    }
  }
}
