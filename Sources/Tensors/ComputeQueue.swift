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
    var startFailed = false
  }

  private let state = Mutex(State())
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
    let cancellation = Cancellation()
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

  private func enqueue(_ job: @escaping Job) {
    let mustStart = state.withLock { state in
      state.jobs.append(job)
      defer { state.isStarted = true }
      return !state.isStarted
    }
    if mustStart { startLeader() }
    signal.raise()
  }

  private func nextJob() -> Job? {
    state.withLock { state in
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
    while true {
      signal.wait()
      while let job = nextJob() { job(team) }
    }
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
