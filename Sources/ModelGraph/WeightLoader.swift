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
    try StoredValues.floats(of: tensor)
  }

  /// The first of `names` that the checkpoint has, a matrix with at least as many rows.
  ///
  /// - Throws: `ModelFileError` for a missing tensor or a wrong shape or type.
  package func matrix(_ names: [String], rows: Int, columns: Int) throws(ModelFileError) -> StoredTensor {
    let name = names.first { checkpoint[$0] != nil } ?? names[0]
    let tensor = try checkpoint.tensor(name)
    guard tensor.shape.count == 2, tensor.shape[0] >= rows, tensor.shape[1] == columns else {
      throw ModelFileError(
        .malformed, file: tensor.file.path, subject: name,
        expectation: "expected at least \(rows) rows of \(columns) values, found shape \(tensor.shape)")
    }
    return try decodable(name, shape: tensor.shape)
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
      let stored =
        part.mayHaveMoreRows
        ? try matrix(part.weight, rows: part.outputs, columns: inputs)
        : try tensor(part.weight, shape: [part.outputs, inputs])
      sources.append(
        try RowSource(stored, rows: part.outputs, order: part.order, checkpoint: checkpoint))
      guard !part.biases.isEmpty else { continue }
      var values: [Float] = []
      for piece in part.biases { values += try self.values(piece.names, count: piece.count) }
      precondition(values.count == part.outputs)
      bias = (bias ?? []) + values.indices.map { values[part.order.storedRow($0)] }
    }
    let outputs = parts.reduce(0) { $0 + $1.outputs }
    precondition(bias == nil || bias?.count == outputs, "all parts have a bias, or none")
    let table = RowTable(sources)
    if backend == .native, table.element != .f32 {
      return Linear(
        outputs: outputs, inputs: inputs, bias: bias, element: table.element, context: context
      ) { row, destination in table.copy(row, to: destination) }
    }
    return Linear(outputs: outputs, inputs: inputs, bias: bias, backend: backend, context: context) {
      row, destination in table.decode(row, into: destination)
    }
  }
}

/// One tensor of a linear layer: by which names it may go, and how many output features it has.
package struct LinearPart {
  /// The names that the weights may have.
  let weight: [String]
  /// The bias tensors, one after the other: the names that each may have, and its values; empty for none.
  let biases: [(names: [String], count: Int)]
  let outputs: Int
  let order: RowOrder
  /// Whether rows behind the first `outputs` are left out.
  let mayHaveMoreRows: Bool

  /// Describes a tensor with at most one bias.
  package init(weight: [String], bias: [String]?, outputs: Int) {
    self.init(weight: weight, biases: bias.map { [($0, outputs)] } ?? [], outputs: outputs)
  }

  /// Describes a tensor.
  package init(
    weight: [String], biases: [(names: [String], count: Int)], outputs: Int, order: RowOrder = .stored,
    mayHaveMoreRows: Bool = false
  ) {
    self.weight = weight
    self.biases = biases
    self.outputs = outputs
    self.order = order
    self.mayHaveMoreRows = mayHaveMoreRows
  }
}
