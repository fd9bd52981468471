import Synchronization

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// What the tasks of one phase do.
///
/// A phase that is a value of such a type runs without an allocation; one that is a closure costs one, since
/// the closure is handed to other threads.
package protocol Phase {
  /// Runs a task on a worker; 0 is the leader.
  func run(task: Int, worker: Int)
}

extension Phase {
  fileprivate static func run(_ phase: UnsafeRawPointer, task: Int, worker: Int) {
    phase.assumingMemoryBound(to: Self.self).pointee.run(task: task, worker: worker)
  }
}

private struct ClosurePhase: Phase {
  let body: ThreadTeam.Body
  func run(task: Int, worker: Int) { body(task, worker) }
}

/// The process's computing threads: a leader that brings work, and helpers that share it.
///
/// A phase is a number of independent tasks, taken one after the other by whoever is free; `run` returns
/// when all are done. Helpers spin for a short while after a phase, since the next one mostly follows
/// within microseconds, and sleep after that. A helper that the operating system didn't schedule in time
/// is not waited for: the phase closes without it.
///
/// Only one thread at a time may lead: `ComputeQueue` sees to it. `@unchecked Sendable`: the fields of
/// `Work` are written by the leader before it opens a phase and read by helpers that joined it (the atomic
/// `phase` orders both); everything else is atomic or guarded by `mutex`.
package final class ThreadTeam: @unchecked Sendable {
  /// The work of one phase: a task's index, and which worker runs it (0 is the leader).
  package typealias Body = (_ task: Int, _ worker: Int) -> Void

  private struct Work {
    /// The type of the phase, and where the leader keeps it.
    var phase: (type: any Phase.Type, value: UnsafeRawPointer)?
    var tasks = 0
    var width = 1
  }

  // phase = generation << 16 | closed << 15 | helpers that joined.
  private static let closed: UInt64 = 1 << 15
  private static let joinedMask: UInt64 = closed - 1

  private let phase = Atomic<UInt64>(ThreadTeam.closed)
  private let nextTask = Atomic<Int>(0)
  private let left = Atomic<UInt64>(0)
  private let sleepers = Atomic<Int>(0)
  private let stopping = Atomic<Bool>(false)
  private var work = Work()
  /// Where the leader's time goes, if anyone wants to know.
  package var profile: OperationProfile?
  private var helpers: [pthread_t] = []
  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let wake = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

  /// How often a helper looks for a new phase before it sleeps: some 100 microseconds. Being woken takes
  /// about as long, on a virtual machine even longer, and between two phases the leader does some of the work alone.
  private static let spins = 100_000

  /// Creates a team that starts its helpers when they are first needed.
  package init() {
    pthread_mutex_init(mutex, nil)
    pthread_cond_init(wake, nil)
  }

  /// The threads that exist now, the leader included.
  package var threadCount: Int { helpers.count + 1 }

  /// How many threads a request uses that doesn't say: `SALANGANE_THREADS`, or the online processors.
  package static let defaultThreadCount: Int = {
    if let requested = requestedThreads, let count = Int(requested), (1...maximumThreadCount).contains(count)
    {
      return count
    }
    return min(max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))), maximumThreadCount)
  }()

  /// What `SALANGANE_THREADS` holds; nil if it isn't set, or empty.
  package static var requestedThreads: String? {
    guard let value = getenv("SALANGANE_THREADS"), value.pointee != 0 else { return nil }
    return String(cString: value)
  }

  /// The most threads that a request may ask for.
  package static let maximumThreadCount = 256

  /// Runs `tasks` tasks on up to `width` threads, and returns when all are done.
  ///
  /// Tasks must be independent of each other, and of the worker that runs them but for its scratch.
  package func run(tasks: Int, width: Int, _ body: Body) {
    if tasks <= 1 || width <= 1 {
      for task in 0..<tasks { body(task, 0) }
      return
    }
    withoutActuallyEscaping(body) { body in
      run(tasks: tasks, width: width, phase: ClosurePhase(body: body))
    }
  }

  /// Runs `tasks` tasks on up to `width` threads, and returns when all are done.
  package func run<P: Phase>(tasks: Int, width: Int, phase: P) {
    if tasks <= 1 || width <= 1 {
      for task in 0..<tasks { phase.run(task: task, worker: 0) }
      return
    }
    startHelpers(count: width - 1)
    withUnsafePointer(to: phase) { value in
      open(Work(phase: (P.self, UnsafeRawPointer(value)), tasks: tasks, width: width))
    }
  }

  /// Opens a phase, takes part in it, and closes it.
  private func open(_ work: Work) {
    self.work = work
    nextTask.store(0, ordering: .relaxed)
    left.store(0, ordering: .relaxed)
    let generation = (phase.load(ordering: .relaxed) >> 16) &+ 1
    phase.store(generation << 16, ordering: .sequentiallyConsistent)
    if sleepers.load(ordering: .sequentiallyConsistent) > 0 {
      pthread_mutex_lock(mutex)
      pthread_cond_broadcast(wake)
      pthread_mutex_unlock(mutex)
    }
    takeTasks(worker: 0)
    let joined =
      phase.bitwiseOr(Self.closed, ordering: .acquiringAndReleasing).oldValue & Self.joinedMask
    var spins = 0
    while left.load(ordering: .acquiring) != joined {
      spins &+= 1
      // A helper that was taken off its processor in the middle of a task needs ours to go on.
      if spins & 1023 == 0 { sched_yield() }
    }
    self.work.phase = nil
  }

  private func takeTasks(worker: Int) {
    let tasks = work.tasks
    guard let (type, value) = work.phase else { return }
    while true {
      let task = nextTask.wrappingAdd(1, ordering: .relaxed).oldValue
      if task >= tasks { return }
      type.run(value, task: task, worker: worker)
    }
  }

  // MARK: Helpers

  private func startHelpers(count: Int) {
    while helpers.count < min(count, Self.maximumThreadCount - 1) {
      let start = Unmanaged.passRetained(HelperStart(team: self, worker: helpers.count + 1))
      #if canImport(Darwin)
        var thread: pthread_t?
      #else
        var thread = pthread_t()
      #endif
      let status = pthread_create(&thread, nil, helperMain, start.toOpaque())
      guard status == 0 else {
        // Fewer threads give the same results, only later.
        start.release()
        return
      }
      #if canImport(Darwin)
        if let thread { helpers.append(thread) }
      #else
        helpers.append(thread)
      #endif
    }
  }

  fileprivate func help(worker: Int) {
    var seen: UInt64 = 0
    var spins = 0
    while !stopping.load(ordering: .relaxed) {
      let current = phase.load(ordering: .acquiring)
      let generation = current >> 16
      if generation != seen, current & Self.closed == 0 {
        let (joined, _) = phase.compareExchange(
          expected: current, desired: current &+ 1, ordering: .acquiringAndReleasing)
        guard joined else { continue }
        if worker < work.width { takeTasks(worker: worker) }
        left.wrappingAdd(1, ordering: .releasing)
        seen = generation
        spins = 0
        continue
      }
      if generation != seen {
        seen = generation
        spins = 0
      }
      spins &+= 1
      if spins > Self.spins {
        sleep(until: seen)
        spins = 0
      }
    }
  }

  private func sleep(until seen: UInt64) {
    pthread_mutex_lock(mutex)
    sleepers.wrappingAdd(1, ordering: .sequentiallyConsistent)
    while phase.load(ordering: .sequentiallyConsistent) >> 16 == seen,
      !stopping.load(ordering: .sequentiallyConsistent)
    {
      pthread_cond_wait(wake, mutex)
    }
    sleepers.wrappingSubtract(1, ordering: .sequentiallyConsistent)
    pthread_mutex_unlock(mutex)
  }

  /// Ends the helpers.
  ///
  /// For teams of tests: the process's own team lives as long as the process.
  package func stop() {
    stopping.store(true, ordering: .sequentiallyConsistent)
    pthread_mutex_lock(mutex)
    pthread_cond_broadcast(wake)
    pthread_mutex_unlock(mutex)
    for helper in helpers { pthread_join(helper, nil) }
    helpers = []
  }

  deinit {
    pthread_cond_destroy(wake)
    pthread_mutex_destroy(mutex)
    wake.deallocate()
    mutex.deallocate()
  }
}

private final class HelperStart {
  let team: ThreadTeam
  let worker: Int
  init(team: ThreadTeam, worker: Int) {
    self.team = team
    self.worker = worker
  }
}

#if canImport(Darwin)
  private func helperMain(_ argument: UnsafeMutableRawPointer) -> UnsafeMutableRawPointer? {
    let start = Unmanaged<HelperStart>.fromOpaque(argument).takeRetainedValue()
    start.team.help(worker: start.worker)
    return nil
  }
#else
  private func helperMain(_ argument: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    guard let argument else { return nil }
    let start = Unmanaged<HelperStart>.fromOpaque(argument).takeRetainedValue()
    start.team.help(worker: start.worker)
    return nil
  }
#endif
