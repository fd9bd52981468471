import SalanganeFiles

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
