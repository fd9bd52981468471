import SalanganeFiles

/// Why values could not be decoded or encoded.
public enum QuantizationError: Error, Equatable, Sendable {
  /// The type has no decoding to `Float`: complex numbers.
  case cannotDecode(TensorType)
  /// The type has no encoder here.
  case cannotEncode(TensorType)
  /// So many bytes of the type don't hold so many values.
  case sizeMismatch(TensorType, bytes: Int, values: Int)
  /// The value at the index is NaN, infinite or too great for the type's scale.
  case notRepresentable(TensorType, index: Int)
  /// A matrix `[rows, columns]` can't have a scale for each tile `[rows, columns]`.
  case invalidTiles(matrix: [Int], tile: [Int])
}

extension QuantizationError: CustomStringConvertible {
  /// One line that says what was expected.
  public var description: String {
    switch self {
    case .cannotDecode(let type): "\(type.name) has no decoding to 32-bit floats"
    case .cannotEncode(let type): "\(type.name) can't be written: no encoder for it"
    case .sizeMismatch(let type, let bytes, let values):
      "\(bytes) bytes of \(type.name) don't hold \(values) values"
    case .notRepresentable(let type, let index):
      "value \(index) is not finite or too great for \(type.name)"
    case .invalidTiles(let matrix, let tile):
      "a matrix of shape \(matrix) can't be divided into tiles of shape \(tile)"
    }
  }
}
