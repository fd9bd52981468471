import SalanganeFiles

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// 32 values of E2M1 with a power of two as their scale: `e: E8M0`, `q: uint8[16]`; value = `2^(e - 127) * E2M1`.
///
/// Nibbles are laid out as in `Q4_0`. As in ggml, `e` of 255 isn't NaN but 2^128, and products beyond the
/// greatest `Float` are infinite. Source: OCP Microscaling Formats (MX) Specification 1.0.
public enum MXFP4: IntegerBlockFormat {
  /// The type this format decodes.
  public static var type: TensorType { .mxfp4 }

  /// Decodes one block of 32 values.
  @inline(__always)
  public static func decode(_ block: UnsafeRawPointer, into values: UnsafeMutablePointer<Float>) {
    let scale = halfPower(block.byte(0))
    for index in 0..<16 {
      let pair = block.byte(1 &+ index)
      values[index] = scale * CodeBook.doubledE2M1[Int(pair & 15)]
      values[index &+ 16] = scale * CodeBook.doubledE2M1[Int(pair >> 4)]
    }
  }

  /// 2^(exponent - 128), half of what E8M0 means, because the code is doubled.
  ///
  /// Exact, subnormals included.
  @inline(__always)
  static func halfPower(_ exponent: UInt8) -> Float {
    let bits = exponent < 2 ? 0x0020_0000 << UInt32(exponent) : UInt32(exponent &- 1) << 23
    return Float(bitPattern: bits)
  }

  /// Bytes of a block's scales, split.
  public static var scaleBytesPerBlock: Int { 1 }

  /// Takes a block apart into codes and scales.
  @inline(__always)
  public static func split(
    _ block: UnsafeRawPointer, codes: UnsafeMutablePointer<UInt8>, scales: UnsafeMutableRawPointer
  ) {
    splitNibbles(block + 1, codes)
    scales.copyBytes(1, from: block)
  }
}

extension MXFP4: EncodableBlockFormat {
  /// Any finite value has a scale.
  public static var greatestMagnitude: Float? { .greatestFiniteMagnitude }

  /// Encodes one block of 32 values.
  ///
  /// The scale is the power of two that brings the greatest magnitude to E2M1's greatest exponent, 2 (section
  /// 6.3 of the specification); codes halfway between two values go towards zero, as in ggml.
  public static func encode(_ values: UnsafePointer<Float>, into block: UnsafeMutableRawPointer) {
    let magnitude = extremeValue(values, count: 32).magnitude
    var exponent: UInt8 = 0
    if magnitude > 0, magnitude <= .greatestFiniteMagnitude {
      // ggml's rounded logarithm, which reaches the next integer a little before the magnitude does.
      let power = Int(log2f(magnitude).rounded(.down))
      exponent = UInt8(min(max(power - 2 + 127, 0), 252))
    }
    block.store(exponent, at: 0)
    let half = halfPower(exponent)
    for index in 0..<16 {
      let low = code(values[index], half: half)
      block.store(low | code(values[index &+ 16], half: half) << 4, at: 1 &+ index)
    }
  }

  /// The code nearest to a value; 0 for NaN.
  @inline(__always)
  private static func code(_ value: Float, half: Float) -> UInt8 {
    let magnitude = value.magnitude
    var code: UInt8 = 0
    // The midpoints between the doubled magnitudes; products with a power of two are exact.
    for step in 0..<7 { code &+= magnitude > half * midpoints[unchecked: step] ? 1 : 0 }
    return value < 0 && code > 0 ? code | 8 : code
  }

  private static let midpoints: InlineArray<7, Float> = [0.5, 1.5, 2.5, 3.5, 5, 7, 10]
}
