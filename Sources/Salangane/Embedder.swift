import SalanganeFiles
import SalanganeModelGraph
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

  private let runner: SequenceRunner
  private let configuration: EmbedderConfiguration

  /// Loads a model.
  ///
  /// - Parameters:
  ///   - url: A model directory with `config.json`, safetensors and tokenizer files, or a GGUF file.
  ///   - options: How the model is loaded and run.
  ///   - progress: Told the share of the model that is loaded, from 0 to 1, on a computing thread.
  /// - Throws: `ModelFileError` for files that are missing, malformed or of a model that isn't supported;
  ///   `InstructionSetError`; `EmbeddingError` for an option out of range; `CancellationError`.
  public init(
    contentsOf url: URL, options: ModelOptions = .init(),
    progress: (@Sendable (Double) -> Void)? = nil
  ) async throws {
    let loaded = try await SequenceRunner.load(
      path: url.modelPath(), options: options, progress: progress
    ) { loader, tokenizer in
      let configuration = try EmbedderConfiguration(loader.checkpoint)
      try configuration.checkLetterCase(tokenizer)
      return configuration
    }
    runner = loaded.runner
    tokenizer = loaded.tokenizer
    configuration = loaded.extras
    dimensions = runner.hiddenSize
    maximumLength = min(configuration.maximumLength ?? .max, runner.maximumLength)
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
    var sequences: [TokenSequence] = []
    sequences.reserveCapacity(texts.count)
    var isTruncated: [Bool] = []
    isTruncated.reserveCapacity(texts.count)
    for text in texts {
      try Task.checkCancellation()
      let tokens = try tokenizer.encode(prompt.isEmpty ? text : prompt + text, options: encoding)
      sequences.append(TokenSequence(ids: tokens.ids))
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
      tokens.map { TokenSequence(ids: $0) }, isTruncated: .init(repeating: false, count: tokens.count),
      options: options, progress: nil)
  }

  private func lengthLimit(_ options: EmbeddingOptions) throws(EmbeddingError) -> Int {
    guard let limit = options.maximumLength else { return maximumLength }
    guard (1...runner.maximumLength).contains(limit) else {
      throw .invalidOption(
        name: "maximum length", expectation: "1 to \(runner.maximumLength) tokens, found \(limit)")
    }
    return limit
  }

  private func embed(
    _ sequences: [TokenSequence], isTruncated: [Bool], options: EmbeddingOptions,
    progress: (@Sendable (Int) -> Void)?
  ) async throws -> Embeddings {
    let size = options.dimensions ?? dimensions
    guard (1...dimensions).contains(size) else {
      throw EmbeddingError.invalidOption(
        name: "dimensions", expectation: "1 to \(dimensions), found \(size)")
    }
    try runner.validate(sequences)
    let normalizes = options.normalizes ?? configuration.normalizes
    let values = try await runner.run(
      sequences, options.pooling ?? configuration.pooling, valuesPerSequence: size, progress: progress
    ) { pooled, context in context.embeddings(pooled, dimensions: size, normalizes: normalizes) }
    return Embeddings(
      values: values, dimensions: size, tokenCounts: sequences.map(\.ids.count), isTruncated: isTruncated)
  }
}

extension URL {
  /// The path of a model's file or directory.
  ///
  /// - Throws: `ModelFileError` for an address that isn't on this machine.
  func modelPath() throws(ModelFileError) -> String {
    guard isFileURL else {
      throw ModelFileError(.missing, file: absoluteString, expectation: "expected a file URL")
    }
    return path
  }
}
