import SalanganeFiles

/// IEEE 754 binary16: 1 sign bit, 5 exponent bits, 10 fraction bits.
public enum F16: EncodableBlockFormat {
  /// The type this format decodes.
  public static var type: TensorType { .f16 }

  /// Any value has a half: magnitudes of 65,520 and above become infinite, as IEEE 754 rounds them.
  public static var greatestMagnitude: Float? { nil }

  /// The exact value of a half.
  ///
  /// A NaN keeps its sign and payload, and a signalling one stays signalling: only bits are moved.
  @inline(__always)
  public static func float(_ bits: UInt16) -> Float {
    let magnitude = UInt32(bits & 0x7fff) << 13
    let finite = widenedMagnitude(magnitude, bias: 15)
    // The highest exponent means infinity or NaN in both formats.
    let widened = magnitude < 0x0f80_0000 ? finite : magnitude | 0x7f80_0000
    return Float(bitPattern: widened | UInt32(bits & 0x8000) << 16)
  }

  /// The half nearest to a value; of two equally near, the even one.
  ///
  /// A NaN becomes a quiet NaN of the same sign with the upper bits of its payload.
  @inline(__always)
  public static func bits(_ value: Float) -> UInt16 {
    let magnitude = value.magnitude.bitPattern
    let rounded: UInt32
    if magnitude > 0x7f80_0000 {
      rounded = 0x7e00 | (magnitude >> 13 & 0x1ff)
    } else if magnitude < 0x3880_0000 {
      // Below 2^-14 halves are multiples of 2^-24, the spacing of the floats from 0.5: let the sum round.
      rounded = (value.magnitude + 0.5).bitPattern &- Float(0.5).bitPattern
    } else {
      let nearest = (magnitude &- (112 << 23) &+ 0xfff &+ (magnitude >> 13 & 1)) >> 13
      rounded = min(nearest, 0x7c00)
    }
    return UInt16(truncatingIfNeeded: rounded | value.bitPattern >> 16 & 0x8000)
  }

  /// Decodes one half.
  @inline(__always)
  public static func decode(_ block: UnsafeRawPointer, into values: UnsafeMutablePointer<Float>) {
    values[0] = block.half(0)
  }

  /// Decodes consecutive halves.
  public static func decode(
    _ blocks: UnsafeRawPointer, count: Int, into values: UnsafeMutablePointer<Float>
  ) {
    for index in 0..<count { values[index] = blocks.half(index &* 2) }
  }

  /// Encodes one half.
  @inline(__always)
  public static func encode(_ values: UnsafePointer<Float>, into block: UnsafeMutableRawPointer) {
    block.storeHalf(values[0], at: 0)
  }
}
