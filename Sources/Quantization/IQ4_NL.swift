import SalanganeFiles

/// 32 values of 4-bit non-linear codes with one scale: `d: f16`, `q: uint8[16]`; value = `d * code[q]`.
///
/// Nibbles are laid out as in `Q4_0`.
public enum IQ4_NL: IntegerBlockFormat {
  /// The type this format decodes.
  public static var type: TensorType { .iq4_NL }

  /// Decodes one block of 32 values.
  @inline(__always)
  public static func decode(_ block: UnsafeRawPointer, into values: UnsafeMutablePointer<Float>) {
    let scale = block.half(0)
    for index in 0..<16 {
      let pair = block.byte(2 &+ index)
      values[index] = scale * CodeBook.nonlinear[Int(pair & 15)]
      values[index &+ 16] = scale * CodeBook.nonlinear[Int(pair >> 4)]
    }
  }

  /// Bytes of a block's scales, split.
  public static var scaleBytesPerBlock: Int { 2 }

  /// Takes a block apart into codes and scales.
  @inline(__always)
  public static func split(
    _ block: UnsafeRawPointer, codes: UnsafeMutablePointer<UInt8>, scales: UnsafeMutableRawPointer
  ) {
    splitNibbles(block + 2, codes)
    scales.copyBytes(2, from: block)
  }
}
