import SalanganeFiles

/// Encoding of 32-bit floats to the types that have an encoder.
///
/// Encoding is pure, and a block depends on its own values only: to use several threads, give each a range of whole blocks.
public enum Quantizer {
  /// True if there is an encoder of the type.
  public static func canEncode(_ type: TensorType) -> Bool {
    format(of: type) != nil
  }

  /// The format that encodes a type, or nil if it has no encoder here.
  public static func format(of type: TensorType) -> (any EncodableBlockFormat.Type)? {
    Dequantizer.format(of: type) as? any EncodableBlockFormat.Type
  }

  /// Encodes values into whole blocks.
  ///
  /// - Parameters:
  ///   - type: The type to encode to.
  ///   - values: The values; as many as fill whole blocks.
  ///   - bytes: Room for exactly those blocks, at any alignment, which doesn't overlap the values.
  /// - Throws: `QuantizationError.cannotEncode`; `sizeMismatch` if the values don't fill whole blocks or the
  ///   bytes aren't as many as those blocks take; `notRepresentable` if a block type meets a value that is
  ///   NaN, infinite or beyond what its scale can hold. Then the bytes hold nothing of use.
  public static func encode(
    _ type: TensorType, _ values: UnsafeBufferPointer<Float>,
    into bytes: UnsafeMutableRawBufferPointer
  ) throws(QuantizationError) {
    guard let format = format(of: type) else { throw .cannotEncode(type) }
    guard type.byteCount(ofValues: values.count) == bytes.count else {
      throw .sizeMismatch(type, bytes: bytes.count, values: values.count)
    }
    guard let source = values.baseAddress, let destination = bytes.baseAddress else { return }
    if let greatest = format.greatestMagnitude {
      // The comparison is false for NaN too.
      for index in 0..<values.count where !(source[index].magnitude <= greatest) {
        throw .notRepresentable(type, index: index)
      }
    }
    format.encode(source, count: values.count / type.valuesPerBlock, into: destination)
  }
}
