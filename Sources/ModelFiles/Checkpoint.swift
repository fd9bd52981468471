/// A model as it lies on disk: hyper-parameters and named tensors, whatever the format.
///
/// It keeps the files open; tensors are views of their bytes.
public final class Checkpoint: Sendable {
  /// The formats of weights.
  public enum Format: String, Sendable {
    case gguf, safetensors
  }

  /// How files are opened.
  public struct Options: Sendable {
    /// Whether files are mapped into memory, or read into it.
    ///
    /// A process dies if a file that it has mapped is cut short by another.
    public var mapped: Bool
    /// The most that is taken from a file before it is checked.
    public var limits: FileLimits

    /// Creates options.
    public init(mapped: Bool = true, limits: FileLimits = .init()) {
      self.mapped = mapped
      self.limits = limits
    }
  }

  /// The format of the weights.
  public let format: Format
  /// The path that was opened.
  public let path: String
  /// The hyper-parameters, out of `config.json` or of the GGUF metadata.
  public let hyperparameters: Hyperparameters
  /// All tensors, file by file, in the order of the files.
  public let tensors: [StoredTensor]
  /// The files that hold the tensors.
  public let files: [FileBytes]
  /// The GGUF file; nil for safetensors.
  public let gguf: GGUFFile?
  /// The directory with the configuration; nil for GGUF.
  public let directory: ModelDirectory?

  private let table: NameTable

  /// The name of the architecture, as `hyperparameters` has it.
  public var architecture: String { hyperparameters.architecture }

  /// The bytes that all tensors take together.
  public var byteCount: Int { tensors.reduce(0) { $0 + $1.byteCount } }

  /// Opens a model.
  ///
  /// - Parameters:
  ///   - path: A GGUF file or the first of a split set, a directory with `config.json` and safetensors, or
  ///     one safetensors file in such a directory. A file that the directory's index names stands for all
  ///     that it names.
  ///   - options: How files are opened.
  /// - Throws: `ModelFileError`.
  public init(path: String, options: Options = .init()) throws(ModelFileError) {
    self.path = path
    switch try ModelLocation(path: path, limits: options.limits) {
    case .gguf(let file):
      let gguf = try GGUFFile(path: file, mapped: options.mapped, limits: options.limits)
      format = .gguf
      hyperparameters = try Hyperparameters(metadata: gguf.metadata)
      tensors = gguf.tensors
      files = gguf.files
      self.gguf = gguf
      directory = nil
    case .directory(let directory):
      hyperparameters = try Hyperparameters(configuration: directory.json("config.json"))
      let weights = try Self.weights(of: directory, mapped: options.mapped)
      format = .safetensors
      tensors = weights.tensors
      files = weights.files
      gguf = nil
      self.directory = directory
    case .safetensors(let file, let directory):
      let weights = try Self.weights(at: file, in: directory, mapped: options.mapped)
      hyperparameters = try Hyperparameters(configuration: directory.json("config.json"))
      format = .safetensors
      tensors = weights.tensors
      files = weights.files
      gguf = nil
      self.directory = directory
    }
    var table = NameTable(minimumCapacity: tensors.count)
    for (position, tensor) in tensors.enumerated() { _ = table.insert(tensor.name, position) }
    self.table = table
  }

  /// Opens the weights of a directory, in the order in which transformers looks for them.
  private static func weights(
    of directory: ModelDirectory, mapped: Bool
  ) throws(ModelFileError) -> ShardedSafetensors {
    if directory.contains(ShardedSafetensors.singleName) {
      let path = directory.path(of: ShardedSafetensors.singleName)
      return ShardedSafetensors(try SafetensorsFile(path: path, mapped: mapped, limits: directory.limits))
    }
    if directory.contains(ShardedSafetensors.indexName) {
      return try ShardedSafetensors(indexOf: directory, mapped: mapped)
    }
    throw missingWeights(directory)
  }

  /// Opens one file, or the set that it belongs to.
  private static func weights(
    at path: String, in directory: ModelDirectory, mapped: Bool
  ) throws(ModelFileError) -> ShardedSafetensors {
    let name = FileSystem.split(path).name
    if directory.contains(ShardedSafetensors.indexName),
      try ShardedSafetensors.weightMap(of: directory).contains(where: { $0.shard == name })
    {
      return try ShardedSafetensors(indexOf: directory, mapped: mapped)
    }
    return ShardedSafetensors(try SafetensorsFile(path: path, mapped: mapped, limits: directory.limits))
  }

  private static func missingWeights(_ directory: ModelDirectory) -> ModelFileError {
    for name in ["pytorch_model.bin", "pytorch_model.bin.index.json"] where directory.contains(name) {
      return ModelFileError(
        .unsupported, file: directory.path(of: name),
        expectation: "expected \(ShardedSafetensors.singleName), found only weights in PyTorch's own format")
    }
    return ModelFileError(
      .missing, file: directory.path,
      expectation: "expected \(ShardedSafetensors.singleName) or \(ShardedSafetensors.indexName)")
  }

  // MARK: Tensors

  /// The tensor `name`, or nil.
  public subscript(_ name: String) -> StoredTensor? { table[name].map { tensors[$0] } }

  /// The tensor `name`.
  ///
  /// - Parameters:
  ///   - name: The tensor's name.
  ///   - shape: The shape it must have, outermost dimension first; nil if any will do.
  /// - Throws: `ModelFileError` if there is no such tensor or its shape is another.
  public func tensor(_ name: String, shape: [Int]? = nil) throws(ModelFileError) -> StoredTensor {
    guard let tensor = self[name] else {
      let wanted = shape.map { " of shape \($0)" } ?? ""
      throw ModelFileError(
        .malformed, file: path, subject: name, expectation: "expected a tensor\(wanted), found none")
    }
    guard let shape, tensor.shape != shape else { return tensor }
    throw ModelFileError(
      .malformed, file: tensor.file.path, subject: name,
      expectation: "expected shape \(shape), found \(tensor.shape)")
  }

  /// The tensor `name`, or nil if there is none.
  ///
  /// - Throws: `ModelFileError` if there is one of another shape.
  public func optionalTensor(_ name: String, shape: [Int]? = nil) throws(ModelFileError) -> StoredTensor? {
    self[name] == nil ? nil : try tensor(name, shape: shape)
  }

  // MARK: Side files

  /// Reads the JSON file `name` of the model's directory.
  ///
  /// - Returns: nil if there is none, or if the model is a GGUF file.
  public func readJSON(_ name: String, limits: JSONLimits? = nil) throws(ModelFileError) -> JSONDocument? {
    try directory?.optionalJSON(name, limits: limits)
  }
}
