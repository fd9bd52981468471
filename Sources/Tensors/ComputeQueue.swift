import Synchronization

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// Where computing happens: one thread that leads the thread team through jobs, in the order in which they came, and
/// through turns.
///
/// Computing never runs on Swift's cooperative pool: a caller awaits its job without holding one of the
/// pool's threads. Requests stay short by cutting their work into several jobs, so that others get their
/// turn in between.
///
/// Jobs and turns alternate. While a long job runs and turns wait, turns are taken where the job checks for its
/// cancellation, as long as they don't take more time of it than the job itself: so neither starves.
package final class ComputeQueue: Sendable {
  /// The process's queue, and its only team.
  package static let shared = ComputeQueue()

  private typealias Job = @Sendable (ThreadTeam) -> Void

  private struct State {
    var jobs = Line<Job>()
    var turns = Line<any ComputeTurn>()
    var isTurnNext = true
    var isStarted = false
  }

  private enum Work {
    case job(Job)
    case turn(any ComputeTurn)
  }

  /// How the time of the job that runs is shared.
  private struct Shares {
    var isInTurn = false
    var jobStart = ContinuousClock.now
    /// What turns took of it.
    var turns = Duration.zero
    /// What the last turn took.
    var lastTurn = Duration.zero
  }

  private let state = Mutex(State())
  private let waitingTurns = Atomic<Int>(0)
  private let shares = LeaderState(Shares())
  private let team = ThreadTeam()
  private let signal = Signal()

  private init() {}

  /// Runs a job on the computing threads and returns what it returns.
  ///
  /// A job whose task was cancelled before its turn is not run.
  ///
  /// - Throws: What `body` throws, or `CancellationError`.
  package func run<Result: Sendable>(
    _ body: @escaping @Sendable (ThreadTeam, Cancellation) throws -> Result
  ) async throws -> Result {
    let cancellation = Cancellation(queue: self)
    return try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        enqueue { team in
          do {
            try cancellation.check()
            continuation.resume(returning: try body(team, cancellation))
          } catch {
            continuation.resume(throwing: error)
          }
        }
      }
    } onCancel: {
      cancellation.cancel()
    }
  }

  /// Asks for a turn, which is taken once.
  ///
  /// Allocates nothing if as many turns have waited before.
  package func add(_ turn: any ComputeTurn) {
    waitingTurns.wrappingAdd(1, ordering: .relaxed)
    enqueue { $0.turns.append(turn) }
  }

  private func enqueue(_ job: @escaping Job) { enqueue { $0.jobs.append(job) } }

  private func enqueue(_ change: (inout State) -> Void) {
    let mustStart = state.withLock { state in
      change(&state)
      defer { state.isStarted = true }
      return !state.isStarted
    }
    if mustStart { startLeader() }
    signal.raise()
  }

  private func next() -> Work? {
    state.withLock { state in
      if state.isTurnNext || state.jobs.isEmpty, let turn = state.turns.removeFirst() {
        state.isTurnNext = false
        return .turn(turn)
      }
      state.isTurnNext = true
      return state.jobs.removeFirst().map { .job($0) }
    }
  }

  fileprivate func lead() {
    while true {
      signal.wait()
      while let work = next() {
        switch work {
        case .job(let job):
          shares.value.jobStart = .now
          shares.value.turns = .zero
          job(team)
        case .turn(let turn): take(turn)
        }
      }
    }
  }

  /// Takes a turn, and notes how long it took.
  private func take(_ turn: any ComputeTurn) {
    waitingTurns.wrappingSubtract(1, ordering: .relaxed)
    let start = ContinuousClock.now
    shares.value.isInTurn = true
    turn.take(team)
    shares.value.isInTurn = false
    shares.value.lastTurn = ContinuousClock.now - start
    shares.value.turns += shares.value.lastTurn
  }

  /// Takes a turn in the middle of a job, if one waits and the job had its share; called by the job, on the leading
  /// thread, between two phases.
  fileprivate func interrupt() {
    guard waitingTurns.load(ordering: .relaxed) > 0, !shares.value.isInTurn else { return }
    let elapsed = ContinuousClock.now - shares.value.jobStart
    // If this turn takes as long as the last, turns have had half of the time when it is over.
    guard elapsed >= shares.value.turns * 2 + shares.value.lastTurn else { return }
    let turn = state.withLock { state in
      // One that needs what the job holds stays in its place.
      state.turns.first.flatMap { $0.canInterrupt ? state.turns.removeFirst() : nil }
    }
    if let turn { take(turn) }
  }

  private func startLeader() {
    let start = Unmanaged.passRetained(self)
    #if canImport(Darwin)
      var thread: pthread_t?
    #else
      var thread = pthread_t()
    #endif
    guard pthread_create(&thread, nil, leaderMain, start.toOpaque()) == 0 else {
      fatalError("the system refuses to start a thread for computing")
    }
  }
}

