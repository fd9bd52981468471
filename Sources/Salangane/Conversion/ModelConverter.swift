import SalanganeFiles
import SalanganeModelGraph
import SalanganeTokenizers

/// Collects what becomes of a model directory in GGUF: metadata, and tensors with new names.
struct ModelConverter {
  /// Makes the rows of a tensor of those that are stored.
  typealias RowConversion = @Sendable (any TensorRows) -> any TensorRows

  /// The model.
  let checkpoint: Checkpoint
  /// The model's directory.
  let directory: ModelDirectory
  /// `general.architecture` of the file to be.
  let architecture: String

  private(set) var writer = GGUFWriter()
  private(set) var tensors: [ExportedModel.Tensor] = []
  /// The tensors of the source that are in use, or known to be of no use.
  private var known: Set<String> = []

  /// Begins with what says which model this is.
  init(_ checkpoint: Checkpoint, _ directory: ModelDirectory, architecture: String) {
    self.checkpoint = checkpoint
    self.directory = directory
    self.architecture = architecture
    writer.set("general.architecture", .string(architecture))
    writer.set("general.type", .string("model"))
    let name = directory.path.split(separator: "/").last { $0 != "." && $0 != ".." }
    if let name { writer.set("general.name", .string(String(name))) }
  }

  /// What the choice of tensors' types depends on.
  var facts: TensorTypeChooser.Model {
    func count(_ name: String) -> Int? {
      writer.metadata.first { $0.key == "\(architecture).\(name)" }?.value.int
    }
    let heads = count("attention.head_count") ?? 1
    return TensorTypeChooser.Model(
      architecture: architecture, layers: count("block_count") ?? 0, experts: count("expert_count") ?? 0,
      headsPerKeyValueHead: heads / (count("attention.head_count_kv") ?? heads))
  }

  // MARK: Metadata

  /// Sets a value under its full key.
  mutating func set(key: String, _ value: GGUFValue) { writer.set(key, value) }

  /// Sets a hyper-parameter.
  ///
  /// - Parameters:
  ///   - name: The key without the architecture.
  ///   - value: The value.
  mutating func set(_ name: String, _ value: GGUFValue) { writer.set("\(architecture).\(name)", value) }

  /// Sets an integer that was checked to be small.
  mutating func set(_ name: String, _ value: Int) { set(name, .uint32(UInt32(value))) }

  /// Sets a number.
  mutating func set(_ name: String, _ value: Double) { set(name, .float32(Float(value))) }

  /// Sets how hidden states become one vector, if the directory's files say so.
  ///
  /// - Throws: `ModelFileError` for steps that we don't have.
  mutating func setPooling() throws(ModelFileError) {
    guard directory.contains("modules.json") else { return }
    let type =
      switch try EmbedderConfiguration(checkpoint).pooling {
      case .mean: 1
      case .cls: 2
      case .last: 3
      }
    set("pooling_type", type)
  }

  /// Adds the tokenizer.
  ///
  /// - Parameters:
  ///   - size: The rows of the embedding table.
  ///   - conventions: What the family adds.
  /// - Throws: `ModelFileError` for a tokenizer that is missing, malformed, or has no place in GGUF.
  mutating func setTokenizer(
    size: Int, _ conventions: GGUFTokenizerMetadata.Conventions = .init()
  ) throws(ModelFileError) {
    let metadata = try GGUFTokenizerMetadata(
      directory, configuration: checkpoint.hyperparameters, size: size, conventions: conventions)
    for (key, value) in metadata.values { writer.set(key, value) }
  }

  // MARK: Tensors

  /// The first of these names that the source has.
  func name(among names: [String]) -> String? { names.first { checkpoint[$0] != nil } }

