import SalanganeKernels
import SalanganeTensors
import SalanganeTestSupport
import Testing

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

@Suite struct KVCacheTests {
  private let shape = KVCache.LayerShape(heads: 2, keyDimension: 5, valueDimension: 20)

  @Test func bytesAreKnownBeforehand() throws {
    for type in KVCache.ElementType.allCases {
      for isTransient in [false, true] {
        let layers = [shape, shape, KVCache.LayerShape(heads: 1, keyDimension: 64, valueDimension: 64)]
        let cache = KVCache(layers: layers, elementType: type, capacity: 1000, isTransient: isTransient)
        #expect(cache.byteCount == 0)
        for positions in [1, 128, 129, 1000] {
          try cache.reserve(positions)
          #expect(
            cache.byteCount
              == KVCache.byteCount(
                layers: layers, elementType: type, positions: positions, isTransient: isTransient))
        }
      }
    }
    // Keys of 5 and values padded to 32, in 2 heads.
    #expect(
      KVCache.byteCount(layers: [shape], elementType: .f32, positions: 128) == 128 * 2 * (5 + 32) * 4)
    #expect(KVCache.byteCount(layers: [shape], elementType: .f16, positions: .max) == nil)
  }

  @Test func capacityIsKept() throws {
    let cache = KVCache(layers: [shape], elementType: .f32, capacity: 130)
    try cache.reserve(130)
    cache.advance(by: 130)
    #expect(throws: KVCacheError.contextExceeded(positions: 131, capacity: 130)) { try cache.reserve(131) }
    cache.truncate(to: 7)
    #expect(cache.count == 7)
  }
}

@Suite struct CausalAttentionTests {
  /// What one run is made of.
  struct Shape: CustomTestStringConvertible, Sendable {
    let heads: Int
    let keyValueHeads: Int
    let dimension: Int
    let window: Int?
    var testDescription: String { "\(heads)/\(keyValueHeads) x \(dimension), window \(window ?? 0)" }
  }
  static let shapes = [
    Shape(heads: 1, keyValueHeads: 1, dimension: 8, window: nil),
    Shape(heads: 6, keyValueHeads: 2, dimension: 20, window: nil),
    Shape(heads: 14, keyValueHeads: 1, dimension: 32, window: nil),
    Shape(heads: 4, keyValueHeads: 4, dimension: 64, window: 3),
    Shape(heads: 7, keyValueHeads: 1, dimension: 16, window: 130),
  ]

  /// Attention of sequences that are cut into pieces, piece by piece, side by side.
  private func run(
    _ set: InstructionSet, _ shape: Shape, threads: Int, qkv: [[Float]], piece: Int,
    type: KVCache.ElementType
  ) throws -> [[Float]] {
    let team = ThreadTeam()
    defer { team.stop() }
    let kernels = try KernelTable.table(for: set)
    let context = ComputeContext(team: team, threads: threads, kernels: kernels)
    let attention = AttentionShape(
      heads: shape.heads, keyValueHeads: shape.keyValueHeads, headDimension: shape.dimension)
    let lengths = qkv.map { $0.count / attention.features }
    let caches = qkv.map { _ in
      KVCache(
        layers: [.init(heads: 1, keyDimension: 4, valueDimension: 4)]
          + [
            .init(
              heads: shape.keyValueHeads, keyDimension: shape.dimension, valueDimension: shape.dimension)
          ], elementType: type, capacity: 1 << 20)
    }
    var results = qkv.map { _ in [Float]() }
    let scratch = FloatBuffer(count: KVCache.storeScratchCount(dimension: shape.dimension))
    var start = 0
    while start < lengths.max()! {
      let active = lengths.indices.filter { lengths[$0] > start }
      let counts = active.map { min(piece, lengths[$0] - start) }
      let rows = counts.reduce(0, +)
      let input = Matrix(rows: rows, columns: attention.features)
      let out = Matrix(rows: rows, columns: attention.queryFeatures)
      var spans: [SequenceSpan] = []
      var row = 0
      for (sequence, count) in zip(active, counts) {
        try caches[sequence].reserve(start + count)
        spans.append(SequenceSpan(cache: caches[sequence], firstRow: row, count: count, start: start))
        for index in 0..<count {
          let line = qkv[sequence][
            (start + index) * attention.features..<(start + index + 1) * attention.features]
          for (column, value) in line.enumerated() { input.row(row)[column] = value }
          let keys = input.row(row) + attention.queryFeatures
          for head in 0..<shape.keyValueHeads {
            caches[sequence].store(
              layer: 1, head: head, position: start + index, key: keys + head * shape.dimension,
              value: keys + (shape.keyValueHeads + head) * shape.dimension, scratch: scratch.base,
              kernels: kernels)
          }
          row += 1
        }
        caches[sequence].advance(by: count)
      }
      spans.withUnsafeBufferPointer {
        context.causalAttention(
          queries: input, spans: $0, layer: 1, shape: attention, scale: 0.3, window: shape.window, into: out)
      }
      for (span, sequence) in zip(spans, active) {
        for index in 0..<span.count {
          results[sequence] += UnsafeBufferPointer(
            start: out.row(span.firstRow + index), count: out.columns)
        }
      }
      start += piece
    }
    return results
  }