#if canImport(Darwin)
  private func leaderMain(_ argument: UnsafeMutableRawPointer) -> UnsafeMutableRawPointer? {
    Unmanaged<ComputeQueue>.fromOpaque(argument).takeRetainedValue().lead()
    return nil
  }
#else
  private func leaderMain(_ argument: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    if let argument { Unmanaged<ComputeQueue>.fromOpaque(argument).takeRetainedValue().lead() }
    return nil
  }
#endif

/// Work that asks for the computing threads again and again for a short time, such as a step of the texts that are
/// being generated.
package protocol ComputeTurn: AnyObject, Sendable {
  /// Whether the turn could be taken in the middle of the job that runs; called on the leading thread.
  var canInterrupt: Bool { get }

  /// Does the work; called on the leading thread.
  func take(_ team: ThreadTeam)
}

/// Whether the task that asked for a job still wants it.
package final class Cancellation: Sendable {
  private let flag = Atomic<Bool>(false)
  private let queue: ComputeQueue?

  /// Creates one that isn't cancelled.
  package init() { queue = nil }

  /// Creates one of a job in a queue.
  fileprivate init(queue: ComputeQueue) { self.queue = queue }

  /// True once the asking task was cancelled.
  package var isCancelled: Bool { flag.load(ordering: .relaxed) }

  /// Marks the job as no longer wanted.
  package func cancel() { flag.store(true, ordering: .relaxed) }

  /// Throws `CancellationError` if the job is no longer wanted; if it is, turns that wait may be taken first.
  ///
  /// Called between layers, on the leading thread, and never within a phase.
  package func check() throws {
    if isCancelled { throw CancellationError() }
    queue?.interrupt()
  }
}

/// First in, first out; allocates only to become longer than it ever was.
private struct Line<Element> {
  private var elements: [Element?] = []
  private var head = 0

  var isEmpty: Bool { head == elements.count }

  var first: Element? { isEmpty ? nil : elements[head] }

  mutating func append(_ element: Element) {
    if head > 64, head * 2 > elements.count {
      elements.removeFirst(head)
      head = 0
    }
    elements.append(element)
  }

  mutating func removeFirst() -> Element? {
    guard head < elements.count else { return nil }
    let element = elements[head]
    // Lets go of what the element holds as soon as it is done with.
    elements[head] = nil
    head += 1
    if head == elements.count {
      elements.removeAll(keepingCapacity: true)
      head = 0
    }
    return element
  }
}

/// A flag that one thread raises and another sleeps on.
///
/// `@unchecked Sendable`: `isRaised` is only touched with `mutex` held.
private final class Signal: @unchecked Sendable {
  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
  private var isRaised = false

  init() {
    pthread_mutex_init(mutex, nil)
    pthread_cond_init(condition, nil)
  }

  func raise() {
    pthread_mutex_lock(mutex)
    isRaised = true
    pthread_cond_signal(condition)
    pthread_mutex_unlock(mutex)
  }

  func wait() {
    pthread_mutex_lock(mutex)
    while !isRaised { pthread_cond_wait(condition, mutex) }
    isRaised = false
    pthread_mutex_unlock(mutex)
  }

  deinit {
    pthread_cond_destroy(condition)
    pthread_mutex_destroy(mutex)
    condition.deallocate()
    mutex.deallocate()
  }
}
