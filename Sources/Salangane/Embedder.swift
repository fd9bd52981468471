import SalanganeFiles
import SalanganeKernels
import SalanganeModelGraph
import SalanganeTensors
import SalanganeTokenizers

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// Turns texts into vectors with an embedding model.
///
/// ```swift
/// let embedder = try await Embedder(contentsOf: url)
/// let vectors = try await embedder.embed(["A swift is a bird.", "Swift is a language."])
/// let similarity = vectors[0].cosineSimilarity(to: vectors[1])
/// ```
///
/// An embedder may be used from many tasks at once. The vector of a text has the same bits whatever texts
/// are embedded with it, in whatever order, on however many threads (with the native backend).
public final class Embedder: Sendable {
  /// The model's tokenizer.
  public let tokenizer: any TextTokenizer
  /// Features of a vector, before any truncation that a request asks for.
  public let dimensions: Int
  /// The most tokens of a text, special tokens included; longer texts lose their end.
  public let maximumLength: Int

  private let encoder: Encoder
  private let configuration: EmbedderConfiguration
  private let kernels: KernelTable
  private let threads: Int
  private let batchTokens: Int
  private let memory: LeaderState<RunMemory?>

  /// What jobs reuse from one to the next.
  private struct RunMemory {
    let context: ComputeContext
    var workspace: EncoderWorkspace
  }

  /// Loads a model.
  ///
  /// - Parameters:
  ///   - url: A model directory with `config.json`, safetensors and tokenizer files, or a GGUF file.
  ///   - options: How the model is loaded and run.
  ///   - progress: Told the share of the model that is loaded, from 0 to 1, on a computing thread.
  /// - Throws: `ModelFileError` for files that are missing, malformed or of a model that isn't supported;
  ///   `InstructionSetError`; `EmbeddingError` for an option out of range; `CancellationError`.
  public init(
    contentsOf url: URL, options: EmbedderOptions = .init(),
    progress: (@Sendable (Double) -> Void)? = nil
  ) async throws {
    guard url.isFileURL else {
      throw ModelFileError(.missing, file: url.absoluteString, expectation: "expected a file URL")
    }
    let path = url.path
    let kernels = try KernelTable.table(for: options.instructionSet ?? .preferred)
    let threads = try options.validatedThreads()
    batchTokens = try options.validatedBatchTokens()
    self.kernels = kernels
    self.threads = threads
    let loaded = try await ComputeQueue.shared.run { team, cancellation in
      let checkpoint = try Checkpoint(path: path, options: .init(mapped: options.isMemoryMapped))
      let architecture = try ArchitectureRegistry.encoder(for: checkpoint)
      let configuration = try EmbedderConfiguration(checkpoint)
      let tokenizer = try Self.tokenizer(of: checkpoint)
      try cancellation.check()
      let context = ComputeContext(team: team, threads: threads, kernels: kernels)
      let loader = WeightLoader(
        checkpoint: checkpoint, context: context, backend: options.backend, cancellation: cancellation,
        progress: progress)
      let encoder = try architecture.loadEncoder(loader)
      guard tokenizer.vocabularySize <= encoder.vocabularySize else {
        throw ModelFileError(
          .malformed, file: path, subject: "tokenizer",
          expectation: "expected at most the model's \(encoder.vocabularySize) tokens, "
            + "found \(tokenizer.vocabularySize)")
      }
      return (encoder: encoder, tokenizer: tokenizer, configuration: configuration)
    }
    encoder = loaded.encoder
    tokenizer = loaded.tokenizer
    configuration = loaded.configuration
    dimensions = encoder.hiddenSize
    maximumLength = min(configuration.maximumLength ?? .max, encoder.maximumLength)
    memory = LeaderState(nil)
  }

  private static func tokenizer(of checkpoint: Checkpoint) throws(ModelFileError) -> any TextTokenizer {
    if let file = checkpoint.gguf { return try TokenizerLoader.load(file.metadata) }
    guard let directory = checkpoint.directory else { return try TokenizerLoader.load(path: checkpoint.path) }
    return try TokenizerLoader.load(directory)
  }

  /// How the model's files say that hidden states become one vector.
  public var pooling: Pooling { configuration.pooling }

  /// Whether the model's files say that vectors are scaled to length 1.
  public var normalizes: Bool { configuration.normalizes }

  /// The prompts of the model's files, by name.
  public var prompts: [String: String] { configuration.prompts }

  // MARK: Embedding

  /// The vector of one text.
  ///
  /// - Parameters:
  ///   - text: Any text; the empty one has a vector too.
  ///   - role: What the text is for.
  ///   - options: What is made of the model's output.
  /// - Returns: `dimensions` floats, or as many as the options ask for.
  /// - Throws: `EmbeddingError`, `TokenizerError` or `CancellationError`.
  public func embed(
    _ text: String, as role: EmbeddingRole = .plain, options: EmbeddingOptions = .init()
  ) async throws -> [Float] {
    try await embed([text], as: role, options: options).values
  }

