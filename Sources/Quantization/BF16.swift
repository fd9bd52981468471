import SalanganeFiles

/// bfloat16: the upper half of an IEEE 754 binary32.
public enum BF16: EncodableBlockFormat {
  /// The type this format decodes.
  public static var type: TensorType { .bf16 }

  /// Any value has a bfloat16: magnitudes beyond the greatest become infinite, as IEEE 754 rounds them.
  public static var greatestMagnitude: Float? { nil }

  /// The exact value of a bfloat16.
  ///
  /// A NaN keeps its sign and payload.
  @inline(__always)
  public static func float(_ bits: UInt16) -> Float {
    Float(bitPattern: UInt32(bits) << 16)
  }

  /// The bfloat16 nearest to a value; of two equally near, the even one.
  ///
  /// A NaN becomes a quiet NaN of the same sign with the upper bits of its payload.
  @inline(__always)
  public static func bits(_ value: Float) -> UInt16 {
    let bits = value.bitPattern
    if value.isNaN { return UInt16(bits >> 16) | 0x40 }
    return UInt16(truncatingIfNeeded: (bits &+ 0x7fff &+ (bits >> 16 & 1)) >> 16)
  }

  /// Decodes one bfloat16.
  @inline(__always)
  public static func decode(_ block: UnsafeRawPointer, into values: UnsafeMutablePointer<Float>) {
    values[0] = float(block.integer(0, as: UInt16.self))
  }

  /// Decodes consecutive bfloat16s.
  public static func decode(
    _ blocks: UnsafeRawPointer, count: Int, into values: UnsafeMutablePointer<Float>
  ) {
    for index in 0..<count { values[index] = float(blocks.integer(index &* 2, as: UInt16.self)) }
  }

  /// Encodes one bfloat16.
  @inline(__always)
  public static func encode(_ values: UnsafePointer<Float>, into block: UnsafeMutableRawPointer) {
    block.store(bits(values[0]), at: 0)
  }
}
