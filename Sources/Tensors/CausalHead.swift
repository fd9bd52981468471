import SalanganeKernels

/// Where a task's temporary values lie in its worker's scratch, in floats.
struct CausalScratch {
  /// Queries that meet a chunk of keys together: two vectors.
  static let blockLanes = 32
  /// Queries of a task, whose state stays in the second-level cache.
  static let mostLanes = 256
  /// The same for integers, whose keys and values are smaller.
  static let mostIntegerLanes = 512

  let dimension: Int
  let paddedDimension: Int
  /// What the source needs.
  let loaded: Int
  let gathered: Int
  let queries: Int
  let rawScores: Int
  let scores: Int
  let chunkOutput: Int
  let chunkRunning: Int
  /// Where things lie if attention computes with integers, which it does with a cache of 8 bits; nil for floats.
  let integers: IntegerScratch?
  /// The results so far.
  let state: Int
  let count: Int

  init(shape: AttentionShape, source: KeyValueSource, cache: KVCache, layer: Int, lanes: Int) {
    let chunk = KVCache.blockLength
    dimension = shape.headDimension
    paddedDimension = (shape.valueDimension + 15) & ~15
    loaded = 0
    gathered = loaded + source.scratchCount
    queries = gathered + Self.blockLanes * ((dimension + 15) & ~15)
    rawScores = queries + lanes * dimension
    scores = rawScores + KernelTable.packedRows * chunk
    chunkOutput = scores + chunk * Self.blockLanes
    chunkRunning = chunkOutput + Self.blockLanes * paddedDimension
    let end = chunkRunning + 3 * Self.blockLanes
    integers =
      cache.elementType == .q8 ? IntegerScratch(cache.layers[layer], start: gathered, lanes: lanes) : nil
    state = integers?.end ?? end
    count = state + AttentionState.count(lanes: lanes, columns: paddedDimension)
  }
}

/// The results of some queries over the keys so far: the largest score of each, the sum of the exponentials, and
/// the values weighted by them.
struct AttentionState {
  let maximum: UnsafeMutablePointer<Float>
  let total: UnsafeMutablePointer<Float>
  let output: UnsafeMutablePointer<Float>

  /// Floats that a state takes; `lanes` is a multiple of 16.
  static func count(lanes: Int, columns: Int) -> Int { lanes * (columns + 2) }

  /// Places a state in memory.
  init(_ memory: UnsafeMutablePointer<Float>, lanes: Int, columns: Int) {
    maximum = memory
    total = memory + lanes
    output = memory + 2 * lanes
  }
}

/// Some queries of one key and value head.
///
/// Lane `i` is query head `i % groupSize` of the group, at the span's row `i / groupSize`.
struct CausalHead {
  let kernels: KernelTable
  let layout: CausalScratch
  let source: KeyValueSource
  let scratch: UnsafeMutablePointer<Float>
  let shape: AttentionShape
  let span: SequenceSpan
  let layer: Int
  let head: Int
  let firstLane: Int
  let count: Int
  let scale: Float
  let window: Int
  let queries: Matrix
  let out: Matrix
  let cancellation: Cancellation?

  /// Whether nobody wants the result any more; looked at before each block of keys, which takes at most some tenths of
  /// a millisecond.
  var isCancelled: Bool { cancellation?.isCancelled ?? false }

  func position(_ lane: Int) -> Int { span.start + lane / shape.groupSize }

  /// The first position that a query at `position` sees.
  func firstKey(_ position: Int) -> Int { position < window ? 0 : position - window + 1 }

  /// The blocks of the cache that the queries see.
  var blocks: Range<Int> {
    let last = position(firstLane + count - 1)
    return firstKey(position(firstLane)) / KVCache.blockLength..<last / KVCache.blockLength + 1
  }

  private var isNarrow: Bool { count <= KernelTable.packedRows }

  /// Prepares the queries; to be called before `run`.
  func prepare() {
    if let integers = layout.integers { packQueries(integers) } else { packQueries() }
  }

  /// Runs the queries over some blocks, or over fewer if that is no longer wanted.
  ///
  /// - Parameters:
  ///   - blocks: The blocks.
  ///   - state: Where the results go, which begin with these blocks; with room for whole blocks of lanes.
  func run(blocks: Range<Int>, _ state: AttentionState) {
    if let integers = layout.integers { return run(blocks: blocks, state, integers) }
    // Few queries are the left operand of the scores, many the right one: the same sums either way.
    let lanes = isNarrow ? 16 : (count + 31) & ~31
    for lane in 0..<lanes {
      state.maximum[lane] = -.infinity
      state.total[lane] = 0
    }
    state.output.update(repeating: 0, count: count * layout.paddedDimension)
    let last = position(firstLane + count - 1)
    for chunk in blocks where !isCancelled {
      let start = chunk * KVCache.blockLength
      let visible = min(KVCache.blockLength, last + 1 - start)
      let loaded = source.load(
        span.cache, layer: layer, head: head, block: chunk, positions: visible,
        scratch: scratch + layout.loaded, kernels: kernels)
      if isNarrow {
        narrowScores(loaded, visible)
        attend(0, count, width: 16, start: start, visible: visible, loaded, state)
      } else {
        forEachBlock { block, lanes in
          let lastSeen = position(firstLane + block + lanes - 1)
          let isBefore = start + KVCache.blockLength <= firstKey(position(firstLane + block))
          guard start <= lastSeen, !isBefore else { return }
          let visible = min(KVCache.blockLength, lastSeen + 1 - start)
          wideScores(loaded, visible, block)
          attend(
            block, lanes, width: CausalScratch.blockLanes, start: start, visible: visible, loaded, state)
        }
      }
    }
  }

