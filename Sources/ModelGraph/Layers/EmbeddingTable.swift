import SalanganeFiles
import SalanganeQuantization

/// A table of vectors that stays in its file: rows are decoded when they are looked up.
package struct EmbeddingTable: Sendable {
  private let tensor: StoredTensor
  private let format: any BlockFormat.Type
  private let rowBytes: Int

  /// How many vectors there are.
  package let rows: Int
  /// Features of a vector.
  package let columns: Int

  /// Wraps a `[rows, columns]` tensor.
  ///
  /// - Throws: `ModelFileError` if the tensor isn't a matrix, or its type can't be decoded.
  package init(_ tensor: StoredTensor) throws(ModelFileError) {
    guard tensor.shape.count == 2, let rowBytes = tensor.type.byteCount(ofValues: tensor.shape[1]) else {
      throw ModelFileError(
        .malformed, file: tensor.file.path, subject: tensor.name,
        expectation: "expected a matrix, found shape \(tensor.shape)")
    }
    guard let format = Dequantizer.format(of: tensor.type) else {
      throw ModelFileError(
        .unsupported, file: tensor.file.path, subject: tensor.name,
        expectation: "expected a type that decodes to floats, found \(tensor.type.name)")
    }
    self.tensor = tensor
    self.format = format
    self.rowBytes = rowBytes
    rows = tensor.shape[0]
    columns = tensor.shape[1]
  }

  /// Checks that the table's file hasn't shrunk since it was opened: a call of the system, once a run.
  ///
  /// - Throws: `ModelFileError` of the kind `unreadable`.
  func checkFile() throws(ModelFileError) { try tensor.file.checkSize() }

  /// Writes vector `index`, `columns` floats.
  package func copyRow(_ index: Int, to destination: UnsafeMutablePointer<Float>) {
    precondition(index >= 0 && index < rows, "ids are checked before they get here")
    tensor.withUnsafeBytes { bytes in
      guard let base = bytes.baseAddress else { return }
      format.decode(
        base + index * rowBytes, count: columns / format.type.valuesPerBlock, into: destination)
    }
  }
}
