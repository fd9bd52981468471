import SalanganeKernels
import SalanganeTensors
import SalanganeTestSupport
import Testing

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// Attention over latents, which stand for keys and values.
@Suite struct LatentAttentionTests {
  struct Shape: CustomTestStringConvertible, Sendable {
    let heads: Int
    let rank: Int
    let own: Int
    let shared: Int
    let value: Int
    var testDescription: String { "\(heads) heads of \(own) + \(shared), rank \(rank), values \(value)" }
  }
  static let shapes = [
    Shape(heads: 1, rank: 5, own: 3, shared: 2, value: 4),
    Shape(heads: 5, rank: 20, own: 12, shared: 8, value: 14),
    Shape(heads: 33, rank: 16, own: 6, shared: 4, value: 5),
  ]

  /// Random weights and latents, and queries of some last positions.
  private struct Work {
    let shape: Shape
    let positions: Int
    let latents: [Float]
    let queries: Matrix
    /// `[rank, own]` a head.
    let keys: [Float]
    /// `[value, rank]` a head.
    let values: [Float]
    static let scale: Float = 0.4

    var latentDimension: Int { shape.rank + shape.shared }
    var first: Int { positions - queries.rows }

    init(_ shape: Shape, positions: Int, rows: Int) {
      var random = SplitMix64(seed: UInt64(positions + shape.heads))
      self.shape = shape
      self.positions = positions
      latents = random.floats(positions * (shape.rank + shape.shared), in: -2...2)
      let features = shape.heads * (shape.own + shape.shared)
      queries = matrix(random.floats(rows * features, in: -2...2), rows: rows, columns: features)
      let deviation = 1 / Float(shape.rank).squareRoot()
      keys = random.normals(shape.heads * shape.rank * shape.own, deviation: deviation)
      values = random.normals(shape.heads * shape.rank * shape.value, deviation: deviation)
    }

    private func cache(
      _ type: KVCache.ElementType, _ kernels: KernelTable
    ) throws -> KVCache {
      let cache = KVCache(
        layers: [
          .init(latentDimension: 7, valueDimension: 3),
          .init(latentDimension: latentDimension, valueDimension: shape.rank),
        ], elementType: type, capacity: positions)
      try cache.reserve(positions)
      let scratch = FloatBuffer(count: KVCache.storeScratchCount(dimension: latentDimension))
      for position in 0..<positions {
        Array(latents[position * latentDimension..<(position + 1) * latentDimension]).withUnsafeBufferPointer
        {
          cache.store(
            layer: 1, position: position, latent: $0.baseAddress!, scratch: scratch.base, kernels: kernels)
        }
      }
      return cache
    }

    private func attend(
      _ context: ComputeContext, _ type: KVCache.ElementType, piece: Int, queries: Matrix,
      _ attention: AttentionShape
    ) throws -> [Float] {
      let cache = try cache(type, context.kernels)
      let out = Matrix(rows: queries.rows, columns: attention.outputFeatures)
      var row = 0
      while row < queries.rows {
        let count = min(piece, queries.rows - row)
        let span = SequenceSpan(cache: cache, firstRow: row, count: count, start: first + row)
        withUnsafePointer(to: span) { span in
          context.causalAttention(
            queries: queries, spans: UnsafeBufferPointer(start: span, count: 1), layer: 1, shape: attention,
            scale: Self.scale, window: nil, into: out)
        }
        row += count
      }
      return SalanganeTensorsTests.values(out)
    }

    /// `[rows, heads * value]`: queries and results go through the weights.
    func result(
      _ context: ComputeContext, _ type: KVCache.ElementType = .f32, piece: Int = 1000
    ) throws -> [Float] {
      let absorbed = Matrix(rows: queries.rows, columns: shape.heads * latentDimension)
      for row in 0..<queries.rows {
        for head in 0..<shape.heads {
          let query = queries.row(row) + head * (shape.own + shape.shared)
          let destination = absorbed.row(row) + head * latentDimension
          for feature in 0..<shape.rank {
            let weights = (head * shape.rank + feature) * shape.own
            destination[feature] = (0..<shape.own).reduce(0) { $0 + query[$1] * keys[weights + $1] }
          }
          for feature in 0..<shape.shared { destination[shape.rank + feature] = query[shape.own + feature] }
        }
      }
      let attention = AttentionShape(
        heads: shape.heads, keyValueHeads: 1, headDimension: latentDimension, valueDimension: shape.rank)
      let results = try attend(context, type, piece: piece, queries: absorbed, attention)
      var out: [Float] = []
      for row in 0..<queries.rows {
        for head in 0..<shape.heads {
          let result = (row * shape.heads + head) * shape.rank
          for feature in 0..<shape.value {
            let weights = (head * shape.value + feature) * shape.rank
            out.append(
              (0..<shape.rank).reduce(0) { $0 + results[result + $1] * values[weights + $1] })
          }
        }
      }
      return out
    }

