import SalanganeKernels
import SalanganeTensors

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// What a machine can do at most, of which a kernel reaches a share.
package enum Ceiling: String, CaseIterable, Sendable {
  /// Reading of memory, in bytes a second.
  case read
  /// Multiply-adds of 8-bit integers a second.
  case int8
  /// Multiply-adds of 32-bit floats a second.
  case f32
}

/// Measures the ceilings of a number of threads and an instruction set, again and again.
final class CeilingMeter {
  /// The rates seen of each.
  private var rates: [Ceiling: [Double]] = [:]

  private let context: ComputeContext
  private let clock: MeasuringClock
  private let ceilings: CeilingKernels
  /// Memory far larger than the caches, and scratch for each thread.
  private let memory: FloatBuffer
  private let scratch: FloatBuffer

  /// Bytes that are read.
  private let memoryBytes: Int
  /// Bytes of one task.
  private static let taskBytes = 1 << 20
  /// Seconds of one task of multiply-adds, about.
  private static let taskSeconds = 3e-4
  /// Tasks of each thread.
  private static let tasksPerThread = 8
  /// Bytes of one measurement: a few milliseconds, as of all others.
  private static let passBytes = 96 << 20
  /// Where the next measurement of memory begins.
  private var position = 0
  /// Rounds of one task.
  private var rounds: [Ceiling: Int] = [:]

  init(context: ComputeContext, clock: MeasuringClock, memoryBytes: Int) {
    self.clock = clock
    precondition(memoryBytes >= Self.taskBytes && memoryBytes % Self.taskBytes == 0)
    self.memoryBytes = memoryBytes
    self.context = context
    ceilings = context.kernels.ceilings
    let memory = FloatBuffer(count: memoryBytes / 4)
    self.memory = memory
    scratch = FloatBuffer(count: CeilingKernels.scratchCount * context.threads)
    scratch.base.update(repeating: 0.25, count: scratch.count)
    // Pages that were never written to are all the same page of zeros.
    let perTask = Self.taskBytes / 4
    context.parallel(tasks: memoryBytes / Self.taskBytes) { task, _, _ in
      (memory.base + task * perTask).update(repeating: Float(task), count: perTask)
    }
  }

  /// Measures a ceiling once, and returns its rate.
  @discardableResult
  func measure(_ ceiling: Ceiling) -> Double {
    let rate =
      switch ceiling {
      case .read: measureRead()
      case .int8: measurePeak(ceiling, ceilings.peakBytes)
      case .f32: measurePeak(ceiling, ceilings.peakFloats)
      }
    rates[ceiling, default: []].append(rate)
    return rate
  }

  /// What the measurements say of each ceiling.
  var results: [Ceiling: Double] { rates.mapValues { clock.result(of: $0) } }

  private func measureRead() -> Double {
    let bytes = min(Self.passBytes, memoryBytes)
    // From one end to the other, so that what is read was last read long ago.
    if position + bytes > memoryBytes { position = 0 }
    let start = UnsafeRawPointer(memory.base) + position
    position += bytes
    let read = ceilings.readThrough
    let watch = Stopwatch(clock)
    context.parallel(tasks: bytes / Self.taskBytes) { task, _, _ in
      _ = read(Self.taskBytes, start + task * Self.taskBytes)
    }
    return Double(bytes) / watch.seconds
  }

  private func measurePeak(_ ceiling: Ceiling, _ peak: CeilingKernels.Peak) -> Double {
    let scratch = scratch.base
    let rounds = rounds(of: ceiling, peak)
    // Every task does the same number, so one that isn't timed tells it.
    let perTask = peak(1, scratch) * rounds
    let tasks = context.threads * Self.tasksPerThread
    let watch = Stopwatch(clock)
    context.parallel(tasks: tasks) { _, worker, _ in
      _ = peak(rounds, scratch + worker * CeilingKernels.scratchCount)
    }
    return Double(perTask) * Double(tasks) / watch.seconds
  }

  /// How many rounds fill the time of a task.
  private func rounds(of ceiling: Ceiling, _ peak: CeilingKernels.Peak) -> Int {
    if let known = rounds[ceiling] { return known }
    let trial = 1000
    let watch = Stopwatch(clock)
    _ = peak(trial, scratch.base)
    let count = max(1, Int(Double(trial) * min(1000, Self.taskSeconds / watch.seconds)))
    rounds[ceiling] = count
    return count
  }
}

/// A clock that measurements are taken with.
enum MeasuringClock {
  /// The time that passes.
  case wall
  /// The time that the calling thread computes, which is all there is of a run on one thread.
  case thread

  /// What several measurements of a rate say.
  ///
  /// - Returns: The greatest by the time that passes: whatever else the machine does can only lower it. The median
  ///   by the time of a thread, which the system counts too short now and then.
  func result(of rates: [Double]) -> Double {
    let sorted = rates.sorted()
    return self == .wall ? sorted.last ?? 0 : sorted.isEmpty ? 0 : sorted[sorted.count / 2]
  }
}

/// Time since its creation.
struct Stopwatch {
  private let clock: MeasuringClock
  private let start: Double

  init(_ clock: MeasuringClock) {
    self.clock = clock
    start = Self.now(clock)
  }

  /// Seconds, never none at all.
  var seconds: Double { max(Self.now(clock) - start, 1e-9) }

  private static func now(_ clock: MeasuringClock) -> Double {
    var time = timespec()
    clock_gettime(clock == .wall ? CLOCK_MONOTONIC : CLOCK_THREAD_CPUTIME_ID, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
  }
}

/// How often the system took threads of the process off their processors to run something else.
struct Disturbances: Equatable {
  private let count: Int

  init() {
    var usage = rusage()
    #if canImport(Glibc)
      let process = __rusage_who_t(RUSAGE_SELF.rawValue)
    #else
      let process = RUSAGE_SELF
    #endif
    count = getrusage(process, &usage) == 0 ? Int(usage.ru_nivcsw) : 0
  }
}
