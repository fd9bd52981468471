import SalanganeModelGraph
import SalanganeTensors
import SalanganeTokenizers
import Synchronization

/// A sequence of generations that share their memory: what a new prompt has in common with what was read or
/// written before isn't computed again.
///
/// In a conversation, hand over the whole text so far with every turn.
public final class Session: Sendable {
  let model: LanguageModel
  /// Keys and values, and the tokens that they belong to.
  let memory = LeaderState<SessionMemory?>(nil)

  private let isBusy = Atomic<Bool>(false)

  init(_ model: LanguageModel) { self.model = model }

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

/// What a session remembers.
struct SessionMemory {
  let cache: KVCache
  /// The tokens whose keys and values the cache holds, at least; there may be one more.
  var tokens: [Int32] = []

  /// Forgets what a new prompt doesn't share.
  ///
  /// - Returns: How many tokens of the prompt are still there: all but one at most, since the last one's
  ///   output is needed.
  mutating func keepPrefix(sharedWith prompt: [Int32]) -> Int {
    let most = min(tokens.count, cache.count, prompt.count - 1)
    var shared = 0
    while shared < most, tokens[shared] == prompt[shared] { shared += 1 }
    cache.truncate(to: shared)
    tokens.removeLast(tokens.count - shared)
    return shared
  }
}
