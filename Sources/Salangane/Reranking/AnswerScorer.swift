import SalanganeFiles
import SalanganeModelGraph
import SalanganeTensors
import SalanganeTokenizers

/// Qwen3-Reranker (Zhang et al., 2025): a language model that is asked whether a document meets an instruction;
/// the score is the probability of "yes" against "no".
struct AnswerScorer: PairScorer {
  let pooling = Pooling.last

  private let tokenizer: any TextTokenizer
  private let prompt: RerankingPrompt
  private let head: AnswerHead

  /// Loads what scoring needs of a checkpoint: of the output matrix, the rows of two tokens.
  ///
  /// - Throws: `ModelFileError` for a model that isn't of this kind.
  init(_ loader: WeightLoader, _ tokenizer: any TextTokenizer) throws {
    let checkpoint = loader.checkpoint
    guard Qwen3.names.contains(checkpoint.architecture) else {
      throw ModelFileError(
        .unsupported, file: checkpoint.hyperparameters.file,
        subject: checkpoint.format == .gguf ? "general.architecture" : "model_type",
        expectation: "expected a reranker (\((BERT.names + Qwen3.names).joined(separator: ", "))), "
          + "found \"\(checkpoint.architecture)\"")
    }
    self.tokenizer = tokenizer
    switch checkpoint.format {
    case .gguf:
      let labels = try Self.labels(checkpoint)
      head = try Qwen3.loadAnswerHead(loader, yes: labels.yes, no: labels.no)
    case .safetensors:
      try Self.refuseEmbedders(checkpoint)
      guard let yes = tokenizer.id(for: "yes"), let no = tokenizer.id(for: "no") else {
        throw ModelFileError(
          .unsupported, file: checkpoint.path, subject: "tokenizer",
          expectation: "expected tokens \"yes\" and \"no\", as Qwen3-Reranker has them")
      }
      head = try Qwen3.loadAnswerHead(loader, yes: Int(yes), no: Int(no))
    }
    prompt = try RerankingPrompt(checkpoint, tokenizer)
  }

  func encoder(
    query: String, _ options: RerankingOptions, maximumLength: Int
  ) throws -> (_ document: String) throws -> TokenSequence {
    let question = try prompt.question(
      query: query, instruction: options.instruction, maximumLength: maximumLength, tokenizer)
    return { TokenSequence(ids: try question.ids(document: $0, tokenizer)) }
  }

  func scores(_ pooled: Matrix, _ context: ComputeContext) -> [Float] {
    head.probabilities(pooled, context)
  }

  /// Which row of `cls.output.weight` is which: "yes" comes first unless the file says otherwise.
  private static func labels(_ checkpoint: Checkpoint) throws(ModelFileError) -> (yes: Int, no: Int) {
    let values = checkpoint.hyperparameters
    let pooling = HyperparameterKey.gguf("pooling_type")
    let type = try values.optionalInt(pooling)
    guard type == 4, checkpoint["cls.output.weight"] != nil else {
      throw values.failure(
        pooling, "expected a reranker, with pooling type 4 and a tensor cls.output.weight", kind: .unsupported
      )
    }
    let key = HyperparameterKey.gguf("classifier.output_labels")
    guard let labels = try values.optionalStrings(key) else { return (0, 1) }
    switch labels {
    case ["yes", "no"]: return (0, 1)
    case ["no", "yes"]: return (1, 0)
    default:
      throw values.failure(
        key, "expected the labels yes and no, found \(labels.prefix(4).joined(separator: ", "))",
        kind: .unsupported)
    }
  }

  /// An embedder's files differ from a reranker's by what sentence-transformers puts behind the model.
  private static func refuseEmbedders(_ checkpoint: Checkpoint) throws(ModelFileError) {
    guard let document = try checkpoint.readJSON("modules.json"), document.root.kind == .array else { return }
    for module in document.root.elements
    where module["type"]?.string?.split(separator: ".").last == "Pooling" {
      throw ModelFileError(
        .unsupported, file: document.file, expectation: "expected a reranker, found an embedder's modules")
    }
  }
}