    /// The same in double precision.
    func reference() -> [Double] {
      var out: [Double] = []
      for row in 0..<queries.rows {
        for head in 0..<shape.heads {
          let query = queries.row(row) + head * (shape.own + shape.shared)
          var absorbed = (0..<shape.rank).map { feature in
            (0..<shape.own).reduce(0.0) {
              $0 + Double(query[$1]) * Double(keys[(head * shape.rank + feature) * shape.own + $1])
            }
          }
          absorbed += (0..<shape.shared).map { Double(query[shape.own + $0]) }
          let scores = (0...first + row).map { position in
            Double(Self.scale)
              * absorbed.indices.reduce(0.0) {
                $0 + absorbed[$1] * Double(latents[position * latentDimension + $1])
              }
          }
          let largest = scores.max()!
          let weights = scores.map { exp($0 - largest) }
          let sum = weights.reduce(0, +)
          let mixed = (0..<shape.rank).map { feature in
            weights.indices.reduce(0.0) {
              $0 + weights[$1] / sum * Double(latents[$1 * latentDimension + feature])
            }
          }
          out += (0..<shape.value).map { feature in
            mixed.indices.reduce(0.0) {
              $0 + mixed[$1] * Double(values[(head * shape.value + feature) * shape.rank + $1])
            }
          }
        }
      }
      return out
    }
  }

  private func worst(_ x: [Float], _ y: [Double]) -> Double {
    x.count == y.count ? zip(x, y).reduce(0) { max($0, abs(Double($1.0) - $1.1)) } : .infinity
  }

  @Test(arguments: shapes, InstructionSet.available)
  func agreesWithDoublePrecision(shape: Shape, set: InstructionSet) throws {
    for (positions, rows) in [(1, 1), (20, 20), (300, 2)] {
      let work = Work(shape, positions: positions, rows: rows)
      let expected = work.reference()
      let result = try withContext(set, threads: 1) { try work.result($0) }
      #expect(worst(result, expected) < 2e-5)
    }
  }

  /// One thread or several, whole or in pieces, in one wave or in several: the same bits.
  @Test(arguments: shapes, KVCache.ElementType.allCases)
  func cutsChangeNoBit(shape: Shape, type: KVCache.ElementType) throws {
    for set in InstructionSet.available {
      for (positions, rows) in [(40, 40), (290, 2)] {
        let work = Work(shape, positions: positions, rows: rows)
        let alone = try withContext(set, threads: 1) { try work.result($0, type) }
        for (threads, piece) in [(2, 1000), (1, 1), (4, 17)] {
          let results = try withContext(set, threads: threads) { context in
            let whole = try work.result(context, type, piece: piece)
            context.mostPartialFloats = 1
            return [whole, try work.result(context, type, piece: piece)]
          }
          #expect(results == [alone, alone], "\(threads) threads, pieces of \(piece)")
        }
      }
    }
  }

  /// Integers change results somewhat more than half precision does.
  @Test(arguments: shapes, InstructionSet.available)
  func integersStayNearDoublePrecision(shape: Shape, set: InstructionSet) throws {
    let work = Work(shape, positions: 300, rows: 20)
    let expected = work.reference()
    let size = expected.reduce(0) { $0 + $1 * $1 }
    let result = try withContext(set, threads: 2) { try work.result($0, .q8) }
    let errors = zip(result, expected).reduce(0.0) {
      $0 + (Double($1.0) - $1.1) * (Double($1.0) - $1.1)
    }
    let relative = (errors / size).squareRoot()
    #expect(relative < 0.06 && relative > 1e-4)
  }

  /// Half precision changes results a little.
  @Test func halfPrecision() throws {
    let work = Work(Self.shapes[2], positions: 200, rows: 4)
    let expected = work.reference()
    let difference = worst(try withContext(.preferred, threads: 2) { try work.result($0, .f16) }, expected)
    #expect(difference > 1e-6 && difference < 5e-3)
  }

  /// A latent is stored once: as keys and as values.
  @Test func latentsAreStoredOnce() {
    let layer = KVCache.LayerShape(latentDimension: 576, valueDimension: 512)
    #expect(layer.valuesPerPosition == 576)
    #expect(KVCache.byteCount(layers: [layer], elementType: .f16, positions: 128) == 128 * 576 * 2)
    let odd = KVCache.LayerShape(latentDimension: 28, valueDimension: 20)
    #expect(odd.valuesPerPosition == 28)
    #expect(KVCache.byteCount(layers: [odd], elementType: .f32, positions: 1) == 128 * 32 * 4)
  }
}
