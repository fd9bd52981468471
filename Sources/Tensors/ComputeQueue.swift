import SalanganeFiles
import Synchronization

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// Where computing happens: one thread that takes jobs in the order in which they came and leads the thread
/// team through each.
///
/// Computing never runs on Swift's cooperative pool: a caller awaits its job without holding one of the
/// pool's threads. Requests stay short by cutting their work into several jobs, so that others get their
/// turn in between.
package final class ComputeQueue: Sendable {
  /// The process's queue, and its only team.
  package static let shared = ComputeQueue()

  private typealias Job = @Sendable (ThreadTeam) -> Void

  private struct State {
    var jobs: [Job] = []
    var head = 0
    var isStarted = false
  }

  private let state = Locked(State())
  /// The process that the leader runs in; 0 before it was started.
  private let process = Atomic<Int32>(0)
  private let team = ThreadTeam()

  private init() {}

  /// Runs a job on the computing threads and returns what it returns.
  ///
  /// A job whose task is cancelled before its turn is not run, and its caller doesn't wait for that turn. One that
  /// is cancelled while it runs ends with its next check, and what it returns is dropped.
  ///
  /// - Throws: What `body` throws, `CancellationError`, or `ComputeError.forked` in a child of `fork`.
  package func run<Result: Sendable>(
    _ body: @escaping @Sendable (ThreadTeam, Cancellation) throws -> Result
  ) async throws -> Result {
    try checkProcess()
    let cancellation = Cancellation()
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
            let result = try body(team, cancellation)
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

  private func enqueue(_ job: @escaping Job) {
    let mustStart = state.withLock { state in
      state.jobs.append(job)
      defer { state.isStarted = true }
      return !state.isStarted
    }
    if mustStart { startLeader() }
    state.signal()
  }

  /// The next job, waited for.
  private func nextJob() -> Job {
    state.wait { state in
      guard state.head < state.jobs.count else {
        state.jobs.removeAll(keepingCapacity: true)
        state.head = 0
        return nil
      }
      let job = state.jobs[state.head]
      // Lets go of what the job holds as soon as it has run.
      state.jobs[state.head] = { _ in }
      state.head += 1
      if state.head > 1024 {
        state.jobs.removeFirst(state.head)
        state.head = 0
      }
      return job
    }
  }

  fileprivate func lead() {
    while true { nextJob()(team) }
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
    process.store(getpid(), ordering: .relaxed)
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
}

extension ComputeError: CustomStringConvertible {
  /// One line that says what was expected.
  public var description: String {
    switch self {
    case .forked:
      "computing: expected the process that began it, found a child of its fork, which has no threads for it"
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

/// Whether the task that asked for a job still wants it.
package final class Cancellation: Sendable {
  private let flag = Atomic<Bool>(false)

  /// Creates one that isn't cancelled.
  package init() {}

  /// True once the asking task was cancelled.
  package var isCancelled: Bool { flag.load(ordering: .relaxed) }

  /// Marks the job as no longer wanted.
  package func cancel() { flag.store(true, ordering: .relaxed) }

  /// Throws `CancellationError` if the job is no longer wanted: called between layers.
  package func check() throws {
    if isCancelled { throw CancellationError() }
  }
}
