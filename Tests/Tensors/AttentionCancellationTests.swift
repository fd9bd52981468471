import SalanganeFiles
import SalanganeKernels
import SalanganeTensors
import SalanganeTestSupport
import Synchronization
import Testing

/// Cancels a request when some blocks of keys have been computed, and counts them.
///
/// There is one of these at a time, since kernels capture nothing.
private enum BlockCounter {
  static let count = Atomic<Int>(0)
  static let last = Atomic<Int>(0)
  static let cancellation = Locked(Cancellation())
  static let kernels = (try? KernelTable.table(for: .preferred)) ?? .portable

  /// Starts over; cancels a new request with the block of that number.
  static func begin(last: Int) -> Cancellation {
    count.store(0, ordering: .relaxed)
    self.last.store(last, ordering: .relaxed)
    let new = Cancellation()
    cancellation.withLock { $0 = new }
    return new
  }

  static func note() {
    if count.wrappingAdd(1, ordering: .relaxed).newValue == last.load(ordering: .relaxed) {
      cancellation.withLock { $0 }.cancel()
    }
  }

  /// Kernels that count: each block of keys has one softmax, or one of its like on integers.
  static var countingKernels: KernelTable {
    var counting = kernels
    counting.softmaxChunk = { keys, panels, scores, scale, maximum, total, correction in
      BlockCounter.note()
      BlockCounter.kernels.softmaxChunk(keys, panels, scores, scale, maximum, total, correction)
    }
    counting.integerAttentionWeights = {
      rows, scores, stride, scale, bounds, groups, valueScales, codes, codeScales, maximum, total in
      BlockCounter.note()
      BlockCounter.kernels.integerAttentionWeights(
        rows, scores, stride, scale, bounds, groups, valueScales, codes, codeScales, maximum, total)
    }
    return counting
  }
}

/// Attention of a request that is cancelled meanwhile.
@Suite(.serialized) struct AttentionCancellationTests {
  private static let shape = AttentionShape(heads: 2, keyValueHeads: 1, headDimension: 32)
  private static let blocks = 40

  /// Computes something that is cancelled with some block of keys; returns how many blocks were computed.
  private func blocks(threads: Int, cancelledAfter last: Int, of body: (ComputeContext) -> Void) -> Int {
    let cancellation = BlockCounter.begin(last: last)
    let team = ThreadTeam()
    defer { team.stop() }
    let context = ComputeContext(team: team, threads: threads, kernels: BlockCounter.countingKernels)
    context.cancellation = cancellation
    body(context)
    return BlockCounter.count.load(ordering: .relaxed)
  }

  /// Attention of some rows behind a long text; returns the results, and how many blocks of keys were computed.
  private func causal(
    rows: Int, threads: Int, _ type: KVCache.ElementType, cancelledAfter last: Int
  ) throws -> (values: [Float], blocks: Int) {
    let positions = Self.blocks * KVCache.blockLength
    let cache = KVCache(
      layers: [.init(heads: 1, keyDimension: 32, valueDimension: 32)], elementType: type,
      capacity: positions)
    try cache.reserve(positions)
    var random = SplitMix64(seed: 3)
    let scratch = FloatBuffer(count: KVCache.storeScratchCount(dimension: 32))
    for position in 0..<positions {
      let key = matrix(random.floats(64, in: -1...1), rows: 1, columns: 64)
      cache.store(
        layer: 0, head: 0, position: position, key: key.base, value: key.base + 32, scratch: scratch.base,
        kernels: BlockCounter.kernels)
    }
    cache.advance(by: positions)
    let queries = matrix(random.floats(rows * 64, in: -1...1), rows: rows, columns: 64)
    let out = matrix([Float](repeating: -1, count: rows * 64), rows: rows, columns: 64)
    let spans = [SequenceSpan(cache: cache, firstRow: 0, count: rows, start: positions - rows)]
    let count = blocks(threads: threads, cancelledAfter: last) { context in
      spans.withUnsafeBufferPointer {
        context.causalAttention(
          queries: queries, spans: $0, layer: 0, shape: Self.shape, scale: 0.2, window: nil, into: out)
      }
    }
    return (values(out), count)
  }

  /// With one row, a few threads share the blocks; with many, each has rows of its own.
  @Test(arguments: [1, 3], [1, 200])
  func causalAttentionIsGivenUp(threads: Int, rows: Int) throws {
    for type in [KVCache.ElementType.f16, .q8] {
      let whole = try causal(rows: rows, threads: threads, type, cancelledAfter: .max)
      #expect(whole.blocks >= Self.blocks)
      #expect(!whole.values.contains(-1))
      let last = 5
      let some = try causal(rows: rows, threads: threads, type, cancelledAfter: last)
      // Each thread ends the block of keys that it is at, for all its lanes of queries.
      #expect(some.blocks <= last + threads * (2 * rows + 15) / 16, "\(some.blocks) of \(whole.blocks)")
      #expect(some.blocks < whole.blocks / 2)
    }
  }

  /// All queries of a sequence meet all its keys.
  @Test(arguments: [1, 2]) func bidirectionalAttentionIsGivenUp(threads: Int) throws {
    let length = 1920
    var random = SplitMix64(seed: 4)
    let qkv = matrix(random.floats(length * 96, in: -1...1), rows: length, columns: 96)
    for last in [Int.max, 30] {
      let out = matrix([Float](repeating: -1, count: length * 32), rows: length, columns: 32)
      let count = blocks(threads: threads, cancelledAfter: last) { context in
        context.bidirectionalAttention(
          qkv: qkv, offsets: [0, length], heads: 1, headDimension: 32, scale: 0.2, into: out)
      }
      let all = length / 32 * (length / 96)
      // The 32 queries that it is at meet all keys.
      if last == .max { #expect(count == all) } else { #expect(count <= 40) }
    }
  }
}