  /// The vectors of many texts, in their order.
  ///
  /// - Parameters:
  ///   - texts: Any texts.
  ///   - role: What the texts are for.
  ///   - options: What is made of the model's output.
  ///   - progress: Told how many texts are done, after each batch.
  /// - Returns: A vector a text, with its number of tokens and whether it lost its end.
  /// - Throws: `EmbeddingError`, `TokenizerError` or `CancellationError`.
  public func embed(
    _ texts: [String], as role: EmbeddingRole = .plain, options: EmbeddingOptions = .init(),
    progress: (@Sendable (Int) -> Void)? = nil
  ) async throws -> Embeddings {
    let prompt = try configuration.prompt(for: role)
    let encoding = EncodingOptions(
      recognizesAddedTokens: options.recognizesAddedTokens, maximumLength: try lengthLimit(options))
    var sequences: [[Int32]] = []
    sequences.reserveCapacity(texts.count)
    var isTruncated: [Bool] = []
    isTruncated.reserveCapacity(texts.count)
    for text in texts {
      try Task.checkCancellation()
      let tokens = try tokenizer.encode(prompt.isEmpty ? text : prompt + text, options: encoding)
      sequences.append(tokens.ids)
      isTruncated.append(tokens.isTruncated)
    }
    return try await embed(sequences, isTruncated: isTruncated, options: options, progress: progress)
  }

  /// The vectors of token sequences, as they are: nothing is added to them, and nothing cut off.
  ///
  /// - Parameters:
  ///   - tokens: Token ids of each text.
  ///   - options: What is made of the model's output.
  /// - Throws: `EmbeddingError` for a sequence that is empty or too long, or an id that isn't in the
  ///   vocabulary; `CancellationError`.
  public func embed(tokens: [[Int32]], options: EmbeddingOptions = .init()) async throws -> Embeddings {
    try await embed(
      tokens, isTruncated: .init(repeating: false, count: tokens.count), options: options, progress: nil)
  }

  private func lengthLimit(_ options: EmbeddingOptions) throws(EmbeddingError) -> Int {
    guard let limit = options.maximumLength else { return maximumLength }
    guard (1...encoder.maximumLength).contains(limit) else {
      throw .invalidOption(
        name: "maximum length", expectation: "1 to \(encoder.maximumLength) tokens, found \(limit)")
    }
    return limit
  }

  private func embed(
    _ sequences: [[Int32]], isTruncated: [Bool], options: EmbeddingOptions,
    progress: (@Sendable (Int) -> Void)?
  ) async throws -> Embeddings {
    let size = options.dimensions ?? dimensions
    guard (1...dimensions).contains(size) else {
      throw EmbeddingError.invalidOption(
        name: "dimensions", expectation: "1 to \(dimensions), found \(size)")
    }
    try validate(sequences)
    var values: [Float] = []
    values.reserveCapacity(sequences.count * size)
    var first = 0
    while first < sequences.count {
      var end = first
      var tokens = 0
      while end < sequences.count, end == first || tokens + sequences[end].count <= batchTokens {
        tokens += sequences[end].count
        end += 1
      }
      let batch = sequences[first..<end]
      let vectors = try await ComputeQueue.shared.run { team, cancellation in
        try self.run(batch, size: size, options: options, team, cancellation)
      }
      if let wrong = vectors.firstIndex(where: { !$0.isFinite }) {
        throw EmbeddingError.notFinite(text: first + wrong / size)
      }
      values.append(contentsOf: vectors)
      first = end
      progress?(end)
    }
    return Embeddings(
      values: values, dimensions: size, tokenCounts: sequences.map(\.count), isTruncated: isTruncated)
  }

  private func validate(_ sequences: [[Int32]]) throws(EmbeddingError) {
    for (index, sequence) in sequences.enumerated() {
      guard (1...encoder.maximumLength).contains(sequence.count) else {
        throw .invalidLength(count: sequence.count, text: index, maximum: encoder.maximumLength)
      }
      for id in sequence where id < 0 || Int(id) >= encoder.vocabularySize {
        throw .invalidToken(id: Int(id), text: index, vocabularySize: encoder.vocabularySize)
      }
    }
  }

  /// One batch, on the leader's thread.
  private func run(
    _ batch: ArraySlice<[Int32]>, size: Int, options: EmbeddingOptions, _ team: ThreadTeam,
    _ cancellation: Cancellation
  ) throws -> [Float] {
    var memory =
      memory.value
      ?? RunMemory(
        context: ComputeContext(team: team, threads: threads, kernels: kernels),
        workspace: EncoderWorkspace(for: encoder))
    self.memory.value = nil
    defer { self.memory.value = memory }
    var offsets = [0]
    offsets.reserveCapacity(batch.count + 1)
    var tokens: [Int32] = []
    for sequence in batch {
      tokens.append(contentsOf: sequence)
      offsets.append(tokens.count)
    }
    let hidden = try encoder.hiddenStates(
      tokens: tokens, offsets: offsets, workspace: &memory.workspace, context: memory.context,
      cancellation: cancellation)
    return [Float](unsafeUninitializedCapacity: batch.count * size) { buffer, count in
      count = batch.count * size
      guard let base = buffer.baseAddress else { return }
      memory.context.pool(
        hidden, offsets: offsets, options.pooling ?? configuration.pooling, dimensions: size,
        normalizes: options.normalizes ?? configuration.normalizes, into: base)
    }
  }
}

extension EmbedderOptions {
  fileprivate func validatedThreads() throws(EmbeddingError) -> Int {
    guard let threads else { return ThreadTeam.defaultThreadCount }
    guard (1...ThreadTeam.maximumThreadCount).contains(threads) else {
      throw .invalidOption(
        name: "threads", expectation: "1 to \(ThreadTeam.maximumThreadCount), found \(threads)")
    }
    return threads
  }

  fileprivate func validatedBatchTokens() throws(EmbeddingError) -> Int {
    guard (1...(1 << 20)).contains(batchTokens) else {
      throw .invalidOption(name: "batchTokens", expectation: "1 to \(1 << 20), found \(batchTokens)")
    }
    return batchTokens
  }
}
