import SalanganeFiles

/// 32 values of 5 bits with a scale and a minimum: `d: f16`, `m: f16`, `high: uint32`, `low: uint8[16]`;
/// value = `d * q + m`.
///
/// `q` has its fifth bit in `high`, at the value's index, and the others in `low`, laid out as in `Q4_0`.
public enum Q5_1: IntegerBlockFormat {
  /// The type this format decodes.
  public static var type: TensorType { .q5_1 }

  /// Decodes one block of 32 values.
  @inline(__always)
  public static func decode(_ block: UnsafeRawPointer, into values: UnsafeMutablePointer<Float>) {
    let scale = block.half(0)
    let minimum = block.half(2)
    let high = block.integer(4, as: UInt32.self)
    for index in 0..<16 {
      let pair = block.byte(8 &+ index)
      let first = UInt32(pair & 15) | (high >> UInt32(index) & 1) << 4
      let second = UInt32(pair >> 4) | (high >> UInt32(index &+ 16) & 1) << 4
      values[index] = scale * Float(Int32(first)) + minimum
      values[index &+ 16] = scale * Float(Int32(second)) + minimum
    }
  }

  /// Bytes of a block's scales, split.
  public static var scaleBytesPerBlock: Int { 4 }

  /// Takes a block apart into codes and scales.
  @inline(__always)
  public static func split(
    _ block: UnsafeRawPointer, codes: UnsafeMutablePointer<UInt8>, scales: UnsafeMutableRawPointer
  ) {
    splitNibbles(block + 8, codes)
    addFifthBits(block.integer(4, as: UInt32.self), codes)
    scales.copyBytes(4, from: block)
  }
}

extension Q5_1: EncodableBlockFormat {
  /// The minimum must be a finite half.
  public static var greatestMagnitude: Float? { 65504 }

  /// Encodes one block of 32 values.
  @inline(__always)
  public static func encode(_ values: UnsafePointer<Float>, into block: UnsafeMutableRawPointer) {
    let (minimum, maximum) = extent(values, count: 32)
    let scale = (maximum - minimum) / 31
    let inverse = scale == 0 ? 0 : 1 / scale
    block.storeHalf(scale, at: 0)
    block.storeHalf(minimum, at: 2)
    var high: UInt32 = 0
    for index in 0..<16 {
      let first = truncated((values[index] - minimum) * inverse + 0.5, limit: 31)
      let second = truncated((values[index &+ 16] - minimum) * inverse + 0.5, limit: 31)
      block.store(first & 15 | (second & 15) << 4, at: 8 &+ index)
      high |= UInt32(first >> 4) << UInt32(index) | UInt32(second >> 4) << UInt32(index &+ 16)
    }
    block.store(high, at: 4)
  }
}
