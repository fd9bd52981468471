import SalanganeModelGraph
import SalanganeTensors
import SalanganeTokenizers

/// What one kind of reranker makes of a query and a document, before and after the model.
protocol PairScorer: Sendable {
  /// Which of a pair's hidden states the score is made of.
  var pooling: Pooling { get }

  /// What turns a document into the tokens of its pair with a query.
  ///
  /// - Parameters:
  ///   - query: What is looked for.
  ///   - options: How the model is asked.
  ///   - maximumLength: The most tokens of a pair.
  /// - Throws: `EmbeddingError` for options that the model can't follow, and for a query that leaves no room for
  ///   documents; `TokenizerError`.
  func encoder(
    query: String, _ options: RerankingOptions, maximumLength: Int
  ) throws -> (_ document: String) throws -> TokenSequence

  /// The scores of pairs; NaN for a result that isn't finite.
  ///
  /// - Parameter pooled: `[pairs, hidden]`.
  func scores(_ pooled: Matrix, _ context: ComputeContext) -> [Float]
}