  @Test(arguments: InstructionSet.available, shapes)
  func agreesWithDoublePrecision(set: InstructionSet, shape: Shape) throws {
    var random = SplitMix64(seed: UInt64(shape.dimension))
    let features = (shape.heads + 2 * shape.keyValueHeads) * shape.dimension
    let lengths = [1, 300, 40]
    let qkv = lengths.map { random.floats($0 * features, in: -2...2) }
    let whole = try run(set, shape, threads: 1, qkv: qkv, piece: 1000, type: .f32)
    for (piece, threads) in [(1000, 2), (1, 1), (1, 2), (37, 2), (128, 3)] {
      let other = try run(set, shape, threads: threads, qkv: qkv, piece: piece, type: .f32)
      #expect(whole == other, "pieces of \(piece), \(threads) threads")
    }
    // Half precision: still the same bits however it is cut.
    let half = try run(set, shape, threads: 1, qkv: qkv, piece: 1000, type: .f16)
    #expect(try run(set, shape, threads: 2, qkv: qkv, piece: 5, type: .f16) == half)
    #expect(errors(of: whole, qkv, shape).worst < 1e-5)
    #expect(errors(of: half, qkv, shape).worst < 2e-2)
  }

  @Test(arguments: InstructionSet.available, shapes)
  func integersStayNearDoublePrecision(set: InstructionSet, shape: Shape) throws {
    var random = SplitMix64(seed: UInt64(shape.dimension))
    let features = (shape.heads + 2 * shape.keyValueHeads) * shape.dimension
    let lengths = [1, 300, 40]
    let qkv = lengths.map { random.floats($0 * features, in: -2...2) }
    let whole = try run(set, shape, threads: 1, qkv: qkv, piece: 1000, type: .q8)
    for (piece, threads) in [(1000, 2), (1, 1), (1, 2), (37, 2), (128, 3)] {
      let other = try run(set, shape, threads: threads, qkv: qkv, piece: piece, type: .q8)
      #expect(whole == other, "pieces of \(piece), \(threads) threads")
    }
    // Scores have codes of 8 bits on both sides, and a standard deviation of up to 4.
    let errors = errors(of: whole, qkv, shape)
    #expect(errors.worst < 0.2)
    #expect(errors.relative < 0.03)
    #expect(errors.relative > 1e-4, "these aren't integers")
  }

  /// The largest difference from double precision, and the root of the squares' sum against that of the values.
  private func errors(
    of results: [[Float]], _ qkv: [[Float]], _ shape: Shape
  ) -> (worst: Double, relative: Double) {
    var worst = 0.0
    var squares = 0.0
    var values = 0.0
    let features = (shape.heads + 2 * shape.keyValueHeads) * shape.dimension
    for (sequence, numbers) in qkv.enumerated() {
      for position in stride(from: 0, to: numbers.count / features, by: 13) {
        for head in 0..<shape.heads {
          let expected = reference(numbers, shape, position: position, head: head)
          for (feature, value) in expected.enumerated() {
            let index = (position * shape.heads + head) * shape.dimension + feature
            let difference = Double(results[sequence][index]) - value
            worst = max(worst, abs(difference))
            squares += difference * difference
            values += value * value
          }
        }
      }
    }
    return (worst, (squares / values).squareRoot())
  }

  private func reference(_ qkv: [Float], _ shape: Shape, position: Int, head: Int) -> [Double] {
    let features = (shape.heads + 2 * shape.keyValueHeads) * shape.dimension
    let shared = head / (shape.heads / shape.keyValueHeads)
    func element(_ position: Int, _ head: Int, _ feature: Int) -> Double {
      Double(qkv[position * features + head * shape.dimension + feature])
    }
    let first = shape.window.map { max(0, position - $0 + 1) } ?? 0
    let scores = (first...position).map { key in
      0.3
        * (0..<shape.dimension).reduce(0.0) {
          $0 + element(position, head, $1) * element(key, shape.heads + shared, $1)
        }
    }
    let largest = scores.max()!
    let weights = scores.map { exp($0 - largest) }
    let sum = weights.reduce(0, +)
    return (0..<shape.dimension).map { feature in
      zip(first...position, weights).reduce(0.0) {
        $0 + $1.1 / sum * element($1.0, shape.heads + shape.keyValueHeads + shared, feature)
      }
    }
  }
}
