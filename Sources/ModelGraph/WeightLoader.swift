import SalanganeFiles
import SalanganeKernels
import SalanganeQuantization
import SalanganeTensors

/// The forms that a model's weights are brought into.
package struct WeightOptions: Sendable {
  /// How products with float weights are computed.
  package var backend: MatmulBackend
  /// What becomes of quantised weights, and of float ones.
  package var precision: WeightPrecision
  /// Whether quantised weights are packed when they are loaded, or whenever they are used.
  package var packs: Bool
  /// How many experts a token uses, at most as many as the model allows; nil for what it says itself.
  package var usedExperts: Int?

  /// Creates options; every one has a default.
  package init(
    backend: MatmulBackend = .native, precision: WeightPrecision = .stored, packs: Bool = true,
    usedExperts: Int? = nil
  ) {
    self.backend = backend
    self.precision = precision
    self.packs = packs
    self.usedExperts = usedExperts
  }
}

/// What weights are multiplied as.
public enum WeightPrecision: String, CaseIterable, Sendable {
  /// As they are stored: quantised weights meet activations of 8 bits, others meet floats.
  case stored
  /// As floats: quantised weights are decoded.
  case float
  /// As integers of 8 bits, 32 with a scale (Q8_0), where they are stored as floats; quantised weights stay what they
  /// are. Activations have 8 bits.
  case int8
}

/// Reads a checkpoint's tensors into the forms that layers compute with.
package struct WeightLoader {
  /// The model on disk.
  package let checkpoint: Checkpoint
  /// The threads that decode and pack.
  package let context: ComputeContext
  /// The forms that weights are brought into.
  package let options: WeightOptions

  private let cancellation: Cancellation
  private let progress: (@Sendable (Double) -> Void)?
  /// Counts what weights would take, in place of loading them; nil to load them.
  let tally: WeightTally?

  /// Creates a loader.
  ///
  /// - Parameter progress: Told the share of layers that are loaded.
  package init(
    checkpoint: Checkpoint, context: ComputeContext, options: WeightOptions, cancellation: Cancellation,
    progress: (@Sendable (Double) -> Void)?
  ) {
    self.checkpoint = checkpoint
    self.context = context
    self.options = options
    self.cancellation = cancellation
    self.progress = progress
    tally = nil
  }

  /// Creates a loader that finds all tensors and counts what they would take, and gives layers without weights.
  ///
  /// - Parameter tally: Where the bytes are counted.
  package init(measuring checkpoint: Checkpoint, options: WeightOptions, tally: WeightTally) {
    self.checkpoint = checkpoint
    self.options = options
    self.tally = tally
    context = ComputeContext(team: ThreadTeam(), threads: 1, kernels: .portable)
    cancellation = Cancellation()
    progress = nil
  }

  /// To be called after each of `total` layers.
  ///
  /// - Throws: `CancellationError` if the model is no longer wanted; `ModelFileError` if a mapped file has changed.
  package func finishedLayer(_ index: Int, of total: Int) throws {
    try cancellation.check()
    if tally == nil { for file in checkpoint.files { try file.checkUnchanged() } }
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
    // Integers without scales decode too, but no model has such weights: they are packed, or the type is wrong.
    guard Dequantizer.canDecode(tensor.type), !tensor.type.isPlainInteger else {
      throw ModelFileError(
        .unsupported, file: tensor.file.path, subject: tensor.name,
        expectation: "expected floats or a quantised type, found \(tensor.type.name)")
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
  ///   - precision: What weights are multiplied as; nil for what the options say.
  /// - Throws: `ModelFileError` for a missing tensor or a wrong shape or type.
  package func linear(
    _ parts: [LinearPart], inputs: Int, precision: WeightPrecision? = nil
  ) throws(ModelFileError) -> Linear {
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
    var options = options
    if let precision { options.precision = precision }
    return Linear(try runs(sources, inputs: inputs, options), inputs: inputs, bias: bias)
  }

  /// Matrices on top of each other, those of one form together.
  private func runs(
    _ sources: [RowSource], inputs: Int, _ options: WeightOptions
  ) throws(ModelFileError) -> [Linear.Run] {
    var runs: [Linear.Run] = []
    var rest = sources[...]
    while let first = rest.first {
      let form = first.form(options)
      let same = rest.prefix { $0.form(options) == form }
      rest = rest.dropFirst(same.count)
      let table = RowTable(Array(same))
      let outputs = same.reduce(0) { $0 + $1.rows }
      let weights: Linear.Weights
      if let tally {
        weights = tally.weights(form, rows: outputs, columns: inputs, options)
      } else {
        try expectMemory(for: form, rows: outputs, columns: inputs, options)
        switch form {
        case .quantized(let format):
          weights = .quantized(
            QuantizedMatrix(
              format, rows: outputs, columns: inputs, packs: options.packs, source: table, context: context))
        case .halves(let element):
          weights = .packed(
            PackedMatrix(rows: outputs, columns: inputs, element: element, context: context) {
              row, destination in table.copy(row, to: destination)
            })
        case .floats:
          weights = Linear.Weights(
            rows: outputs, columns: inputs, backend: options.backend, context: context
          ) { row, destination in table.decode(row, into: destination) }
        }
      }
      runs.append(Linear.Run(weights: weights, outputs: outputs))
    }
    return runs
  }

  /// Checks that there is memory for a matrix.
  ///
  /// - Throws: `ModelFileError` of the kind `unreadable`.
  func expectMemory(
    for form: MatrixForm, rows: Int, columns: Int, _ options: WeightOptions
  ) throws(ModelFileError) {
    let bytes = WeightTally.byteCount(form, rows: rows, columns: columns, options)
    do throws(ComputeError) {
      try FloatBuffer.expectMemory(bytes: bytes)
    } catch {
      throw ModelFileError(
        .unreadable, file: checkpoint.path,
        expectation: "expected memory for \(bytes) bytes of a matrix's weights")
    }
  }
}

/// Bytes of weights, counted while everything but the weights is loaded.
package final class WeightTally {
  /// The bytes so far.
  package private(set) var byteCount = 0
  private var count = 0
  private var quantizedCount = 0

  /// Whether the greater part of the weights is quantised.
  package var isQuantized: Bool { quantizedCount > count / 2 }

  /// Starts with none.
  package init() {}

  /// Counts a matrix, and gives one of its shape without weights.
  ///
  /// - Parameter form: How it would be kept.
  func weights(
    _ form: MatrixForm, rows: Int, columns: Int, _ options: WeightOptions
  ) -> Linear.Weights {
    byteCount += Self.byteCount(form, rows: rows, columns: columns, options)
    count += rows * columns
    if case .quantized = form { quantizedCount += rows * columns }
    return .packed(PackedMatrix(placeholderOfRows: rows, columns: columns))
  }

  /// Bytes of a matrix that is kept in a form.
  static func byteCount(_ form: MatrixForm, rows: Int, columns: Int, _ options: WeightOptions) -> Int {
    switch form {
    case .quantized(let format):
      QuantizedMatrix.byteCount(format, rows: rows, columns: columns, packs: options.packs)
    case .halves(let element): PackedMatrix.byteCount(rows: rows, columns: columns, element: element)
    case .floats: Linear.Weights.byteCount(rows: rows, columns: columns, backend: options.backend)
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
