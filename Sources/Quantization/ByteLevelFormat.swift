/// A format whose values are whole levels of -128 to 127 times a scale, one scale for each 16 values.
///
/// Taken apart, codes are the levels with 128 added and scales are floats: the form of formats whose bits the
/// kernels don't read.
public protocol ByteLevelFormat: IntegerBlockFormat {
  /// Takes a block apart.
  ///
  /// - Parameters:
  ///   - block: `bytesPerBlock` bytes, at any alignment.
  ///   - codes: Room for `valuesPerBlock` levels with 128 added.
  ///   - scales: Room for `valuesPerBlock / 16` floats, at any alignment.
  static func split(
    _ block: UnsafeRawPointer, codes: UnsafeMutablePointer<UInt8>, scales: UnsafeMutableRawPointer)
}

extension ByteLevelFormat {
  /// Bytes of a block's scales, split.
  public static var scaleBytesPerBlock: Int { valuesPerBlock / 16 * MemoryLayout<Float>.stride }

  /// Decodes one block: each value is its level times its scale.
  @inline(__always)
  public static func decode(_ block: UnsafeRawPointer, into values: UnsafeMutablePointer<Float>) {
    // The largest blocks have 256 values.
    var codes = InlineArray<256, UInt8>(repeating: 0)
    var scales = InlineArray<16, Float>(repeating: 0)
    withUnsafeMutableBytes(of: &codes) { codes in
      withUnsafeMutableBytes(of: &scales) { scales in
        guard let codes = codes.baseAddress, let scales = scales.baseAddress else { return }
        split(block, codes: codes.assumingMemoryBound(to: UInt8.self), scales: scales)
      }
    }
    for sixteen in 0..<valuesPerBlock / 16 {
      let scale = scales[unchecked: sixteen]
      for index in sixteen &* 16..<sixteen &* 16 &+ 16 {
        values[index] = scale * Float(Int32(codes[unchecked: index]) &- 128)
      }
    }
  }
}

extension UnsafeMutableRawPointer {
  /// Writes a float in the machine's byte order: the scale of 16 values.
  @inline(__always)
  func storeScale(_ scale: Float, at index: Int) {
    storeBytes(of: scale, toByteOffset: index &* 4, as: Float.self)
  }
}
