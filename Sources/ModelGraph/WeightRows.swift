import SalanganeFiles
import SalanganeKernels
import SalanganeQuantization
import SalanganeTensors

/// In which order a tensor's rows become the output features of a layer.
package enum RowOrder: Sendable, Equatable {
  /// As they are stored.
  case stored
  /// In the first `heads` heads, features that are rotated together move from neighbouring rows to half of the
  /// rotated part apart, which begins `offset` features into a head. Scores don't change when queries and keys
  /// move alike.
  case rotaryNeighbours(heads: Int, headDimension: Int, rotaryDimension: Int, offset: Int = 0)

  /// The stored row of an output feature.
  func storedRow(_ row: Int) -> Int {
    switch self {
    case .stored: return row
    case .rotaryNeighbours(let heads, let headDimension, let rotaryDimension, let offset):
      let feature = row % headDimension - offset
      guard row < heads * headDimension, (0..<rotaryDimension).contains(feature) else { return row }
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
  fileprivate let tensor: StoredTensor
  fileprivate let format: any BlockFormat.Type
  fileprivate let rowBytes: Int
  fileprivate let order: RowOrder
  private let tiles: (layout: FP8BlockScaled, scales: [Float])?

  /// How many of the tensor's rows are used.
  let rows: Int

  /// Describes the first `rows` rows of a matrix.
  ///
  /// FP8 matrices of safetensors come with a scale for each tile (DeepSeek-V3 and Qwen's FP8 models).
  ///
  /// - Parameter slice: Which of several matrices that are stacked in the tensor; nil for a tensor that is one.
  /// - Throws: `ModelFileError` for a type that has no decoding, or scales of another kind.
  init(
    _ stored: StoredTensor, slice: Int? = nil, rows: Int, order: RowOrder = .stored, checkpoint: Checkpoint
  ) throws(ModelFileError) {
    let tensor = slice.map(stored.slice) ?? stored
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
    tiles = try Self.tiles(of: tensor, stack: slice.map { ($0, stored.shape[0]) }, checkpoint)
  }

  private static func tiles(
    of tensor: StoredTensor, stack: (index: Int, count: Int)?, _ checkpoint: Checkpoint
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
    let shape = [layout.scaleRows, layout.scaleColumns]
    var scales = try checkpoint.tensor(
      tensor.name + "_scale_inv", shape: stack.map { [$0.count] + shape } ?? shape)
    if let stack { scales = scales.slice(stack.index) }
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

/// What the weights of a matrix are kept as.
enum MatrixForm: Equatable {
  /// Quantised, packed or as they are stored.
  case quantized(QuantizedFormat)
  /// Floats of 16 bits.
  case halves(PackedMatrix.Element)
  /// Floats, in the form of a backend.
  case floats
}

extension RowSource {
  /// What the rows are kept as.
  func form(_ options: WeightOptions) -> MatrixForm {
    if let format = quantizedForm(options) { return .quantized(format) }
    return options.backend == .native && element != .f32 ? .halves(element) : .floats
  }

  /// The packed form of the rows; nil if they are to be floats.
  func quantizedForm(_ options: WeightOptions) -> QuantizedFormat? {
    switch options.precision {
    case .float: nil
    case .stored: storedForm
    case .int8: storedForm ?? (tensor.shape[1] % 32 == 0 ? .q8_0 : nil)
    }
  }

  private var storedForm: QuantizedFormat? {
    format is any IntegerBlockFormat.Type ? QuantizedFormat(tensor.type) : nil
  }

  /// Takes a row's blocks apart; a row of floats is quantised first.
  func split(_ row: Int, codes: UnsafeMutablePointer<UInt8>, scales: UnsafeMutableRawPointer) {
    let columns = tensor.shape[1]
    guard let format = format as? any IntegerBlockFormat.Type else {
      withUnsafeTemporaryAllocation(of: Float.self, capacity: columns) { values in
        withUnsafeTemporaryAllocation(byteCount: columns / 32 * Q8_0.bytesPerBlock, alignment: 16) { blocks in
          guard let values = values.baseAddress, let blocks = blocks.baseAddress else { return }
          decode(row, into: values)
          Q8_0.encode(values, count: columns / 32, into: blocks)
          Q8_0.split(blocks, count: columns / 32, codes: codes, scales: scales)
        }
      }
      return
    }
    tensor.withUnsafeBytes { bytes in
      guard let base = bytes.baseAddress else { return }
      format.split(
        base + order.storedRow(row) * rowBytes, count: columns / format.valuesPerBlock, codes: codes,
        scales: scales)
    }
  }
}

/// Several matrices on top of each other, as one.
struct RowTable: QuantizedRowSource {
  private let sources: [RowSource]

  init(_ sources: [RowSource]) { self.sources = sources }

  func split(_ row: Int, codes: UnsafeMutablePointer<UInt8>, scales: UnsafeMutableRawPointer) {
    guard let (source, row) = source(of: row) else { return }
    source.split(row, codes: codes, scales: scales)
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
