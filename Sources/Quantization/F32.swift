import SalanganeFiles

/// IEEE 754 binary32: the values themselves, bit for bit.
public enum F32: EncodableBlockFormat {
  /// The type this format decodes.
  public static var type: TensorType { .f32 }

  /// Any value is its own encoding.
  public static var greatestMagnitude: Float? { nil }

  /// Copies one value.
  @inline(__always)
  public static func decode(_ block: UnsafeRawPointer, into values: UnsafeMutablePointer<Float>) {
    values[0] = block.single(0)
  }

  /// Copies consecutive values.
  public static func decode(
    _ blocks: UnsafeRawPointer, count: Int, into values: UnsafeMutablePointer<Float>
  ) {
    // All platforms of this package are little-endian, as the files are.
    UnsafeMutableRawPointer(values).copyMemory(from: blocks, byteCount: count &* 4)
  }

  /// Copies one value.
  @inline(__always)
  public static func encode(_ values: UnsafePointer<Float>, into block: UnsafeMutableRawPointer) {
    block.store(values[0].bitPattern, at: 0)
  }
}
