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

/// Runs a body with a team of its own.
func withContext<Result>(
  _ set: InstructionSet, threads: Int, _ body: (ComputeContext) throws -> Result
) throws -> Result {
  let team = ThreadTeam()
  defer { team.stop() }
  return try body(ComputeContext(team: team, threads: threads, kernels: KernelTable.table(for: set)))
}

func matrix(_ values: [Float], rows: Int, columns: Int) -> Matrix {
  let matrix = Matrix(rows: rows, columns: columns)
  for row in 0..<rows {
    for column in 0..<columns { matrix.row(row)[column] = values[row * columns + column] }
  }
  return matrix
}

func values(_ matrix: Matrix) -> [Float] {
  (0..<matrix.rows).flatMap { row in (0..<matrix.columns).map { matrix.row(row)[$0] } }
}

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

  @Test func queueRunsJobsInOrderAndSkipsCancelledOnes() async throws {
    let order = Mutex<[Int]>([])
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

@Suite struct MatmulTests {
  struct Shape: CustomStringConvertible {
    let rows: Int
    let columns: Int
    let depth: Int
    var description: String { "\(rows)x\(columns)x\(depth)" }
  }

  static let shapes = [
    Shape(rows: 1, columns: 1, depth: 1), Shape(rows: 1, columns: 50, depth: 33),
    Shape(rows: 13, columns: 16, depth: 8), Shape(rows: 18, columns: 96, depth: 64),
    Shape(rows: 150, columns: 40, depth: 100), Shape(rows: 37, columns: 131, depth: 2100),
  ]

  @Test(arguments: InstructionSet.available, shapes)
  func matchesDoublePrecisionAndOpenBLAS(set: InstructionSet, shape: Shape) throws {
    var random = SplitMix64(seed: 1)
    let x = random.floats(shape.rows * shape.depth)
    let w = random.floats(shape.columns * shape.depth)
    // As long as the panels, as matmul asks for.
    let bias = random.floats((shape.columns + 15) & ~15)
    let exact = (0..<shape.rows).flatMap { row in
      (0..<shape.columns).map { column in
        (0..<shape.depth).reduce(Double(bias[column])) {
          $0 + Double(x[row * shape.depth + $1]) * Double(w[column * shape.depth + $1])
        }
      }
    }
    let input = matrix(x, rows: shape.rows, columns: shape.depth)
    let tolerance = 3e-6 * Double(shape.depth).squareRoot() + 1e-6
    var results: [[Float]] = []
    for threads in [1, 2, 3] {
      try withContext(set, threads: threads) { context in
        let decode = { (row: Int, destination: UnsafeMutablePointer<Float>) in
          for k in 0..<shape.depth { destination[k] = w[row * shape.depth + k] }
        }
        let packed = PackedMatrix(
          rows: shape.columns, columns: shape.depth, context: context, decodeRow: decode)
        let out = Matrix(rows: shape.rows, columns: shape.columns)
        context.matmul(input, packed, bias: bias, into: out)
        results.append(values(out))
        let dense = DenseMatrix(
          rows: shape.columns, columns: shape.depth, context: context, decodeRow: decode)
        let other = Matrix(rows: shape.rows, columns: shape.columns)
        context.matmul(input, dense, bias: bias, into: other)
        #expect(zip(values(other), exact).allSatisfy { abs(Double($0) - $1) < tolerance })
        context.matmul(input, dense, bias: nil, into: other)
        #expect(
          zip(values(other), exact).enumerated().allSatisfy {
            abs(Double($1.0) + Double(bias[$0 % shape.columns]) - $1.1) < tolerance
          })
      }
    }
    #expect(zip(results[0], exact).allSatisfy { abs(Double($0) - $1) < tolerance })
    #expect(results[1] == results[0] && results[2] == results[0], "threads must not change a bit")
  }

  /// A row's result is the same alone and among others.
  @Test(arguments: InstructionSet.available)
  func rowsDoNotSeeTheirNeighbours(set: InstructionSet) throws {
    var random = SplitMix64(seed: 2)
    let x = random.floats(100 * 72)
    let w = random.floats(90 * 72)
    try withContext(set, threads: 2) { context in
      let packed = PackedMatrix(rows: 90, columns: 72, context: context) { row, destination in
        for k in 0..<72 { destination[k] = w[row * 72 + k] }
      }
      let whole = Matrix(rows: 100, columns: 90)
      context.matmul(matrix(x, rows: 100, columns: 72), packed, bias: nil, activation: .gelu, into: whole)
      for row in [0, 1, 50, 99] {
        let one = Matrix(rows: 1, columns: 90)
        let input = matrix(Array(x[row * 72..<row * 72 + 72]), rows: 1, columns: 72)
        context.matmul(input, packed, bias: nil, activation: .gelu, into: one)
        #expect(values(one) == (0..<90).map { whole.row(row)[$0] })
      }
    }
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
