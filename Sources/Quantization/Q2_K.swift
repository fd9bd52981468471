import SalanganeFiles

/// 256 values of 2 bits in 16 groups of 16: `scales: uint8[16]`, `q: uint8[64]`, `d: f16`, `dmin: f16`;
/// value = `d * scale * q - dmin * minimum`.
///
/// A group's scale is the low nibble of its byte in `scales`, its minimum the high one. 32 bytes of `q` hold
/// 128 values: bits 0 and 1 the first 32 of them, bits 2 and 3 the next 32, and so on.
public enum Q2_K: IntegerBlockFormat {
  /// The type this format decodes.
  public static var type: TensorType { .q2_K }

  /// Decodes one block of 256 values.
  @inline(__always)
  public static func decode(_ block: UnsafeRawPointer, into values: UnsafeMutablePointer<Float>) {
    let superScale = block.half(80)
    let superMinimum = block.half(82)
    for group in 0..<16 {
      let packed = block.byte(group)
      let scale = superScale * Float(packed & 15)
      let minimum = superMinimum * Float(packed >> 4)
      let first = 16 &+ (group >> 3) &* 32 &+ (group & 1) &* 16
      let shift = UInt8(truncatingIfNeeded: group & 6)
      let groupValues = values + group &* 16
      for index in 0..<16 {
        let quant = block.byte(first &+ index) &>> shift & 3
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
    scales.copyBytes(4, from: block + 80)
    (scales + 4).copyBytes(16, from: block)
    for index in 0..<256 {
      let byte = block.byte(16 &+ (index >> 7) &* 32 &+ index & 31)
      codes[index] = byte &>> UInt8(truncatingIfNeeded: (index >> 5 & 3) &* 2) & 3
    }
  }
}

extension Q2_K: AffineBlockFormat {
  /// The minimums, of up to 15 times a half, must reach it.
  public static var greatestMagnitude: Float? { F16.greatestScale * 15 }

  static var greatestCode: Float { 3 }
  static var greatestScale: Float { 15 }

  /// Encodes one block of 256 values.
  public static func encode(_ values: UnsafePointer<Float>, into block: UnsafeMutableRawPointer) {
    let superBlock = AffineSuperBlock<Q2_K, 16, 4>(values)
    let codes = superBlock.codes(of: values)
    for group in 0..<16 {
      block.store(UInt8(superBlock.scales[group]) | UInt8(superBlock.minimums[group]) << 4, at: group)
    }
    for half in 0..<2 {
      for index in 0..<32 {
        let first = half &* 128 &+ index
        let low = codes[unchecked: first] | codes[unchecked: first &+ 32] << 2
        let high = codes[unchecked: first &+ 64] | codes[unchecked: first &+ 96] << 2
        block.store(low | high << 4, at: 16 &+ half &* 32 &+ index)
      }
    }
    block.storeHalf(superBlock.d, at: 80)
    block.storeHalf(superBlock.dmin, at: 82)
  }
}
