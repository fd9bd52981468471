import SalanganeFiles
import SalanganeQuantization

/// The values of a tensor that is written, row by row along its last dimension.
protocol TensorRows: Sendable {
  /// How many rows there are: the product of all dimensions but the last.
  var count: Int { get }
  /// The values of a row.
  var columns: Int { get }

  /// Decodes consecutive rows.
  ///
  /// - Parameters:
  ///   - rows: Rows of the tensor.
  ///   - values: Room for `rows.count * columns` values.
  func decode(_ rows: Range<Int>, into values: UnsafeMutablePointer<Float>)
}

/// The rows of a stored tensor, as they are stored.
struct StoredRows: TensorRows {
  let tensor: StoredTensor
  let count: Int
  let columns: Int
  private let format: any BlockFormat.Type
  private let rowBytes: Int

  /// Takes a stored tensor.
  ///
  /// - Throws: `ModelFileError` for a type that has no decoding, or that doesn't fill whole rows.
  init(_ tensor: StoredTensor) throws(ModelFileError) {
    let columns = tensor.shape.last ?? 1
    guard let format = Dequantizer.format(of: tensor.type),
      let rowBytes = tensor.type.byteCount(ofValues: columns)
    else {
      throw ModelFileError(
        .unsupported, file: tensor.file.path, subject: tensor.name,
        expectation: "expected a type that decodes to floats, found \(tensor.type.name)")
    }
    self.tensor = tensor
    self.columns = columns
    self.format = format
    self.rowBytes = rowBytes
    count = tensor.shape.dropLast().reduce(1, *)
  }

  func decode(_ rows: Range<Int>, into values: UnsafeMutablePointer<Float>) {
    tensor.withUnsafeBytes { bytes in
      guard let base = bytes.baseAddress else { return }
      format.decode(
        base + rows.lowerBound * rowBytes, count: rows.count * columns / format.type.valuesPerBlock,
        into: values)
    }
  }
}
