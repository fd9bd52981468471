import SalanganeFiles
import SalanganeModelGraph
import SalanganeTokenizers

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// Scores how well documents answer a query, reading both together: slower and better than comparing
/// embeddings, for the last step of a search.
///
/// ```swift
/// let reranker = try await Reranker(contentsOf: url)
/// let scores = try await reranker.score(query: "what is a swiftlet?", documents: candidates)
/// ```
///
/// There are two kinds: BERT cross-encoders, and Qwen3-Reranker, which is a language model that is asked whether
/// a document meets an instruction. A pair's score has the same bits whatever documents are scored with it.
public final class Reranker: Sendable {
  /// The model's tokenizer.
  public let tokenizer: any TextTokenizer
  /// The most tokens of query and document together, with all that goes around them.
  public let maximumLength: Int

  private let runner: SequenceRunner
  private let scorer: any PairScorer

  /// Loads a reranker.
  ///
  /// - Parameters:
  ///   - url: A model directory with `config.json`, safetensors and tokenizer files, or a GGUF file.
  ///   - options: How the model is loaded and run.
  ///   - progress: Told the share of the model that is loaded, from 0 to 1, on a computing thread.
  /// - Throws: `ModelFileError` for files that are missing, malformed or of a model that isn't a reranker;
  ///   `InstructionSetError`; `EmbeddingError` for an option out of range; `CancellationError`.
  public init(
    contentsOf url: URL, options: ModelOptions = .init(), progress: (@Sendable (Double) -> Void)? = nil
  ) async throws {
    let loaded = try await SequenceRunner.load(
      path: url.modelPath(), options: options, progress: progress
    ) { loader, tokenizer in
      (
        scorer: try Self.scorer(loader, tokenizer),
        maximumLength: try EmbedderConfiguration.maximumLength(loader.checkpoint)
      )
    }
    runner = loaded.runner
    tokenizer = loaded.tokenizer
    scorer = loaded.extras.scorer
    maximumLength = min(loaded.extras.maximumLength ?? .max, runner.maximumLength)
  }

  private static func scorer(
    _ loader: WeightLoader, _ tokenizer: any TextTokenizer
  ) throws -> any PairScorer {
    switch try ArchitectureRegistry.architecture(for: loader.checkpoint) {
    case .encoder: try CrossEncoder(loader, tokenizer)
    case .decoder: try AnswerScorer(loader, tokenizer)
    }
  }

  /// The scores of documents for a query, in the documents' order; higher is better.
  ///
  /// - Parameters:
  ///   - query: What is looked for.
  ///   - documents: The candidates.
  ///   - options: How the model is asked.
  ///   - progress: Told how many documents are done, after each batch.
  /// - Returns: For a cross-encoder, the numbers that sentence-transformers' `CrossEncoder.predict` gives: from
  ///   0 to 1, unless the model's files ask for plain logits. For Qwen3-Reranker, the probability of a yes.
  /// - Throws: `EmbeddingError`, `TokenizerError` or `CancellationError`.
  public func score(
    query: String, documents: [String], options: RerankingOptions = .init(),
    progress: (@Sendable (Int) -> Void)? = nil
  ) async throws -> [Float] {
    let encode = try scorer.encoder(query: query, options, maximumLength: lengthLimit(options))
    var pairs: [TokenSequence] = []
    pairs.reserveCapacity(documents.count)
    for document in documents {
      try Task.checkCancellation()
      pairs.append(try encode(document))
    }
    try runner.validate(pairs)
    let scorer = scorer
    return try await runner.run(pairs, scorer.pooling, valuesPerSequence: 1, progress: progress) {
      pooled, context in scorer.scores(pooled, context)
    }
  }

  private func lengthLimit(_ options: RerankingOptions) throws(EmbeddingError) -> Int {
    guard let limit = options.maximumLength else { return maximumLength }
    guard (1...runner.maximumLength).contains(limit) else {
      throw .invalidOption(
        name: "maximum length", expectation: "1 to \(runner.maximumLength) tokens, found \(limit)")
    }
    return limit
  }
}

/// How a reranker is asked; nil where the model's own setting is meant.
public struct RerankingOptions: Sendable, Equatable {
  /// What the documents are wanted for, in words, for models that take an instruction.
  ///
  /// Qwen3-Reranker's own is "Given a web search query, retrieve relevant passages that answer the query".
  public var instruction: String?
  /// Pairs are shortened to this many tokens, with all that goes around them.
  public var maximumLength: Int?

  /// Creates options; every one has a default.
  public init(instruction: String? = nil, maximumLength: Int? = nil) {
    self.instruction = instruction
    self.maximumLength = maximumLength
  }
}
