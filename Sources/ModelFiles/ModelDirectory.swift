/// A directory in the form in which models are published: `config.json`, tokenizer files, weights.
///
/// It needs no weights: a directory with only tokenizer files will do for a tokenizer.
public struct ModelDirectory: Sendable {
  /// The directory's path.
  public let path: String
  /// The most that is taken from one of its files.
  public let limits: FileLimits

  /// Takes a directory.
  ///
  /// - Parameters:
  ///   - path: The path of an existing directory.
  ///   - limits: The most that is taken from one of its files.
  /// - Throws: `ModelFileError`: `missing` if there is nothing, `unreadable` if it isn't a directory.
  public init(path: String, limits: FileLimits = .init()) throws(ModelFileError) {
    try FileSystem.check(path)
    self.limits = limits
    switch FileSystem.item(at: path) {
    case .directory: self.path = path
    case .nothing:
      throw ModelFileError(.missing, file: path, expectation: "expected a directory, found nothing")
    case .file, .other:
      throw ModelFileError(.unreadable, file: path, expectation: "expected a directory, found a file")
    }
  }

  /// The path of the file `name` in the directory; `name` may lead through subdirectories.
  public func path(of name: String) -> String { FileSystem.join(path, name) }

  /// True if there is a regular file `name`.
  public func contains(_ name: String) -> Bool { FileSystem.item(at: path(of: name)) == .file }

  /// Reads the JSON file `name`.
  ///
  /// - Parameters:
  ///   - name: The file's name, such as `config.json` or `1_Pooling/config.json`.
  ///   - limits: What is accepted; nil for JSON of at most `limits.jsonBytes` bytes.
  /// - Throws: `ModelFileError`: `missing`, `unreadable`, or `malformed` for what isn't strict JSON.
  public func json(_ name: String, limits: JSONLimits? = nil) throws(ModelFileError) -> JSONDocument {
    let limits = limits ?? JSONLimits(byteCount: self.limits.jsonBytes)
    return try JSONDocument(bytes(name, limit: limits.byteCount), file: path(of: name), limits: limits)
  }

  /// Reads the JSON file `name`, or returns nil if there is none.
  public func optionalJSON(
    _ name: String, limits: JSONLimits? = nil
  ) throws(ModelFileError) -> JSONDocument? {
    try isAbsent(name) ? nil : json(name, limits: limits)
  }

  /// Reads the JSON file `name`, which holds an object, or returns nil if there is none.
  package func optionalJSONObject(_ name: String) throws(ModelFileError) -> JSONDocument? {
    guard let document = try optionalJSON(name) else { return nil }
    guard document.root.kind == .object else {
      throw ModelFileError(.malformed, file: document.file, expectation: "expected a JSON object")
    }
    return document
  }

  /// Reads the file `name`, of at most `limit` bytes.
  public func bytes(_ name: String, limit: Int = 256 << 20) throws(ModelFileError) -> [UInt8] {
    try FileBytes.contents(of: path(of: name), limit: limit)
  }

  /// Reads the file `name`, or returns nil if there is none.
  public func optionalBytes(_ name: String, limit: Int = 256 << 20) throws(ModelFileError) -> [UInt8]? {
    try isAbsent(name) ? nil : bytes(name, limit: limit)
  }

  /// A broken symbolic link isn't the same as no file: a model would go on with other settings.
  private func isAbsent(_ name: String) -> Bool { FileSystem.isAbsent(path(of: name)) }
}

/// What the path of a model leads to, told by the contents and not by the name.
public enum ModelLocation: Sendable {
  /// A GGUF file, or the first of a split set.
  case gguf(path: String)
  /// A model directory.
  case directory(ModelDirectory)
  /// One safetensors file; what belongs to it lies in its directory.
  case safetensors(path: String, ModelDirectory)

  /// Finds out what is at `path`.
  ///
  /// - Parameters:
  ///   - path: A file or a directory.
  ///   - limits: The most that is taken from a file of a directory.
  /// - Throws: `ModelFileError`: `missing`, `unreadable`, `malformed` for a file that is neither GGUF nor
  ///   safetensors, and `unsupported` for PyTorch's own format.
  public init(path: String, limits: FileLimits = .init()) throws(ModelFileError) {
    try FileSystem.check(path)
    if FileSystem.item(at: path) == .directory {
      self = .directory(try ModelDirectory(path: path, limits: limits))
      return
    }
    let start = try FileDescriptor(openingRegularFile: path).start(16)
    // A damaged file gets the message of the format that its name promises.
    if start.starts(with: GGUFParser.magic) || path.hasSuffix(".gguf") {
      self = .gguf(path: path)
    } else if SafetensorsFile.isPlausible(start) || path.hasSuffix(".safetensors") {
      self = .safetensors(
        path: path, try ModelDirectory(path: FileSystem.split(path).directory, limits: limits))
    } else if start.starts(with: [0x50, 0x4B, 3, 4]) {
      throw ModelFileError(
        .unsupported, file: path,
        expectation: "expected GGUF or safetensors, found a zip archive as PyTorch writes it")
    } else {
      throw ModelFileError(
        .malformed, file: path, expectation: "expected a GGUF or safetensors file, or a model directory")
    }
  }
}