  /// Adds a tensor.
  ///
  /// - Parameters:
  ///   - name: Its name in GGUF.
  ///   - names: The names that it may have in the source.
  ///   - shape: The shape that it must have; nil stands for any size of a dimension.
  ///   - convert: Makes other values of the stored ones, if they are to be.
  ///   - newShape: The shape in GGUF, if that is another.
  /// - Throws: `ModelFileError` for a tensor that is missing, or of another shape or type.
  mutating func add(
    _ name: String, from names: [String], shape: [Int?], _ convert: RowConversion? = nil,
    as newShape: [Int]? = nil
  ) throws(ModelFileError) {
    let stored = try tensor(names, shape: shape)
    let rows = try rows(of: stored)
    tensors.append(
      ExportedModel.Tensor(
        name: name, shape: newShape ?? stored.shape, type: .f32,
        unchanged: convert == nil && stored.type != .f8_E4M3 ? stored : nil,
        origin: (stored.file.path, stored.name), rows: { convert?(rows) ?? rows }))
  }

  /// Adds a tensor made of several of one shape, one behind the other along a new first dimension.
  mutating func add(_ name: String, stacking names: [[String]], shape: [Int]) throws(ModelFileError) {
    var members: [any TensorRows] = []
    var origin: (file: String, tensor: String)?
    for names in names {
      let stored = try tensor(names, shape: shape)
      members.append(try rows(of: stored))
      origin = origin ?? (stored.file.path, stored.name)
    }
    let rows = StackedRows(members)
    tensors.append(
      ExportedModel.Tensor(
        name: name, shape: [members.count] + shape, type: .f32, unchanged: nil,
        origin: origin ?? (checkpoint.path, name), rows: { rows }))
  }

  /// The first of some tensors that the source has, in a shape that it must have.
  private func tensor(_ names: [String], shape: [Int?]) throws(ModelFileError) -> StoredTensor {
    let stored = try checkpoint.tensor(name(among: names) ?? names[0])
    let fits =
      stored.shape.count == shape.count && zip(stored.shape, shape).allSatisfy { $1 == nil || $0 == $1 }
    guard fits else {
      let wanted = shape.map { $0.map(String.init) ?? "any" }.joined(separator: ", ")
      throw ModelFileError(
        .malformed, file: stored.file.path, subject: stored.name,
        expectation: "expected shape [\(wanted)], found \(stored.shape)")
    }
    return stored
  }

  /// Adds a tensor whose values are computed.
  mutating func add(_ name: String, values: [Float]) {
    tensors.append(
      ExportedModel.Tensor(
        name: name, shape: [values.count], type: .f32, unchanged: nil, origin: (checkpoint.path, name),
        rows: { ComputedRows(values, columns: values.count) }))
  }

  /// The values of a stored tensor, whose name is known from now on.
  ///
  /// - Throws: `ModelFileError` for a type that isn't one of weights.
  mutating func rows(of stored: StoredTensor) throws(ModelFileError) -> any TensorRows {
    known.insert(stored.name)
    guard TensorEncoder.isFloat(stored.type) else {
      throw ModelFileError(
        .unsupported, file: stored.file.path, subject: stored.name,
        expectation: "expected floats, found \(stored.type.name)")
    }
    guard stored.type == .f8_E4M3, stored.shape.count == 2 else { return try StoredRows(stored) }
    let key = HyperparameterKey("quantization_config.weight_block_size")
    let tile = try checkpoint.hyperparameters.optionalInts(key, in: 1...(1 << 20)) ?? [128, 128]
    guard tile.count == 2 else {
      throw checkpoint.hyperparameters.failure(key, "expected two sizes, found \(tile.count)")
    }
    let scales = try checkpoint.tensor(stored.name + "_scale_inv")
    known.insert(scales.name)
    return try TiledRows(stored, scales: scales, tileRows: tile[0], tileColumns: tile[1])
  }

  /// Leaves tensors out that the file to be has no use for.
  mutating func ignore(where isUseless: (String) -> Bool) {
    for tensor in checkpoint.tensors where isUseless(tensor.name) { known.insert(tensor.name) }
  }

  /// Checks that nothing of the source is forgotten.
  ///
  /// - Throws: `ModelFileError` for a tensor that no one asked for.
  func checkCompleteness() throws(ModelFileError) {
    guard let tensor = checkpoint.tensors.first(where: { !known.contains($0.name) }) else { return }
    throw ModelFileError(
      .unsupported, file: tensor.file.path, subject: tensor.name,
      expectation: "expected only tensors that have a place in GGUF's \(architecture), found this one")
  }
}
