import SalanganeTensors
import SalanganeTokenizers

/// The events of a generation, in the order in which they happen; the last one is the summary.
///
/// Nothing is computed before the first event is asked for, and from then on no more than one token ahead: while the
/// loop looks at a token, the next is computed, and then the generation waits. Leaving the loop, or cancelling the task,
/// ends the generation within that step.
public struct GenerationStream: AsyncSequence, Sendable {
  /// What is handed out.
  public typealias Element = GenerationEvent

  enum Prompt: Sendable {
    case text(String)
    case tokens([Int32])
  }

  private let session: Session
  private let prompt: Prompt
  private let options: GenerationOptions

  init(_ session: Session, prompt: Prompt, options: GenerationOptions) {
    self.session = session
    self.prompt = prompt
    self.options = options
  }

  /// Starts a generation of its own for each loop over the stream.
  public func makeAsyncIterator() -> Iterator {
    Iterator(owner: GenerationOwner(Generation(session, prompt: prompt, options: options)))
  }

  /// Asks for one event after the other.
  public struct Iterator: AsyncIteratorProtocol {
    fileprivate let owner: GenerationOwner

    /// The next event; nil after the summary.
    ///
    /// - Throws: `GenerationError`, `TokenizerError` or `CancellationError`, after which there are no more
    ///   events.
    public mutating func next() async throws -> GenerationEvent? { try await owner.generation.next() }
  }

  /// Runs to the end.
  ///
  /// - Returns: The summary, with all text and tokens.
  /// - Throws: As the loop does.
  public func summary() async throws -> GenerationSummary {
    for try await event in self {
      if case .finished(let summary) = event { return summary }
    }
    throw CancellationError()
  }
}

/// Ends a generation when its iterator is gone.
///
/// Not the generation itself does that: the computing thread may hold its sequence a moment longer than the loop that
/// was left.
private final class GenerationOwner: Sendable {
  let generation: Generation

  init(_ generation: Generation) { self.generation = generation }

  deinit { generation.leave() }
}

/// One generation, from the prompt on.
///
/// `@unchecked Sendable`: `next` is called by the one owner of the iterator, one call at a time, and `leave` when it is
/// gone.
private final class Generation: @unchecked Sendable {
  private let session: Session
  private let prompt: GenerationStream.Prompt
  private let options: GenerationOptions
  private var sequence: GeneratingSequence?
  private var isRefused = false

  init(_ session: Session, prompt: GenerationStream.Prompt, options: GenerationOptions) {
    self.session = session
    self.prompt = prompt
    self.options = options
  }

  func next() async throws -> GenerationEvent? {
    if let sequence { return try await sequence.next() }
    guard !isRefused else { return nil }
    do {
      try Task.checkCancellation()
      let sequence = try begin()
      self.sequence = sequence
      return try await sequence.next()
    } catch {
      isRefused = true
      throw error
    }
  }

  func leave() { sequence?.leave() }

  /// Checks everything, and has the sequence run from the next step on.
  private func begin() throws -> GeneratingSequence {
    let model = session.model
    let vocabularySize = model.vocabularySize
    if let (name, expectation) = options.sampling.invalidValue(vocabularySize: vocabularySize) {
      throw GenerationError.invalidOption(name: name, expectation: expectation)
    }
    if let count = options.maximumTokens, count < 0 {
      throw GenerationError.invalidOption(name: "maximum tokens", expectation: "at least 0, found \(count)")
    }
    let tokens: [Int32] =
      switch prompt {
      case .tokens(let ids): ids
      case .text(let text): try model.tokenizer.encode(text).ids
      }
    guard !tokens.isEmpty else { throw GenerationError.emptyPrompt }
    if let id = tokens.first(where: { $0 < 0 || Int($0) >= vocabularySize }) {
      throw GenerationError.invalidToken(id: Int(id), vocabularySize: vocabularySize)
    }
    guard tokens.count <= model.contextLength else {
      throw GenerationError.promptTooLong(count: tokens.count, contextLength: model.contextLength)
    }
    try ComputeQueue.shared.checkProcess()
    try session.begin()
    let sequence = GeneratingSequence(session, prompt: tokens, options: options)
    model.scheduler.enter(sequence)
    return sequence
  }
}
