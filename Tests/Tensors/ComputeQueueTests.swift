import SalanganeFiles
import SalanganeKernels
import SalanganeTensors
import SalanganeTestSupport
import Synchronization
import Testing

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

@Suite(.timeLimit(.minutes(5))) struct ComputeQueueTests {
  /// What a job and a test tell each other.
  private final class Gate: Sendable {
    private let isOpen = Atomic<Bool>(false)

    var isPassable: Bool { isOpen.load(ordering: .acquiring) }

    func open() { isOpen.store(true, ordering: .releasing) }

    /// Waits on a computing thread.
    func wait() {
      while !isPassable { usleepBriefly() }
    }

    /// Waits in a task.
    func passed() async throws {
      while !isPassable { try await Task.sleep(nanoseconds: 200_000) }
    }
  }

  /// A request that is cancelled before its turn comes back while the job before it still runs: with a queue that
  /// made it wait, this test would never end.
  @Test func nobodyWaitsForATurnThatIsNotWanted() async throws {
    let started = Gate()
    let mayEnd = Gate()
    let first = Task {
      try await ComputeQueue.shared.run { _, _ in
        started.open()
        mayEnd.wait()
        return 1
      }
    }
    try await started.passed()
    let wasRun = Gate()
    let others = (0..<20).map { _ in
      Task { try await ComputeQueue.shared.run { _, _ in wasRun.open() } }
    }
    for other in others {
      other.cancel()
      await #expect(throws: CancellationError.self) { try await other.value }
    }
    let last = Task { try await ComputeQueue.shared.run { _, _ in 2 } }
    mayEnd.open()
    #expect(try await first.value == 1)
    #expect(try await last.value == 2)
    #expect(!wasRun.isPassable)
  }

  /// A request that was cancelled before it was made isn't run.
  @Test func cancelledBeforehand() async throws {
    let wasRun = Gate()
    let task = Task {
      while !Task.isCancelled { await Task.yield() }
      return try await ComputeQueue.shared.run { _, _ in wasRun.open() }
    }
    task.cancel()
    await #expect(throws: CancellationError.self) { try await task.value }
    #expect(!wasRun.isPassable)
  }

  /// What a job returns after its request was cancelled is dropped, and so is its error: either may come of numbers
  /// that nobody finished computing.
  @Test(arguments: [false, true]) func resultsOfCancelledJobsAreDropped(throwing: Bool) async throws {
    struct Failure: Error {}
    let started = Gate()
    let mayEnd = Gate()
    let task = Task {
      try await ComputeQueue.shared.run { _, cancellation in
        started.open()
        mayEnd.wait()
        #expect(cancellation.isCancelled)
        if throwing { throw Failure() }
        return 1
      }
    }
    try await started.passed()
    task.cancel()
    mayEnd.open()
    await #expect(throws: CancellationError.self) { try await task.value }
  }

  /// What a job reads when its request is cancelled is read no further.
  @Test func readingEndsWithItsRequest() async throws {
    let text = Array(("[" + String(repeating: "1,", count: 3 * ReadInterruption.interval) + "1]").utf8)
    let started = Gate()
    let mayEnd = Gate()
    let task = Task {
      try await ComputeQueue.shared.run { _, cancellation in
        _ = try JSONDocument(text, file: "text")
        started.open()
        mayEnd.wait()
        #expect(throws: ModelFileError.self) { _ = try JSONDocument(text, file: "text") }
      }
    }
    try await started.passed()
    task.cancel()
    mayEnd.open()
    await #expect(throws: CancellationError.self) { try await task.value }
    _ = try JSONDocument(text, file: "text")
  }

  /// Without its leading thread, a queue refuses requests.
  @Test func refusedThreadsAreReported() async {
    // More stack than there are addresses.
    let queue = ComputeQueue(leaderStackBytes: 1 << 60)
    for _ in 0..<2 {
      await #expect(throws: ComputeError.noThread) { try await queue.run { _, _ in 1 } }
    }
  }

  /// More memory than there are addresses is refused before it is asked for in earnest.
  @Test func refusedMemoryIsReported() throws {
    #expect(throws: ComputeError.outOfMemory(bytes: 1 << 48)) {
      try FloatBuffer.expectMemory(bytes: 1 << 48)
    }
    for bytes in [0, 1, 4 << 20] { try FloatBuffer.expectMemory(bytes: bytes) }
  }

  /// Products of a request that is cancelled are given up; those of others aren't.
  @Test(arguments: [1, 3], [1, 40]) func productsAreGivenUp(threads: Int, rows: Int) throws {
    try withContext(.preferred, threads: threads) { context in
      let weights = PackedMatrix(rows: 64, columns: 64, context: context) { row, destination in
        for column in 0..<64 { destination[column] = Float(row + column) }
      }
      let x = matrix([Float](repeating: 1, count: rows * 64), rows: rows, columns: 64)
      func product(_ cancellation: Cancellation?) -> [Float] {
        let out = matrix([Float](repeating: -1, count: rows * 64), rows: rows, columns: 64)
        context.cancellation = cancellation
        context.matmul(x, weights, bias: nil, into: out)
        return values(out)
      }
      let cancellation = Cancellation()
      let expected = product(nil)
      #expect(expected.allSatisfy { $0 > 0 })
      #expect(product(cancellation) == expected)
      cancellation.cancel()
      #expect(product(cancellation).allSatisfy { $0 == -1 })
      #expect(product(Cancellation()) == expected)
    }
  }
}

/// Lets other threads run.
private func usleepBriefly() {
  var time = timespec(tv_sec: 0, tv_nsec: 100_000)
  nanosleep(&time, nil)
}
