import SalanganeModelGraph
import SalanganeTensors
import SalanganeTokenizers
import Synchronization

/// A sequence of generations that share their memory: what a new prompt has in common with what was read or
/// written before isn't computed again.
///
/// In a conversation, hand over the whole text so far with every turn. With a `PromptCache`, sessions also share what
/// their texts start with.
public final class Session: Sendable {
  let model: LanguageModel
  /// Keys and values, and the tokens that they belong to.
  let memory = LeaderState<SessionMemory?>(nil)
  /// What other sessions have read; nil for none.
  let promptCache: PromptCache?

  private let isBusy = Atomic<Bool>(false)

  init(_ model: LanguageModel, promptCache: PromptCache? = nil) {
    self.model = model
    self.promptCache = promptCache
  }

  /// Continues a text.
  ///
  /// - Parameters:
  ///   - prompt: The whole text; the tokens that the model expects at a text's start are added.
  ///   - options: How the text is generated.
  /// - Returns: The events of the generation, which runs as they are asked for. It throws
  ///   `GenerationError.sessionInUse` if an earlier generation of the session hasn't ended.
  public func generate(_ prompt: String, options: GenerationOptions = .init()) -> GenerationStream {
    GenerationStream(self, prompt: .text(prompt), options: options)
  }

  /// Continues a sequence of tokens, to which nothing is added.
  ///
  /// - Parameters:
  ///   - tokens: The whole sequence.
  ///   - options: How the text is generated.
  /// - Returns: The events of the generation, as in `generate(_:options:)`.
  public func generate(tokens: [Int32], options: GenerationOptions = .init()) -> GenerationStream {
    GenerationStream(self, prompt: .tokens(tokens), options: options)
  }

  /// Takes the session for one generation.
  func begin() throws(GenerationError) {
    guard !isBusy.exchange(true, ordering: .acquiringAndReleasing) else { throw .sessionInUse }
  }

  /// Frees the session for the next.
  func end() { isBusy.store(false, ordering: .releasing) }
}
