import SalanganeFiles
import SalanganeQuantization
import SalanganeTensors

/// Reads a checkpoint's tensors into the forms that layers compute with.
package struct WeightLoader {
  /// The model on disk.
  package let checkpoint: Checkpoint
  /// The threads that decode and pack.
  package let context: ComputeContext
  /// What the linear layers are packed for.
  package let backend: MatmulBackend

  private let cancellation: Cancellation
  private let progress: (@Sendable (Double) -> Void)?

  /// Creates a loader.
  ///
  /// - Parameter progress: Told the share of layers that are loaded.
  package init(
    checkpoint: Checkpoint, context: ComputeContext, backend: MatmulBackend, cancellation: Cancellation,
    progress: (@Sendable (Double) -> Void)?
  ) {
    self.checkpoint = checkpoint
    self.context = context
    self.backend = backend
    self.cancellation = cancellation
    self.progress = progress
  }

  /// To be called after each of `total` layers.
  ///
  /// - Throws: `CancellationError` if the model is no longer wanted.
  package func finishedLayer(_ index: Int, of total: Int) throws {
    try cancellation.check()
    progress?(Double(index + 1) / Double(total))
  }

  /// The first of `names` that the checkpoint has: for tensors whose names changed over time.
  ///
  /// - Throws: `ModelFileError` naming the first if there is none, or a wrong shape.
  package func tensor(_ names: [String], shape: [Int]) throws(ModelFileError) -> StoredTensor {
    for name in names where checkpoint[name] != nil { return try decodable(name, shape: shape) }
    return try checkpoint.tensor(names[0], shape: shape)
  }

  private func decodable(_ name: String, shape: [Int]) throws(ModelFileError) -> StoredTensor {
    let tensor = try checkpoint.tensor(name, shape: shape)
    guard Dequantizer.canDecode(tensor.type) else {
      throw ModelFileError(
        .unsupported, file: tensor.file.path, subject: tensor.name,
        expectation: "expected a type that decodes to floats, found \(tensor.type.name)")
    }
    return tensor
  }

  /// All values of a small tensor, such as a bias or a norm's weight.
  ///
  /// - Throws: `ModelFileError` for a missing tensor, a wrong shape, or values that aren't finite.
  package func values(_ names: [String], count: Int) throws(ModelFileError) -> [Float] {
    try values(of: tensor(names, shape: [count]))
  }

  /// All values of a tensor.
  package func values(of tensor: StoredTensor) throws(ModelFileError) -> [Float] {
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

  /// A linear layer out of one or several weight tensors, whose output features follow each other.
  ///
  /// - Parameters:
  ///   - parts: For each tensor, the names of weight and bias (nil for a layer without) and its output
  ///     features.
  ///   - inputs: Input features.
  /// - Throws: `ModelFileError` for a missing tensor or a wrong shape or type.
  package func linear(_ parts: [LinearPart], inputs: Int) throws(ModelFileError) -> Linear {
    var sources: [RowSource] = []
    var bias: [Float]?
    for part in parts {
      let stored = try tensor(part.weight, shape: [part.outputs, inputs])
      guard let source = RowSource(stored) else {
        throw ModelFileError(
          .unsupported, file: stored.file.path, subject: stored.name,
          expectation: "expected a type that decodes to floats, found \(stored.type.name)")
      }
      sources.append(source)
      if let name = part.bias {
        bias = (bias ?? []) + (try values(name, count: part.outputs))
      }
    }
    let outputs = parts.reduce(0) { $0 + $1.outputs }
    precondition(bias == nil || bias?.count == outputs, "all parts have a bias, or none")
    let table = RowTable(sources)
    return Linear(outputs: outputs, inputs: inputs, bias: bias, backend: backend, context: context) {
      row, destination in table.decode(row, into: destination)
    }
  }
}

/// One tensor of a linear layer: by which names it may go, and how many output features it has.
package struct LinearPart {
  let weight: [String]
  let bias: [String]?
  let outputs: Int

  /// Describes a tensor.
  package init(weight: [String], bias: [String]?, outputs: Int) {
    self.weight = weight
    self.bias = bias
    self.outputs = outputs
  }
}

/// The rows of a stored matrix, decoded one at a time.
private struct RowSource: Sendable {
  let tensor: StoredTensor
  let format: any BlockFormat.Type
  let rowBytes: Int

  init?(_ tensor: StoredTensor) {
    guard let format = Dequantizer.format(of: tensor.type),
      let rowBytes = tensor.type.byteCount(ofValues: tensor.shape[1])
    else { return nil }
    self.tensor = tensor
    self.format = format
    self.rowBytes = rowBytes
  }
}

/// Several matrices on top of each other, as one.
private struct RowTable: Sendable {
  private let sources: [RowSource]

  init(_ sources: [RowSource]) { self.sources = sources }

  func decode(_ row: Int, into destination: UnsafeMutablePointer<Float>) {
    var row = row
    for source in sources {
      let rows = source.tensor.shape[0]
      if row < rows {
        let columns = source.tensor.shape[1]
        source.tensor.withUnsafeBytes { bytes in
          guard let base = bytes.baseAddress else { return }
          source.format.decode(
            base + row * source.rowBytes, count: columns / source.format.type.valuesPerBlock,
            into: destination)
        }
        return
      }
      row -= rows
    }
  }
}
