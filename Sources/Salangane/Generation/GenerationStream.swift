import SalanganeModelGraph
import SalanganeTensors
import SalanganeTokenizers

/// The events of a generation, in the order in which they happen; the last one is the summary.
///
/// Nothing is computed before it is asked for: each step of the loop runs one token. Leaving the loop, or
/// cancelling the task, ends the generation there.
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
/// Not the generation itself does that: the computing thread may hold its last job, and so the generation, a
/// moment longer than the loop that was left.
private final class GenerationOwner: Sendable {
  let generation: Generation

  init(_ generation: Generation) { self.generation = generation }

  deinit { generation.finish() }
}

/// The state of one generation. It is touched by one task at a time, between whose steps a job runs.
///
/// `@unchecked Sendable`: `next` is called by the one owner of the iterator, and its jobs run while that
/// caller waits for them.
private final class Generation: @unchecked Sendable {
  private let session: Session
  private let prompt: GenerationStream.Prompt
  private let options: GenerationOptions
  private var sampler: Sampler?
  private var streamer: TextStreamer
  private var isStarted = false
  private var isFinished = false
  private var waiting: GenerationEvent?
  /// The last token that was chosen, and not run yet.
  private var lastToken: Int32 = 0
  private var summary = GenerationSummary(
    stopReason: .maximumTokens, ids: [], text: "", promptTokens: 0, cachedTokens: 0, promptSeconds: 0,
    generationSeconds: 0)
  private var start = ContinuousClock.now

  init(_ session: Session, prompt: GenerationStream.Prompt, options: GenerationOptions) {
    self.session = session
    self.prompt = prompt
    self.options = options
    streamer = TextStreamer(
      session.model.tokenizer, stopStrings: options.stopStrings,
      includesSpecialTokens: options.includesSpecialTokens)
  }

  func next() async throws -> GenerationEvent? {
    if let event = waiting {
      waiting = nil
      return event
    }
    guard !isFinished else { return nil }
    do {
      try Task.checkCancellation()
      return try await isStarted ? step() : begin()
    } catch {
      finish()
      throw error
    }
  }

  /// Frees the session, unless that has happened.
  func finish() {
    if isStarted, !isFinished { session.end() }
    isFinished = true
  }

  // MARK: Steps

  private func begin() async throws -> GenerationEvent {
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
    try session.begin()
    isStarted = true
    start = .now
    var sampler = Sampler(
      options.sampling, vocabularySize: vocabularySize,
      seed: options.sampling.seed ?? UInt64.random(in: .min ... .max))
    for id in tokens { sampler.accept(id) }
    self.sampler = sampler
    summary.promptTokens = tokens.count
    summary.cachedTokens = try await reuse(tokens)
    // A job a chunk, so that other requests get their turns during a long prompt.
    var first = summary.cachedTokens
    // What nothing is generated from is still read, for prompts to come.
    let rest = options.maximumTokens == 0 ? 0 : Decoder.promptChunk
    while tokens.count - first > rest {
      let end = min(first + Decoder.promptChunk, tokens.count)
      try await read(Array(tokens[first..<end]))
      first = end
    }
    guard options.maximumTokens != 0 else {
      summary.promptSeconds = elapsed()
      return end(.maximumTokens, "")
    }
    let last = Array(tokens[first...])
    let choice = try await session.model.engine.run { step, workspace in
      guard var memory = self.session.memory.value else { preconditionFailure("reuse() made it") }
      let hidden = try step.decoder.prefill(
        last, cache: memory.cache, prompt: memory.promptEnd, workspace: &workspace, context: step.context,
        cancellation: step.cancellation)
      memory.append(prompt: last)
      self.session.memory.value = memory
      return try self.choose(hidden, step, &workspace)
    }
    summary.promptSeconds = elapsed()
    return take(choice)
  }

  private func step() async throws -> GenerationEvent {
    let token = lastToken
    let choice = try await session.model.engine.run { step, workspace in
      let cache = self.session.memory.value?.cache
      guard let cache else { preconditionFailure("begin() made it") }
      let hidden = try step.decoder.decode(
        token, cache: cache, workspace: &workspace, context: step.context, cancellation: step.cancellation)
      self.session.memory.value?.append(generated: token)
      return try self.choose(hidden, step, &workspace)
    }
    return take(choice)
  }

  /// Takes up the session's memory, or makes it.
  private func reuse(_ tokens: [Int32]) async throws -> Int {
    try await session.model.engine.run { [session] _, _ in
      var memory = session.memory.value ?? session.model.engine.makeMemory(sharing: session.promptCache)
      // Without a second reference the memory isn't copied.
      session.memory.value = nil
      defer { session.memory.value = memory }
      return try memory.begin(tokens)
    }
  }

  /// Reads a part of a prompt.
  private func read(_ tokens: [Int32]) async throws {
    try await session.model.engine.run { [session] step, workspace in
      guard let memory = session.memory.value else { preconditionFailure("reuse() made it") }
      try step.decoder.run(
        tokens, cache: memory.cache, prompt: memory.promptEnd, workspace: &workspace, context: step.context,
        cancellation: step.cancellation
      ) { _, _, _ in }
      session.memory.value?.append(prompt: tokens)
    }
  }

  private func choose(
    _ hidden: Matrix, _ step: DecoderEngine.Step, _ workspace: inout DecoderWorkspace
  ) throws -> (id: Int32, logProbability: Float) {
    guard var sampler else { preconditionFailure("begin() made it") }
    // Without a second reference the sampler's memory isn't copied.
    self.sampler = nil
    defer { self.sampler = sampler }
    let logits = step.decoder.logits(hidden, &workspace, step.context)
    let position = summary.promptTokens + summary.ids.count - 1
    let choice = try step.choose(from: logits, with: &sampler, position: position)
    sampler.accept(choice.id)
    return choice
  }

  /// Makes an event of a chosen token.
  private func take(_ choice: (id: Int32, logProbability: Float)) -> GenerationEvent {
    if !options.ignoresEndOfSequence, session.model.endTokens.contains(choice.id) {
      return end(.endOfSequence(choice.id), streamer.finish())
    }
    lastToken = choice.id
    summary.ids.append(choice.id)
    var text = streamer.append(choice.id)
    var reason: GenerationSummary.StopReason?
    if let stop = streamer.stopString {
      reason = .stopString(stop)
    } else if summary.ids.count == options.maximumTokens {
      reason = .maximumTokens
    } else if summary.promptTokens + summary.ids.count > session.model.contextLength {
      // The token just chosen has no place in the context any more.
      reason = .contextFull
    }
    if reason != nil, streamer.stopString == nil { text += streamer.finish() }
    summary.text += text
    if let reason { waiting = end(reason, "") }
    return .text(GeneratedText(text: text, ids: [choice.id], logProbabilities: [choice.logProbability]))
  }

  /// Ends the generation.
  ///
  /// - Returns: The summary, or first the text that was still held back.
  private func end(_ reason: GenerationSummary.StopReason, _ text: String) -> GenerationEvent {
    summary.stopReason = reason
    summary.text += text
    summary.generationSeconds = elapsed() - summary.promptSeconds
    finish()
    guard !text.isEmpty else { return .finished(summary) }
    waiting = .finished(summary)
    return .text(GeneratedText(text: text, ids: [], logProbabilities: []))
  }

  private func elapsed() -> Double {
    let parts = (ContinuousClock.now - start).components
    return Double(parts.seconds) + Double(parts.attoseconds) * 1e-18
  }
}
