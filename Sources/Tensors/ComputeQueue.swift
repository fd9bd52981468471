import SalanganeFiles
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

  private let state = Locked(State())
  /// The process that the leader runs in; 0 before it was started.
  private let process = Atomic<Int32>(0)
  private let waitingTurns = Atomic<Int>(0)
  private let shares = LeaderState(Shares())
  private let team = ThreadTeam()
  private let leaderStackBytes: Int?

  /// Creates a queue.
  ///
  /// - Parameter leaderStackBytes: The stack of its leading thread, for tests; nil for the system's default.
  package init(leaderStackBytes: Int? = nil) { self.leaderStackBytes = leaderStackBytes }

  /// Runs a job on the computing threads and returns what it returns.
  ///
  /// A job whose task is cancelled before its turn is not run, and its caller doesn't wait for that turn. One that
  /// is cancelled while it runs ends with its next check, and what it returns is dropped; so does its reading of
  /// files.
  ///
  /// - Throws: What `body` throws, `CancellationError`, or `ComputeError`: `forked` in a child of `fork`, `noThread` if
  ///   the system refuses to start the leading thread; the next request tries again.
  package func run<Result: Sendable>(
    _ body: @escaping @Sendable (ThreadTeam, Cancellation) throws -> Result
  ) async throws -> Result {
    try checkProcess()
    if process.load(ordering: .acquiring) == 0 { try start() }
    let cancellation = Cancellation(queue: self)
    let request = Request<Result>()
    return try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        guard request.wait(continuation, for: body) else {
          return continuation.resume(throwing: CancellationError())
        }
        enqueue { team in
          guard let (continuation, body) = request.begin() else { return }
          do {
            try cancellation.check()
            let faults = MappedFiles.faults
            let result = try ReadInterruption.withRequest({ cancellation.isCancelled }) {
              try body(team, cancellation)
            }
            try cancellation.check()
            try MappedFiles.check(since: faults)
            continuation.resume(returning: result)
          } catch {
            // What a job makes of numbers that nobody finished computing isn't of interest.
            continuation.resume(throwing: cancellation.isCancelled ? CancellationError() : error)
          }
        }
      }
    } onCancel: {
      cancellation.cancel()
      request.cancel()?.resume(throwing: CancellationError())
    }
  }

  /// Checks that the computing threads are threads of this process: a child of `fork` has only the thread that
  /// called it.
  ///
  /// It comes before any lock, which another thread of the parent may have held at that moment.
  ///
  /// - Throws: `ComputeError.forked`.
  package func checkProcess() throws(ComputeError) {
    let process = process.load(ordering: .relaxed)
    if process != 0, process != getpid() { throw .forked }
  }

  /// Asks for a turn, which is taken once. A first job, such as the one that loaded a model, has started the leading
  /// thread, or reported that it can't be.
  ///
  /// Allocates nothing if as many turns have waited before.
  package func add(_ turn: any ComputeTurn) {
    if process.load(ordering: .acquiring) == 0 {
      guard (try? start()) != nil else { preconditionFailure("turns belong to what a job has loaded") }
    }
    waitingTurns.wrappingAdd(1, ordering: .relaxed)
    enqueue { $0.turns.append(turn) }
  }

  private func enqueue(_ job: @escaping Job) { enqueue { $0.jobs.append(job) } }

  private func enqueue(_ change: (inout State) -> Void) {
    state.withLock { change(&$0) }
    state.signal()
  }

  /// What is next, waited for.
  private func next() -> Work {
    state.wait { state in
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
      switch next() {
      case .job(let job):
        shares.value.jobStart = .now
        shares.value.turns = .zero
        job(team)
      case .turn(let turn): take(turn)
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

  /// Starts the leading thread unless it runs.
  private func start() throws(ComputeError) {
    try state.withLock { (state) throws(ComputeError) in
      guard !state.isStarted else { return }
      try startLeader()
      state.isStarted = true
      process.store(getpid(), ordering: .releasing)
    }
  }

  private func startLeader() throws(ComputeError) {
    var attributes = pthread_attr_t()
    pthread_attr_init(&attributes)
    defer { pthread_attr_destroy(&attributes) }
    if let leaderStackBytes { pthread_attr_setstacksize(&attributes, leaderStackBytes) }
    let start = Unmanaged.passRetained(self)
    #if canImport(Darwin)
      var thread: pthread_t?
    #else
      var thread = pthread_t()
    #endif
    guard pthread_create(&thread, &attributes, leaderMain, start.toOpaque()) == 0 else {
      start.release()
      throw .noThread
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

/// Why nothing can be computed.
public enum ComputeError: Error, Equatable, Sendable {
  /// The process is a child of `fork`, whose parent has computed before: the computing threads stayed there.
  case forked
  /// The system refuses to start a thread.
  case noThread
  /// The system refuses so many bytes.
  case outOfMemory(bytes: Int)
}

extension ComputeError: CustomStringConvertible {
  /// One line that says what was expected.
  public var description: String {
    switch self {
    case .forked:
      "computing: expected the process that began it, found a child of its fork, which has no threads for it"
    case .noThread: "computing: expected to be allowed a thread, which the system refuses"
    case .outOfMemory(let bytes): "computing: expected \(bytes) bytes of memory, which the system refuses"
    }
  }
}

/// A job on its way through the queue: it is begun, or it is cancelled before that, but not both.
private final class Request<Result: Sendable>: Sendable {
  typealias Body = @Sendable (ThreadTeam, Cancellation) throws -> Result
  typealias Continuation = CheckedContinuation<Result, any Error>

  private enum State {
    case new
    case waiting(Continuation, Body)
    case over
  }

  private let state = Locked(State.new)

  /// Takes what the job's turn needs; false if the request was cancelled before.
  func wait(_ continuation: Continuation, for body: @escaping Body) -> Bool {
    state.withLock { state in
      guard case .new = state else { return false }
      state = .waiting(continuation, body)
      return true
    }
  }

  /// What is to be run now; nil if the request was cancelled.
  func begin() -> (Continuation, Body)? {
    state.withLock { state in
      guard case .waiting(let continuation, let body) = state else { return nil }
      state = .over
      return (continuation, body)
    }
  }

  /// Takes the request back; nil if it was begun or isn't waiting yet.
  func cancel() -> Continuation? {
    state.withLock { state in
      guard case .waiting(let continuation, _) = state else {
        if case .new = state { state = .over }
        return nil
      }
      state = .over
      return continuation
    }
  }
}

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
