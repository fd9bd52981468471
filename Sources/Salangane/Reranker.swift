import SalanganeFiles
import SalanganeModelGraph
import SalanganeTensors
import SalanganeTokenizers

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif
#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// Scores how well documents answer a query, reading both together: slower and better than comparing
/// embeddings, for the last step of a search.
///
/// ```swift
/// let reranker = try await Reranker(contentsOf: url)
/// let scores = try await reranker.score(query: "what is a swiftlet?", documents: candidates)
/// ```
public final class Reranker: Sendable {
  /// The model's tokenizer.
  public let tokenizer: any TextTokenizer
  /// The most tokens of query and document together, special tokens included; what is longer loses its end.
  public let maximumLength: Int

  private let runner: SequenceRunner
  private let head: ScoreHead
  private let appliesSigmoid: Bool

  /// Loads a cross-encoder.
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
    ) { loader in
      guard let head = try BERT.loadScoreHead(loader) else {
        throw ModelFileError(
          .unsupported, file: loader.checkpoint.path, subject: "classifier.weight",
          expectation: "expected a reranker with a score for each pair, found no such tensor")
      }
      return (
        head: head, appliesSigmoid: try Self.appliesSigmoid(loader.checkpoint),
        maximumLength: try Self.maximumLength(loader.checkpoint)
      )
    }
    runner = loaded.runner
    tokenizer = loaded.tokenizer
    head = loaded.extras.head
    appliesSigmoid = loaded.extras.appliesSigmoid
    maximumLength = min(loaded.extras.maximumLength ?? .max, runner.maximumLength)
  }

  /// The scores of documents for a query, in the documents' order; higher is better.
  ///
  /// - Parameters:
  ///   - query: What is looked for.
  ///   - documents: The candidates.
  ///   - progress: Told how many documents are done, after each batch.
  /// - Returns: The numbers that sentence-transformers' `CrossEncoder.predict` gives: from 0 to 1, unless
  ///   the model's files ask for plain logits.
  /// - Throws: `EmbeddingError`, `TokenizerError` or `CancellationError`.
  public func score(
    query: String, documents: [String], progress: (@Sendable (Int) -> Void)? = nil
  ) async throws -> [Float] {
    let encoding = EncodingOptions(maximumLength: maximumLength)
    var pairs: [TokenSequence] = []
    pairs.reserveCapacity(documents.count)
    for document in documents {
      try Task.checkCancellation()
      let tokens = try tokenizer.encode(query, and: document, options: encoding)
      pairs.append(TokenSequence(ids: tokens.ids, typeIDs: tokens.typeIDs))
    }
    try runner.validate(pairs)
    let head = head
    let logits = try await runner.run(pairs, progress: progress, valuesPerSequence: 1) {
      hidden, offsets, context in head.scores(hidden, offsets: offsets, context)
    }
    return appliesSigmoid ? logits.map { 1 / (1 + expf(-$0)) } : logits
  }

  /// sentence-transformers applies a sigmoid to a single output unless `config.json` names the identity.
  private static func appliesSigmoid(_ checkpoint: Checkpoint) throws(ModelFileError) -> Bool {
    let key = HyperparameterKey([
      "sentence_transformers.activation_fn", "sbert_ce_default_activation_function",
    ])
    guard let name = try checkpoint.hyperparameters.optionalString(key) else {
      // llama.cpp gives the plain logit.
      return checkpoint.format == .safetensors
    }
    switch name.split(separator: ".").last {
    case "Sigmoid": return true
    case "Identity": return false
    default:
      throw checkpoint.hyperparameters.failure(
        key, "expected Sigmoid or Identity, found \"\(name)\"", kind: .unsupported)
    }
  }

  private static func maximumLength(_ checkpoint: Checkpoint) throws(ModelFileError) -> Int? {
    guard checkpoint.directory != nil else { return nil }
    return try EmbedderConfiguration(checkpoint).maximumLength
  }
}