  private func packQueries() {
    if isNarrow {
      gather(0, count)
      kernels.packRows(
        count, KernelTable.packedRows, layout.dimension, scratch + layout.gathered, layout.dimension,
        scratch + layout.queries)
    } else {
      forEachBlock { block, lanes in
        gather(block, lanes)
        kernels.packRows(
          lanes, CausalScratch.blockLanes, layout.dimension, scratch + layout.gathered, layout.dimension,
          scratch + layout.queries + block * layout.dimension)
      }
    }
  }

  private func forEachBlock(_ body: (_ first: Int, _ lanes: Int) -> Void) {
    var block = 0
    while block < count {
      body(block, min(CausalScratch.blockLanes, count - block))
      block += CausalScratch.blockLanes
    }
  }

  /// Copies queries behind each other, without gaps.
  private func gather(_ first: Int, _ count: Int) {
    let dimension = layout.dimension
    for index in 0..<count {
      (scratch + layout.gathered + index * dimension).update(from: query(first + index), count: dimension)
    }
  }

  /// The query of a lane, counted from the first of these.
  func query(_ index: Int) -> UnsafeMutablePointer<Float> {
    let lane = firstLane + index
    let group = shape.groupSize
    return queries.row(span.firstRow + lane / group) + (head * group + lane % group) * layout.dimension
  }

  /// Scores of one block of queries, `[keys, 32]`.
  private func wideScores(_ chunk: KeyValueChunk, _ visible: Int, _ block: Int) {
    let dimension = layout.dimension
    let width = CausalScratch.blockLanes
    var key = 0
    while key < visible {
      // The rows of a panel of 16 keys, in two goes.
      let inPanel = key % 16
      let rows = min(inPanel == 0 ? KernelTable.packedRows : 16 - inPanel, visible - key)
      kernels.matmulPanels(
        rows, 2, dimension, chunk.keys + key / 16 * chunk.keyPanelStride + inPanel, chunk.keyStep,
        scratch + layout.queries + block * dimension, width, 16, scratch + layout.scores + key * width,
        width, nil, 0)
      key += rows
    }
  }

  /// Scores of all queries, `[keys, 16]`.
  private func narrowScores(_ chunk: KeyValueChunk, _ visible: Int) {
    let dimension = layout.dimension
    let raw = scratch + layout.rawScores
    kernels.matmulPanels(
      count, (visible + 15) / 16, dimension, scratch + layout.queries, KernelTable.packedRows, chunk.keys,
      chunk.keyStep, chunk.keyPanelStride, raw, KVCache.blockLength, nil, 0)
    kernels.packRows(count, 16, visible, raw, KVCache.blockLength, scratch + layout.scores)
  }

  /// What one chunk gives to a block of queries, from their scores on.
  private func attend(
    _ block: Int, _ count: Int, width: Int, start: Int, visible: Int, _ chunk: KeyValueChunk,
    _ state: AttentionState
  ) {
    let padded = layout.paddedDimension
    let scores = scratch + layout.scores
    let maximum = scratch + layout.chunkRunning
    let total = maximum + CausalScratch.blockLanes
    let correction = total + CausalScratch.blockLanes
    let output = scratch + layout.chunkOutput
    mask(firstLane + block, count, width: width, start: start, visible: visible)
    for lane in 0..<width {
      maximum[lane] = -.infinity
      total[lane] = 0
    }
    kernels.softmaxChunk(visible, width / 16, scores, scale, maximum, total, correction)
    var row = 0
    while row < count {
      kernels.matmulPanels(
        min(KernelTable.packedRows, count - row), padded / 16, visible, scores + row, width, chunk.values,
        chunk.valueStride, 16, output + row * padded, padded, nil, 0)
      row += KernelTable.packedRows
    }
    kernels.mergeAttention(
      count, padded, maximum, total, output, padded, state.maximum + block, state.total + block,
      state.output + block * padded, padded)
  }

  /// Takes away the keys that a query doesn't see: later ones, and those that slid out of its window.
  private func mask(_ firstLane: Int, _ count: Int, width: Int, start: Int, visible: Int) {
    let scores = scratch + layout.scores
    for index in 0..<count {
      let position = position(firstLane + index)
      let first = min(max(firstKey(position) - start, 0), visible)
      let end = min(max(position + 1 - start, first), visible)
      for key in 0..<first { scores[key * width + index] = -.infinity }
      for key in end..<visible { scores[key * width + index] = -.infinity }
    }
  }

  /// Writes the results of some lanes.
  func finish(_ state: AttentionState, lanes: Range<Int>) {
    let dimension = shape.valueDimension
    let padded = layout.paddedDimension
    let group = shape.groupSize
    for index in lanes {
      state.total[index] = 1 / state.total[index]
      let lane = firstLane + index
      kernels.scaleRows(
        1, dimension, state.total + index, state.output + index * padded, padded,
        out.row(span.firstRow + lane / group) + (head * group + lane % group) * dimension, dimension)
    }
  }
}
