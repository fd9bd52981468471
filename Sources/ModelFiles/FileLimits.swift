/// The most that a reader takes from a file before it has checked it.
///
/// Readers never reserve memory for more than the file has bytes, but what they keep of an entry can be some ten times
/// what the entry takes in the file, and a sparse file of terabytes costs its maker nothing. The defaults are far
/// beyond all published models; a server that opens files of strangers may want less.
public struct FileLimits: Sendable, Equatable {
  /// Bytes of a GGUF file's header: its metadata and the descriptions of its tensors. Vocabularies take about 10 MB.
  public var ggufHeaderBytes: Int
  /// Bytes of a safetensors file's header; the format's own library accepts 100,000,000.
  public var safetensorsHeaderBytes: Int
  /// Bytes of a JSON file: `config.json`, `tokenizer.json`, an index of weights.
  public var jsonBytes: Int
  /// Keys in the metadata of a GGUF file.
  public var metadataValues: Int
  /// Tensors of a file, and of a set of files. DeepSeek-V3 has some 90,000.
  public var tensors: Int

  /// Creates limits; every one has a default.
  public init(
    ggufHeaderBytes: Int = 1 << 30, safetensorsHeaderBytes: Int = 100_000_000, jsonBytes: Int = 256 << 20,
    metadataValues: Int = 1 << 16, tensors: Int = 1 << 20
  ) {
    self.ggufHeaderBytes = ggufHeaderBytes
    self.safetensorsHeaderBytes = safetensorsHeaderBytes
    self.jsonBytes = jsonBytes
    self.metadataValues = metadataValues
    self.tensors = tensors
  }

  /// Checks how many tensors there are.
  ///
  /// - Throws: `ModelFileError` if there are too many.
  func check(tensors count: Int, file: String) throws(ModelFileError) {
    guard count <= tensors else {
      throw ModelFileError(
        .malformed, file: file, expectation: "expected at most \(tensors) tensors, found \(count)")
    }
  }
}
