import SalanganeFiles
import SalanganeModelGraph
import SalanganeQuantization
import SalanganeTensors

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// Writes a model with quantised weights, as a GGUF file.
///
/// ```swift
/// let quantizer = try await ModelQuantizer(contentsOf: source, options: .init(scheme: .q4_K_M))
/// try await quantizer.write(to: destination)
/// ```
public final class ModelQuantizer: Sendable {
  /// What is written, and how.
  public struct Options: Sendable {
    /// The types of the weights.
    public var scheme: QuantizationScheme
    /// Threads to compute on; nil for `SALANGANE_THREADS`, or the online processors.
    public var threads: Int?
    /// Whether weights that are quantised already may be quantised once more, which adds errors to errors.
    public var allowsRequantizing: Bool
    /// Whether files are mapped into memory; if not, they are read.
    public var isMemoryMapped: Bool

    /// Creates options.
    public init(
      scheme: QuantizationScheme, threads: Int? = nil, allowsRequantizing: Bool = false,
      isMemoryMapped: Bool = true
    ) {
      self.scheme = scheme
      self.threads = threads
      self.allowsRequantizing = allowsRequantizing
      self.isMemoryMapped = isMemoryMapped
    }
  }

  /// A tensor of the file to be.
  public struct Tensor: Sendable {
    /// Its name in GGUF.
    public let name: String
    /// The sizes of its dimensions, outermost first.
    public let shape: [Int]
    /// The name of the type that it is written in: `Q4_K`.
    public let typeName: String
    /// How many values it has.
    public let valueCount: Int
    /// How many bytes it takes.
    public let byteCount: Int
  }

  /// The tensors of the file to be, in their order.
  public let tensors: [Tensor]
  /// How many bytes the tensors take in the source.
  public let sourceByteCount: Int

  private let model: ExportedModel
  private let types: [TensorType]
  private let files: [FileBytes]
  private let threads: Int

  /// How many bytes the tensors will take.
  public var byteCount: Int { tensors.reduce(0) { $0 + $1.byteCount } }
  /// How many values the tensors have.
  public var valueCount: Int { tensors.reduce(0) { $0 + $1.valueCount } }

  /// Opens a model and chooses the types of its tensors.
  ///
  /// - Parameters:
  ///   - url: A GGUF file, or a model directory with `config.json`, safetensors and tokenizer files.
  ///   - options: What is to be written.
  /// - Throws: `ModelFileError` for files that are missing, malformed or of a kind that can't be converted, and
  ///   for weights that are quantised already unless the options allow that; `EmbeddingError.invalidOption`
  ///   for an option out of range; `CancellationError`.
  public init(contentsOf url: URL, options: Options) async throws {
    let path = try url.modelPath()
    let threads = try ModelOptions(threads: options.threads).validatedThreads()
    let opened = try await ComputeQueue.shared.run { _, _ in
      let checkpoint = try Checkpoint(path: path, options: .init(mapped: options.isMemoryMapped))
      let model = try ExportedModel(checkpoint)
      return (model: model, types: try model.types(options), checkpoint: checkpoint)
    }
    self.threads = threads
    model = opened.model
    types = opened.types
    files = opened.checkpoint.files
    sourceByteCount = opened.checkpoint.byteCount
    tensors = zip(model.tensors, types).map { tensor, type in
      let count = tensor.shape.reduce(1, *)
      return Tensor(
        name: tensor.name, shape: tensor.shape, typeName: type.name, valueCount: count,
        byteCount: type.byteCount(ofValues: count) ?? 0)
    }
    scheme = options.scheme
  }

  private let scheme: QuantizationScheme

  /// Writes the file.
  ///
  /// It shows under its name once it is complete; whatever was there before is then replaced.
  ///
  /// - Parameters:
  ///   - url: The GGUF file to be.
  ///   - progress: Told the share of the values that are written, from 0 to 1, on a computing thread.
  /// - Throws: `ModelFileError` for values that aren't finite and for what can't be written, for want of room
  ///   for instance; `EmbeddingError.invalidOption` if the file is one of those that are read;
  ///   `CancellationError`.
  public func write(to url: URL, progress: (@Sendable (Double) -> Void)? = nil) async throws {
    let path = try url.modelPath()
    let destination = FileIdentity(path)
    if destination != nil, let source = files.first(where: { FileIdentity($0.path) == destination }) {
      throw EmbeddingError.invalidOption(
        name: "destination", expectation: "another file than the source, found \(source.path)")
    }
    try await ComputeQueue.shared.run { [self] team, cancellation in
      var writer = model.writer
      writer.set("general.quantization_version", .uint32(2))
      writer.set("general.file_type", .uint32(scheme.fileType))
      writer.tensors = zip(model.tensors, types).map { tensor, type in
        TensorDescription(name: tensor.name, type: type, shape: tensor.shape)
      }
      let encoder = TensorEncoder(team: team, threads: threads, cancellation: cancellation)
      let total = Double(max(1, valueCount))
      var position = 0
      var done = 0
      let faults = MappedFiles.faults
      try writer.write(to: path) { description, sink in
        let tensor = model.tensors[position]
        position += 1
        let advance = { (count: Int) in
          done += count
          progress?(Double(done) / total)
        }
        if let stored = tensor.unchanged, stored.type == description.type {
          try encoder.copy(stored, to: sink, progress: advance)
        } else {
          try encoder.encode(
            tensor.rows(), as: description.type, origin: tensor.origin, to: sink, progress: advance)
        }
        for file in files { try file.checkUnchanged() }
        try MappedFiles.check(since: faults)
      }
    }
  }
}
