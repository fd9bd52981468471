import SalanganeFiles

/// Where the events of a generation wait for whoever reads them: the leading thread puts them in, one task takes them
/// out.
final class GenerationMailbox: Sendable {
  private struct State {
    var events: [GenerationEvent] = []
    /// Why it ended too early; thrown once, when the events are read.
    var failure: (any Error)?
    var reader: CheckedContinuation<GenerationEvent?, any Error>?
    var isPaused = false
    var hasEnded = false

    /// What the reader gets; nil if it must wait.
    mutating func next() -> Result<GenerationEvent?, any Error>? {
      if !events.isEmpty { return .success(events.removeFirst()) }
      if let failure {
        self.failure = nil
        return .failure(failure)
      }
      return hasEnded ? .success(nil) : nil
    }

    /// The reader that waits, if there is something for it.
    mutating func release() -> (
      reader: CheckedContinuation<GenerationEvent?, any Error>, value: Result<GenerationEvent?, any Error>
    )? {
      guard let reader, let value = next() else { return nil }
      self.reader = nil
      return (reader, value)
    }
  }

  private let state = Locked(State())
  private let onEnd: @Sendable () -> Void

  /// Creates an empty mailbox.
  ///
  /// - Parameter onEnd: Called once, when it is certain that nothing more is put in; before any reader hears of it.
  init(onEnd: @escaping @Sendable () -> Void) { self.onEnd = onEnd }

  /// Whether nothing more will be put in.
  var hasEnded: Bool { state.withLock { $0.hasEnded } }

  /// Puts an event in.
  ///
  /// - Returns: Whether the generation goes on. If not, either it was ended, or events are still unread: then it goes on
  ///   when `read` says so.
  func put(_ event: GenerationEvent) -> Bool {
    let (goesOn, released) = state.withLock { state in
      guard !state.hasEnded else { return (false, state.release()) }
      state.events.append(event)
      let released = state.release()
      state.isPaused = !state.events.isEmpty
      return (!state.isPaused, released)
    }
    if let released { released.reader.resume(with: released.value) }
    return goesOn
  }

  /// Puts the last events in, unless it has ended before.
  func end(with last: [GenerationEvent]) { end(last: last, failure: nil) }

  /// Ends in failure, unless it has ended before; what is unread is dropped.
  ///
  /// - Returns: Whether it hadn't ended before.
  @discardableResult
  func fail(_ error: any Error) -> Bool { end(last: nil, failure: error) }

  @discardableResult
  private func end(last: [GenerationEvent]?, failure: (any Error)?) -> Bool {
    let (isNew, released) = state.withLock { state in
      guard !state.hasEnded else { return (false, state.release()) }
      state.hasEnded = true
      onEnd()
      if let last { state.events += last } else { state.events = [] }
      state.failure = failure
      return (true, state.release())
    }
    if let released { released.reader.resume(with: released.value) }
    return isNew
  }

  /// Hands the next event to a reader, as soon as there is one; nil after the last.
  ///
  /// - Returns: Whether the generation may go on, which had waited for its events to be read.
  func read(_ reader: CheckedContinuation<GenerationEvent?, any Error>) -> Bool {
    let (mayGoOn, value) = state.withLock { state in
      precondition(state.reader == nil, "the events of a loop are read by one task at a time")
      guard let value = state.next() else {
        state.reader = reader
        return (false, nil as Result<GenerationEvent?, any Error>?)
      }
      let mayGoOn = state.isPaused && state.events.isEmpty && !state.hasEnded
      if mayGoOn { state.isPaused = false }
      return (mayGoOn, value)
    }
    if let value { reader.resume(with: value) }
    return mayGoOn
  }
}
