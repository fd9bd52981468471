import SalanganeFiles

/// IEEE 754 binary64, rounded to the nearest `Float`; of two equally near, the even one.
///
/// Magnitudes beyond the greatest `Float` become infinite.
public enum F64: BlockFormat {
  /// The type this format decodes.
  public static var type: TensorType { .f64 }

  /// Decodes one number.
  @inline(__always)
  public static func decode(_ block: UnsafeRawPointer, into values: UnsafeMutablePointer<Float>) {
    values[0] = Float(Double(bitPattern: block.integer(0, as: UInt64.self)))
  }
}
