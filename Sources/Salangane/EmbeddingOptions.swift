import SalanganeModelGraph

/// What a text is to be used for: models may want a different prompt before each kind.
public enum EmbeddingRole: Sendable, Equatable {
  /// The text as it is, after the model's default prompt if it names one.
  case plain
  /// A question or search term: after the model's prompt `query`, if it has one.
  case query
  /// Something to be found: after the model's prompt `document` or `passage`, if it has one.
  case document
  /// The text after the prompt that the model has under this name.
  case prompt(named: String)
  /// The text after this prompt.
  case text(String)
}

/// What is made of the model's output for one request; nil where the model's own setting is meant.
public struct EmbeddingOptions: Sendable, Equatable {
  /// How the hidden states of a text become one vector.
  public var pooling: Pooling?
  /// Whether vectors are scaled to length 1.
  public var normalizes: Bool?
  /// Keep only this many leading features, before normalisation (Matryoshka embeddings).
  public var dimensions: Int?
  /// Texts are cut off after this many tokens, special tokens included.
  public var maximumLength: Int?
  /// Whether names of special and added tokens within a text stand for those tokens.
  public var recognizesAddedTokens: Bool

  /// Creates options; every one has a default.
  public init(
    pooling: Pooling? = nil, normalizes: Bool? = nil, dimensions: Int? = nil, maximumLength: Int? = nil,
    recognizesAddedTokens: Bool = true
  ) {
    self.pooling = pooling
    self.normalizes = normalizes
    self.dimensions = dimensions
    self.maximumLength = maximumLength
    self.recognizesAddedTokens = recognizesAddedTokens
  }
}

/// Why a request for embeddings can't be answered.
public enum EmbeddingError: Error, Equatable, Sendable {
  /// An option has a value that the model or the machine doesn't allow.
  case invalidOption(name: String, expectation: String)
  /// A token id isn't in the model's vocabulary.
  case invalidToken(id: Int, text: Int, vocabularySize: Int)
  /// A sequence of token ids is empty, or longer than the model takes.
  case invalidLength(count: Int, text: Int, maximum: Int)
  /// The model gave a vector that isn't finite: its weights are damaged or overflow, where `fault` says.
  case notFinite(text: Int, fault: NumericFault? = nil)
}

extension EmbeddingError: CustomStringConvertible {
  /// One line that says what was expected.
  public var description: String {
    switch self {
    case .invalidOption(let name, let expectation):
      "\(name): expected \(expectation)"
    case .invalidToken(let id, let text, let vocabularySize):
      "text \(text): token \(id): expected an id from 0 to \(vocabularySize - 1)"
    case .invalidLength(let count, let text, let maximum):
      "text \(text): expected 1 to \(maximum) tokens, found \(count)"
    case .notFinite(let text, let fault):
      "text \(text): expected a finite vector, but the model's output holds NaN or infinity"
        + (fault.map { ": \($0)" } ?? "")
    }
  }
}
