import SalanganeFiles
import SalanganeQuantization
import SalanganeTensors

/// In which order a tensor's rows become the output features of a layer.
package enum RowOrder: Sendable, Equatable {
  /// As they are stored.
  case stored
  /// In the first `heads` heads, features that are rotated together move from neighbouring rows to half of the
  /// rotated part apart. Scores don't change when queries and keys move alike.
  case rotaryNeighbours(heads: Int, headDimension: Int, rotaryDimension: Int)

  /// The stored row of an output feature.
  func storedRow(_ row: Int) -> Int {
    switch self {
    case .stored: return row
    case .rotaryNeighbours(let heads, let headDimension, let rotaryDimension):
      let feature = row % headDimension
      guard row < heads * headDimension, feature < rotaryDimension else { return row }
      let half = rotaryDimension / 2
      return row - feature + (feature < half ? 2 * feature : 2 * (feature - half) + 1)
    }
  }
}

/// All values of a stored tensor.
enum StoredValues {
  /// Decodes a tensor.
  ///
  /// - Throws: `ModelFileError` for a type that has no decoding, or values that aren't finite.
  static func floats(of tensor: StoredTensor) throws(ModelFileError) -> [Float] {
    var values = [Float](repeating: 0, count: tensor.elementCount)
    do {
      try tensor.withUnsafeBytes { bytes in
        try values.withUnsafeMutableBufferPointer { try Dequantizer.decode(tensor.type, bytes, into: $0) }
      }
    } catch {
      throw ModelFileError(
        .malformed, file: tensor.file.path, subject: tensor.name, expectation: "\(error)")
    }
    guard values.allSatisfy(\.isFinite) else {
      throw ModelFileError(
        .malformed, file: tensor.file.path, subject: tensor.name, expectation: "expected finite values")
    }
    return values
  }
}

/// The rows of a stored matrix, decoded one at a time.
struct RowSource: Sendable {
  private let tensor: StoredTensor
  private let format: any BlockFormat.Type
  private let rowBytes: Int
  private let order: RowOrder
  private let tiles: (layout: FP8BlockScaled, scales: [Float])?

  /// How many of the tensor's rows are used.
  let rows: Int

  /// Describes the first `rows` rows of a matrix.
  ///
  /// FP8 matrices of safetensors come with a scale for each tile (DeepSeek-V3 and Qwen's FP8 models).
  ///
  /// - Throws: `ModelFileError` for a type that has no decoding, or scales of another kind.
  init(
    _ tensor: StoredTensor, rows: Int, order: RowOrder, checkpoint: Checkpoint
  ) throws(ModelFileError) {
    guard let format = Dequantizer.format(of: tensor.type),
      let rowBytes = tensor.type.byteCount(ofValues: tensor.shape[1])
    else {
      throw ModelFileError(
        .unsupported, file: tensor.file.path, subject: tensor.name,
        expectation: "expected a type that decodes to floats, found \(tensor.type.name)")
    }
    self.tensor = tensor
    self.format = format
    self.rowBytes = rowBytes
    self.rows = rows
    self.order = order
    tiles = try Self.tiles(of: tensor, checkpoint)
  }

  private static func tiles(
    of tensor: StoredTensor, _ checkpoint: Checkpoint
  ) throws(ModelFileError) -> (layout: FP8BlockScaled, scales: [Float])? {
    guard tensor.type == .f8_E4M3, checkpoint.format == .safetensors else { return nil }
    let key = HyperparameterKey("quantization_config.weight_block_size")
    let size = try checkpoint.hyperparameters.optionalInts(key, in: 1...(1 << 20)) ?? [128, 128]
    guard size.count == 2 else {
      throw checkpoint.hyperparameters.failure(key, "expected two sizes, found \(size.count)")
    }
    guard
      let layout = try? FP8BlockScaled(
        rows: tensor.shape[0], columns: tensor.shape[1], tileRows: size[0], tileColumns: size[1])
    else { return nil }
    let scales = try checkpoint.tensor(
      tensor.name + "_scale_inv", shape: [layout.scaleRows, layout.scaleColumns])
    return (layout, try StoredValues.floats(of: scales))
  }

  /// What packed weights can be kept as without a change, if not only as floats.
  var element: PackedMatrix.Element {
    switch tensor.type {
    case .f16: .f16
    case .bf16: .bf16
    default: .f32
    }
  }

  /// Copies a row of 16-bit weights as it is stored.
  func copy(_ row: Int, to destination: UnsafeMutableRawPointer) {
    precondition(element != .f32)
    let start = order.storedRow(row) * rowBytes
    tensor.withUnsafeBytes { bytes in
      guard let base = bytes.baseAddress else { return }
      destination.copyMemory(from: base + start, byteCount: rowBytes)
    }
  }

  /// Decodes a row to floats.
  func decode(_ row: Int, into destination: UnsafeMutablePointer<Float>) {
    let row = order.storedRow(row)
    let columns = tensor.shape[1]
    tensor.withUnsafeBytes { bytes in
      guard let base = bytes.baseAddress else { return }
      if let tiles {
        tiles.scales.withUnsafeBufferPointer { scales in
          let values = UnsafeMutableBufferPointer(start: destination, count: columns)
          do {
            try tiles.layout.decode(rows: row..<row + 1, of: bytes, scales: scales, into: values)
          } catch {
            preconditionFailure("the shapes were checked when the tensor was found: \(error)")
          }
        }
      } else {
        format.decode(
          base + row * rowBytes, count: columns / format.type.valuesPerBlock, into: destination)
      }
    }
  }
}

/// Several matrices on top of each other, as one.
struct RowTable: Sendable {
  private let sources: [RowSource]

  init(_ sources: [RowSource]) { self.sources = sources }

  /// What all weights can be kept as without a change.
  var element: PackedMatrix.Element {
    guard let first = sources.first?.element else { return .f32 }
    return sources.allSatisfy { $0.element == first } ? first : .f32
  }

  /// Copies a row of 16-bit weights as it is stored.
  func copy(_ row: Int, to destination: UnsafeMutableRawPointer) {
    guard let (source, row) = source(of: row) else { return }
    source.copy(row, to: destination)
  }

  /// Decodes a row to floats.
  func decode(_ row: Int, into destination: UnsafeMutablePointer<Float>) {
    guard let (source, row) = source(of: row) else { return }
    source.decode(row, into: destination)
  }

  private func source(of row: Int) -> (RowSource, row: Int)? {
    var row = row
    for source in sources {
      if row < source.rows { return (source, row) }
      row -= source.rows
    }
    return nil
  }
}
