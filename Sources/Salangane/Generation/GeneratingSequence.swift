import SalanganeModelGraph
import SalanganeTensors

/// A text that is being generated, as one of the sequences of a `BatchScheduler`.
///
/// `@unchecked Sendable`: but for `next` and `leave`, which use the mailbox only, everything is called by the
/// scheduler's turns, on the leading thread.
final class GeneratingSequence: @unchecked Sendable {
  /// Chooses its tokens.
  let chooser: TokenChooser

  private let session: Session
  private let options: GenerationOptions
  private let prompt: [Int32]
  private let mailbox: GenerationMailbox
  private let start: ContinuousClock.Instant
  private var streamer: TextStreamer
  private var isPrepared = false
  /// How many tokens of the prompt have been read.
  private var position = 0
  /// How many rows of the current batch are its own.
  private var rows = 0
  /// The token that was chosen last, and not run yet.
  private var lastToken: Int32 = 0
  private var summary: GenerationSummary

  /// Creates a sequence that hasn't read anything yet.
  ///
  /// - Parameters:
  ///   - session: A session that was taken for it, and is freed when it ends.
  ///   - prompt: Valid tokens, as many as there is room for.
  ///   - options: Valid options.
  init(_ session: Session, prompt: [Int32], options: GenerationOptions) {
    self.session = session
    self.prompt = prompt
    self.options = options
    start = .now
    var sampler = Sampler(
      options.sampling, vocabularySize: session.model.vocabularySize,
      seed: options.sampling.seed ?? UInt64.random(in: .min ... .max))
    for id in prompt { sampler.accept(id) }
    chooser = TokenChooser(sampler)
    streamer = TextStreamer(
      session.model.tokenizer, stopStrings: options.stopStrings,
      includesSpecialTokens: options.includesSpecialTokens)
    summary = GenerationSummary(
      stopReason: .maximumTokens, ids: [], text: "", promptTokens: prompt.count, cachedTokens: 0,
      promptSeconds: 0, generationSeconds: 0)
    mailbox = GenerationMailbox { session.end() }
  }

  // MARK: The reader's side

  /// The next event; nil after the last.
  ///
  /// - Throws: What ended the generation, once.
  func next() async throws -> GenerationEvent? {
    try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { reader in
        if mailbox.read(reader) { session.model.scheduler.enter(self) }
      }
    } onCancel: {
      leave()
    }
  }

  /// Ends the generation, unless it has ended.
  func leave() {
    if mailbox.fail(CancellationError()) { session.model.scheduler.memberLeft() }
  }

  // MARK: The scheduler's side

  /// Whether there is nothing more to do.
  var hasEnded: Bool { mailbox.hasEnded }
  /// Whether the prompt hasn't been read to its end.
  var isReading: Bool { position < prompt.count }

  /// Takes up the session's memory, or makes it, unless that has happened.
  ///
  /// - Throws: `KVCacheError.outOfMemory` if there is no memory for the prompt.
  func prepare() throws(KVCacheError) {
    guard !isPrepared else { return }
    isPrepared = true
    var memory = session.memory.value ?? session.model.engine.makeMemory(sharing: session.promptCache)
    // Without a second reference the memory isn't copied.
    session.memory.value = nil
    defer { session.memory.value = memory }
    position = try memory.begin(prompt)
    summary.cachedTokens = position
  }

  /// Adds its next rows to a batch: the token that was chosen last, or a part of the prompt.
  ///
  /// - Parameter most: The most rows, at least 1.
  /// - Returns: Whether a token is to be chosen after them.
  /// - Throws: `KVCacheError` if there is no room for them.
  func addRows(to batch: inout DecoderBatch, most: Int) throws(KVCacheError) -> Bool {
    guard let cache = session.memory.value?.cache else { preconditionFailure("prepare() made it") }
    guard isReading else {
      rows = 1
      try cache.reserve(cache.count + 1)
      batch.append(lastToken, cache: cache)
      return true
    }
    rows = min(most, prompt.count - position)
    try cache.reserve(cache.count + rows)
    // What nothing is generated from is still read, for prompts to come.
    let isLast = position + rows == prompt.count && options.maximumTokens != 0
    batch.append(prompt[position..<position + rows], cache: cache, wantsOutput: isLast)
    return isLast
  }

  /// Notes that its rows have run.
  func didRun() {
    if isReading {
      session.memory.value?.append(prompt[position..<position + rows])
      position += rows
      guard !isReading, options.maximumTokens == 0, !hasEnded else { return }
      summary.promptSeconds = elapsed()
      finish(.maximumTokens)
    } else {
      session.memory.value?.append(CollectionOfOne(lastToken))
    }
  }

  /// The tokens that have run.
  var tokens: [Int32] { session.memory.value?.tokens ?? [] }

  /// Ends the generation with an error.
  func fail(_ error: any Error) { mailbox.fail(error) }

  /// Makes an event of the token that was just chosen.
  ///
  /// - Returns: Whether the token is to be run now; if not, the sequence has ended, or waits for its reader.
  func take() -> Bool {
    // Whoever took the session in the meantime may have the same tokens.
    guard !hasEnded else { return false }
    guard let choice = chooser.choice else { preconditionFailure("without a choice, it has failed") }
    if summary.ids.isEmpty { summary.promptSeconds = elapsed() }
    if !options.ignoresEndOfSequence, session.model.endTokens.contains(choice.id) {
      finish(.endOfSequence(choice.id), streamer.finish())
      return false
    }
    lastToken = choice.id
    summary.ids.append(choice.id)
    var text = streamer.append(choice.id)
    let reason = stopReason
    if reason != nil, streamer.stopString == nil { text += streamer.finish() }
    let piece = GeneratedText(text: text, ids: [choice.id], logProbabilities: [choice.logProbability])
    if let reason {
      finish(reason, piece)
      return false
    }
    summary.text += text
    return mailbox.put(.text(piece))
  }

  /// Why the text ends with the last token; nil if it goes on.
  private var stopReason: GenerationSummary.StopReason? {
    if let stop = streamer.stopString { return .stopString(stop) }
    if summary.ids.count == options.maximumTokens { return .maximumTokens }
    // The token just chosen has no place in the context any more.
    return prompt.count + summary.ids.count > session.model.contextLength ? .contextFull : nil
  }

  /// Ends the text with what was held back.
  private func finish(_ reason: GenerationSummary.StopReason, _ text: String) {
    finish(reason, text.isEmpty ? nil : GeneratedText(text: text, ids: [], logProbabilities: []))
  }

  private func finish(_ reason: GenerationSummary.StopReason, _ piece: GeneratedText? = nil) {
    summary.stopReason = reason
    summary.text += piece?.text ?? ""
    summary.generationSeconds = elapsed() - summary.promptSeconds
    mailbox.end(with: (piece.map { [.text($0)] } ?? []) + [.finished(summary)])
  }

  private func elapsed() -> Double { (ContinuousClock.now - start) / .seconds(1) }
}
