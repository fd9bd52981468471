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

@Suite struct ThreadTeamTests {
  @Test(arguments: [1, 2, 3, 8])
  func everyTaskRunsOnce(threads: Int) {
    let team = ThreadTeam()
    defer { team.stop() }
    for tasks in [0, 1, 2, 7, 100] {
      for _ in 0..<200 {
        let counts = (0..<tasks).map { _ in Counter() }
        team.run(tasks: tasks, width: threads) { task, worker in
          precondition(worker < threads)
          counts[task].value.wrappingAdd(1, ordering: .relaxed)
        }
        #expect(counts.allSatisfy { $0.value.load(ordering: .relaxed) == 1 })
      }
    }
    #expect(team.threadCount <= threads)
  }

  /// Helpers that fell asleep are woken by the next phase.
  @Test func sleepingHelpersWake() {
    let team = ThreadTeam()
    defer { team.stop() }
    for _ in 0..<5 {
      let seen = Atomic<Int>(0)
      usleep(20_000)
      let deadline = ContinuousClock.now + .seconds(20)
      // Ends only when two workers are inside at once.
      team.run(tasks: 2, width: 2) { _, _ in
        seen.wrappingAdd(1, ordering: .sequentiallyConsistent)
        while seen.load(ordering: .sequentiallyConsistent) < 2, ContinuousClock.now < deadline {}
      }
      #expect(seen.load(ordering: .relaxed) == 2)
    }
  }

  final class Counter: Sendable {
    let value = Atomic<Int>(0)
  }

  /// Asks for its next turn whenever it had one, until it is told to stop.
  final class EndlessTurn: ComputeTurn {
    let count = Atomic<Int>(0)
    let isWanted = Atomic<Bool>(true)
    let canInterrupt: Bool

    init(canInterrupt: Bool) { self.canInterrupt = canInterrupt }

    func take(_ team: ThreadTeam) {
      count.wrappingAdd(1, ordering: .relaxed)
      if isWanted.load(ordering: .relaxed) { ComputeQueue.shared.add(self) }
    }
  }

  /// Jobs come to an end beside turns without end, and turns are taken beside and, if they may, within jobs.
  ///
  /// One after the other, since a turn that may not interrupt keeps those behind it waiting.
  @Test(.serialized, arguments: [true, false])
  func jobsAndTurnsShareTheQueue(canInterrupt: Bool) async throws {
    let turn = EndlessTurn(canInterrupt: canInterrupt)
    ComputeQueue.shared.add(turn)
    defer { turn.isWanted.store(false, ordering: .relaxed) }
    for _ in 0..<5 {
      // The job goes on until it was interrupted, or long enough to say that it isn't.
      let (before, after) = try await ComputeQueue.shared.run { _, cancellation in
        let before = turn.count.load(ordering: .relaxed)
        for _ in 0..<(canInterrupt ? 100_000_000 : 10_000) {
          try cancellation.check()
          if turn.count.load(ordering: .relaxed) >= before + 100 { break }
        }
        return (before, turn.count.load(ordering: .relaxed))
      }
      if canInterrupt { #expect(after >= before + 100) } else { #expect(after == before) }
    }
    #expect(turn.count.load(ordering: .relaxed) >= 4)
  }

  @Test func queueRunsJobsInOrderAndSkipsCancelledOnes() async throws {
    let order = Locked<[Int]>([])
    for index in 0..<50 {
      let result = try await ComputeQueue.shared.run { _, _ in
        order.withLock { $0.append(index) }
        return index
      }
      #expect(result == index)
    }
    #expect(order.withLock { $0 } == Array(0..<50))
    let task = Task {
      try await ComputeQueue.shared.run { _, cancellation in
        while true { try cancellation.check() }
      }
    }
    task.cancel()
    await #expect(throws: CancellationError.self) { try await task.value }
  }
}

@Suite struct AttentionTests {
  @Test(arguments: InstructionSet.available, [8, 16, 20, 32, 64])
  func matchesPlainAttention(set: InstructionSet, headDimension: Int) throws {
    let heads = 2
    let hidden = heads * headDimension
    let lengths = [1, 5, 33, 0, 200, 97]
    var offsets = [0]
    for length in lengths { offsets.append(offsets[offsets.count - 1] + length) }
    let tokens = offsets[offsets.count - 1]
    var random = SplitMix64(seed: UInt64(headDimension))
    let qkv = random.floats(tokens * 3 * hidden, in: -3...3)
    let scale = 1 / Float(headDimension).squareRoot()
    var results: [[Float]] = []
    for threads in [1, 2] {
      try withContext(set, threads: threads) { context in
        let out = Matrix(rows: tokens, columns: hidden)
        context.bidirectionalAttention(
          qkv: matrix(qkv, rows: tokens, columns: 3 * hidden), offsets: offsets, heads: heads,
          headDimension: headDimension, scale: scale, into: out)
        results.append(values(out))
      }
    }
    #expect(results[0] == results[1])
    func element(_ token: Int, _ part: Int, _ head: Int, _ d: Int) -> Double {
      Double(qkv[token * 3 * hidden + part * hidden + head * headDimension + d])
    }
    var worst = 0.0
    for (start, end) in zip(offsets, offsets.dropFirst()) {
      for query in stride(from: start, to: end, by: 7) {
        for head in 0..<heads {
          let scores = (start..<end).map { key in
            (0..<headDimension).reduce(0.0) {
              $0 + element(query, 0, head, $1) * element(key, 1, head, $1)
            } * Double(scale)
          }
          let largest = scores.max()!
          let weights = scores.map { exp($0 - largest) }
          let sum = weights.reduce(0, +)
          for d in 0..<headDimension {
            let expected = zip(start..<end, weights).reduce(0.0) {
              $0 + $1.1 / sum * element($1.0, 2, head, d)
            }
            let found = Double(results[0][query * hidden + head * headDimension + d])
            worst = max(worst, abs(found - expected))
          }
        }
      }
    }
    // Scores reach 30 here, where a float carries 2e-6.
    #expect(worst < 8e-6)
  }

  /// A sequence's bits are the same alone and between others.
  @Test(arguments: InstructionSet.available)
  func sequencesDoNotSeeTheirNeighbours(set: InstructionSet) throws {
    var random = SplitMix64(seed: 9)
    let qkv = random.floats(60 * 96, in: -2...2)
    try withContext(set, threads: 2) { context in
      let out = Matrix(rows: 60, columns: 32)
      context.bidirectionalAttention(
        qkv: matrix(qkv, rows: 60, columns: 96), offsets: [0, 11, 51, 60], heads: 2, headDimension: 16,
        scale: 0.25, into: out)
      let alone = Matrix(rows: 40, columns: 32)
      context.bidirectionalAttention(
        qkv: matrix(Array(qkv[11 * 96..<51 * 96]), rows: 40, columns: 96), offsets: [0, 40], heads: 2,
        headDimension: 16, scale: 0.25, into: alone)
      #expect(values(alone) == Array(values(out)[11 * 32..<51 * 32]))
    }
  }
}
