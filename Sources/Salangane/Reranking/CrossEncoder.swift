import SalanganeFiles
import SalanganeModelGraph
import SalanganeTensors
import SalanganeTokenizers

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// BERT with a score for a pair of texts.
struct CrossEncoder: PairScorer {
  let pooling = Pooling.cls

  private let tokenizer: any TextTokenizer
  private let head: ScoreHead
  private let appliesSigmoid: Bool

  /// Loads the head of a checkpoint.
  ///
  /// - Throws: `ModelFileError` if there is none, or none that we can compute.
  init(_ loader: WeightLoader, _ tokenizer: any TextTokenizer) throws {
    let checkpoint = loader.checkpoint
    guard let head = try BERT.loadScoreHead(loader) else {
      throw ModelFileError(
        .unsupported, file: checkpoint.path,
        subject: checkpoint.format == .gguf ? "cls.output.weight" : "classifier.weight",
        expectation: "expected a reranker with a score for each pair, found no such tensor")
    }
    self.head = head
    self.tokenizer = tokenizer
    appliesSigmoid = try Self.appliesSigmoid(checkpoint)
  }

  func encoder(
    query: String, _ options: RerankingOptions, maximumLength: Int
  ) throws -> (_ document: String) throws -> TokenSequence {
    guard options.instruction == nil else {
      throw EmbeddingError.invalidOption(
        name: "instruction", expectation: "none, since the model doesn't read any")
    }
    let encoding = EncodingOptions(maximumLength: maximumLength)
    return { document in
      let tokens = try tokenizer.encode(query, and: document, options: encoding)
      return TokenSequence(ids: tokens.ids, typeIDs: tokens.typeIDs)
    }
  }

  func scores(_ pooled: Matrix, _ context: ComputeContext) -> [Float] {
    let logits = head.scores(pooled, context)
    return appliesSigmoid ? logits.map { $0.isFinite ? 1 / (1 + expf(-$0)) : .nan } : logits
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
}
