import SalanganeFiles

/// 8-bit floats with 4 exponent bits (bias 7) and 3 fraction bits, without infinities: `float8_e4m3fn`.
///
/// Source: Micikevicius et al., "FP8 Formats for Deep Learning" (arXiv:2209.05433). The two patterns with all
/// seven lower bits set are NaN; the greatest magnitude is 448.
public enum F8_E4M3: BlockFormat {
  /// The type this format decodes.
  public static var type: TensorType { .f8_E4M3 }

  /// The exact value of a pattern.
  ///
  /// NaN keeps its sign and is quiet.
  @inline(__always)
  public static func float(_ bits: UInt8) -> Float {
    let magnitude = UInt32(bits & 0x7f) << 20
    let finite = widenedMagnitude(magnitude, bias: 7)
    let widened = magnitude == 0x07f0_0000 ? Float.nan.bitPattern : finite
    return Float(bitPattern: widened | UInt32(bits & 0x80) << 24)
  }

  /// Decodes one number.
  @inline(__always)
  public static func decode(_ block: UnsafeRawPointer, into values: UnsafeMutablePointer<Float>) {
    values[0] = float(block.byte(0))
  }

  /// Decodes consecutive numbers.
  public static func decode(
    _ blocks: UnsafeRawPointer, count: Int, into values: UnsafeMutablePointer<Float>
  ) {
    for index in 0..<count { values[index] = float(blocks.byte(index)) }
  }
}

/// 8-bit floats with 5 exponent bits (bias 15) and 2 fraction bits: the upper half of a half, `float8_e5m2`.
///
/// Source: Micikevicius et al., "FP8 Formats for Deep Learning" (arXiv:2209.05433).
public enum F8_E5M2: BlockFormat {
  /// The type this format decodes.
  public static var type: TensorType { .f8_E5M2 }

  /// The exact value of a pattern.
  ///
  /// NaN keeps its sign and payload, as in `F16`.
  @inline(__always)
  public static func float(_ bits: UInt8) -> Float {
    F16.float(UInt16(bits) << 8)
  }

  /// Decodes one number.
  @inline(__always)
  public static func decode(_ block: UnsafeRawPointer, into values: UnsafeMutablePointer<Float>) {
    values[0] = float(block.byte(0))
  }

  /// Decodes consecutive numbers.
  public static func decode(
    _ blocks: UnsafeRawPointer, count: Int, into values: UnsafeMutablePointer<Float>
  ) {
    for index in 0..<count { values[index] = float(blocks.byte(index)) }
  }
}

/// Powers of two from 2^-127 to 2^127 in 8 bits, as scales: `float8_e8m0fnu`.
///
/// Source: OCP Microscaling Formats (MX) Specification 1.0, section 5.4.1. Pattern 255 is NaN.
public enum F8_E8M0: BlockFormat {
  /// The type this format decodes.
  public static var type: TensorType { .f8_E8M0 }

  /// The exact value of a pattern; pattern 0 is the subnormal 2^-127.
  @inline(__always)
  public static func float(_ bits: UInt8) -> Float {
    switch bits {
    case 0: Float(bitPattern: 1 << 22)
    case 255: .nan
    default: Float(bitPattern: UInt32(bits) << 23)
    }
  }

  /// Decodes one number.
  @inline(__always)
  public static func decode(_ block: UnsafeRawPointer, into values: UnsafeMutablePointer<Float>) {
    values[0] = float(block.byte(0))
  }
}
