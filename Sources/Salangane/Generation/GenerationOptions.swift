/// How a text is generated.
public struct GenerationOptions: Sendable, Equatable {
  /// The most tokens to generate; nil for as many as the context has room for, 0 to read the prompt only.
  public var maximumTokens: Int?
  /// How each token is chosen.
  public var sampling: SamplingOptions
  /// The text ends before the first of these that appears in it.
  public var stopStrings: [String]
  /// Whether the tokens that end a text are treated like any other.
  public var ignoresEndOfSequence: Bool
  /// Whether tokens that control the model, such as `<|im_end|>`, appear in the text.
  public var includesSpecialTokens: Bool

  /// Creates options; every one has a default.
  public init(
    maximumTokens: Int? = nil, sampling: SamplingOptions = .greedy, stopStrings: [String] = [],
    ignoresEndOfSequence: Bool = false, includesSpecialTokens: Bool = false
  ) {
    self.maximumTokens = maximumTokens
    self.sampling = sampling
    self.stopStrings = stopStrings
    self.ignoresEndOfSequence = ignoresEndOfSequence
    self.includesSpecialTokens = includesSpecialTokens
  }
}

/// What a generation reports: pieces of text as they come, and a summary at the end.
public enum GenerationEvent: Sendable, Equatable {
  /// Tokens that have become text.
  case text(GeneratedText)
  /// The last event.
  case finished(GenerationSummary)
}

/// A piece of generated text.
public struct GeneratedText: Sendable, Equatable {
  /// Whole characters as far as UTF-8 goes; empty while a character is still incomplete, or while the text
  /// may be the start of a stop string.
  public var text: String
  /// The tokens since the last event.
  public var ids: [Int32]
  /// The logarithm of the probability that the model gave each of them, before any sampling option.
  public var logProbabilities: [Float]
}

/// How a generation went.
public struct GenerationSummary: Sendable, Equatable {
  /// Why a generation ended.
  public enum StopReason: Sendable, Equatable {
    /// The model ended the text with this token, which isn't among the ids.
    case endOfSequence(Int32)
    /// There are as many tokens as were asked for.
    case maximumTokens
    /// This stop string appeared.
    case stopString(String)
    /// The context is full.
    case contextFull
  }

  /// Why it ended.
  public var stopReason: StopReason
  /// All generated tokens.
  public var ids: [Int32]
  /// All generated text.
  public var text: String
  /// Tokens of the prompt.
  public var promptTokens: Int
  /// Tokens of the prompt whose keys and values were there already: from an earlier turn, or in a prompt cache.
  public var cachedTokens: Int
  /// Seconds from the start to the first token's logits.
  public var promptSeconds: Double
  /// Seconds from there to the end.
  public var generationSeconds: Double
}

/// Why a generation can't be started, or can't go on.
public enum GenerationError: Error, Equatable, Sendable {
  /// An option has a value that the model or the machine doesn't allow.
  case invalidOption(name: String, expectation: String)
  /// A token id isn't in the model's vocabulary.
  case invalidToken(id: Int, vocabularySize: Int)
  /// The prompt has no tokens.
  case emptyPrompt
  /// The prompt leaves no room in the context.
  case promptTooLong(count: Int, contextLength: Int)
  /// The model gave logits that aren't finite: its weights are damaged or overflow, where `fault` says.
  case notFinite(position: Int, fault: NumericFault? = nil)
  /// The session is still generating for another request.
  case sessionInUse
  /// The prompt cache is for another model, or for another way of running it.
  case foreignPromptCache
  /// There is no memory for the keys and values.
  case outOfMemory(bytes: Int)
}

extension GenerationError: CustomStringConvertible {
  /// One line that says what was expected.
  public var description: String {
    switch self {
    case .invalidOption(let name, let expectation): "\(name): expected \(expectation)"
    case .invalidToken(let id, let size): "token \(id): expected an id from 0 to \(size - 1)"
    case .emptyPrompt: "prompt: expected at least one token, found none"
    case .promptTooLong(let count, let length):
      "prompt: expected at most \(length) tokens, the context length, found \(count)"
    case .notFinite(let position, let fault):
      "position \(position): expected finite logits, but the model's output holds NaN or infinity"
        + (fault.map { ": \($0)" } ?? "")
    case .sessionInUse: "session: expected the previous generation to have ended"
    case .foreignPromptCache:
      "prompt cache: expected one for this model, with the same weights, kernels and options"
    case .outOfMemory(let bytes):
      "keys and values: expected \(bytes.formattedBytes) of memory, found less"
    }
  }
}
