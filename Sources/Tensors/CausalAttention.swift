import SalanganeKernels

/// The rows of a batch that belong to one sequence.
package struct SequenceSpan {
  /// The sequence's keys and values.
  package let cache: KVCache
  /// Its first row in the batch.
  package let firstRow: Int
  /// How many rows it has there.
  package let count: Int
  /// The position of the first of them in the sequence.
  package let start: Int
  /// Whether attention over latents expands them into keys and values, which pays for long prompts.
  package let expandsLatents: Bool

  /// Describes a span.
  package init(cache: KVCache, firstRow: Int, count: Int, start: Int, expandsLatents: Bool = false) {
    self.cache = cache
    self.firstRow = firstRow
    self.count = count
    self.start = start
    self.expandsLatents = expandsLatents
  }

  /// Some of the span's rows, counted from its first.
  package func rows(_ rows: Range<Int>) -> SequenceSpan {
    precondition(rows.lowerBound >= 0 && rows.upperBound <= count)
    return SequenceSpan(
      cache: cache, firstRow: firstRow + rows.lowerBound, count: rows.count, start: start + rows.lowerBound,
      expandsLatents: expandsLatents)
  }
}

/// The shape of an attention whose query heads share key and value heads (Ainslie et al., GQA, 2023).
package struct AttentionShape: Hashable, Sendable {
  /// Query heads, a multiple of `keyValueHeads`.
  package let heads: Int
  /// Key and value heads.
  package let keyValueHeads: Int
  /// Features of a query or key.
  package let headDimension: Int
  /// Features of a value.
  package let valueDimension: Int

  /// Describes an attention.
  ///
  /// - Parameters:
  ///   - heads: Query heads, a multiple of `keyValueHeads`.
  ///   - keyValueHeads: Key and value heads.
  ///   - headDimension: Features of a query or key.
  ///   - valueDimension: Features of a value; nil for as many.
  package init(heads: Int, keyValueHeads: Int, headDimension: Int, valueDimension: Int? = nil) {
    precondition(heads > 0 && keyValueHeads > 0 && headDimension > 0 && heads % keyValueHeads == 0)
    self.heads = heads
    self.keyValueHeads = keyValueHeads
    self.headDimension = headDimension
    self.valueDimension = valueDimension ?? headDimension
  }

  /// Query heads of a key and value head.
  package var groupSize: Int { heads / keyValueHeads }
  /// Features of all queries of a token.
  package var queryFeatures: Int { heads * headDimension }
  /// Features of all queries, keys and values of a token.
  package var features: Int { queryFeatures + keyValueHeads * (headDimension + valueDimension) }
  /// Features of all heads' results.
  package var outputFeatures: Int { heads * valueDimension }
}

extension ComputeContext {
  /// Softmax attention of every row over the cached positions of its sequence up to its own.
  ///
  /// Keys come in chunks of `KVCache.blockLength` that start at position 0. Each chunk gives a maximum, a
  /// sum and an output of its own, which are merged in the order of the keys (FlashAttention-2; Dao, 2023),
  /// so a row's bits depend on the keys it sees and on nothing else: not on the rows beside it, on where the
  /// prompt was cut, or on the threads. A key that a row must not see has score -infinity and weight 0.
  ///
  /// All query heads of a key and value head go together, so that keys and values are read once.
  ///
  /// - Parameters:
  ///   - queries: `[rows, shape.queryFeatures]` or wider.
  ///   - spans: The sequences; their caches hold the keys and values of these rows already.
  ///   - layer: The layer in the caches.
  ///   - shape: Heads and their size.
  ///   - scale: What scores are multiplied by, normally `headDimension^-0.5`.
  ///   - window: How many positions a row sees, its own included; nil for all.
  ///   - expansion: How the cache's latents become the keys and values of all heads; nil to take what the cache
  ///     holds for keys and values.
  ///   - out: `[rows, shape.outputFeatures]`.
  package func causalAttention(
    queries: Matrix, spans: UnsafeBufferPointer<SequenceSpan>, layer: Int, shape: AttentionShape,
    scale: Float, window: Int?, expansion: LatentExpansion? = nil, into out: Matrix
  ) {
    precondition(queries.columns >= shape.queryFeatures && out.columns == shape.outputFeatures)
    guard let cache = spans.first?.cache else { return }
    let source = KeyValueSource(cache.layers[layer], cache.elementType, shape: shape, expansion: expansion)
    // What is expanded serves all the more queries.
    var lanes = CausalScratch.mostLanes * (expansion == nil ? 1 : 2)
    while lanes > CausalScratch.blockLanes,
      Self.taskCount(spans, shape, lanes: lanes) < threads * 4
    {
      lanes /= 2
    }
    let layout = CausalScratch(shape: shape, source: source, lanes: lanes)
    parallel(
      tasks: Self.taskCount(spans, shape, lanes: lanes), scratchCount: layout.count,
      CausalPhase(
        kernels: kernels, layout: layout, source: source, shape: shape, spans: spans, lanes: lanes,
        layer: layer, scale: scale, window: window ?? .max, queries: queries, out: out))
  }

  fileprivate static func taskCount(_ span: SequenceSpan, _ shape: AttentionShape, lanes: Int) -> Int {
    shape.keyValueHeads * ((span.count * shape.groupSize + lanes - 1) / lanes)
  }

  private static func taskCount(
    _ spans: UnsafeBufferPointer<SequenceSpan>, _ shape: AttentionShape, lanes: Int
  ) -> Int {
    var count = 0
    for span in spans { count += taskCount(span, shape, lanes: lanes) }
    return count
  }
}

/// Causal attention cut into tasks: some queries of one key and value head of one sequence each.
private struct CausalPhase: ScratchPhase {
  let kernels: KernelTable
  let layout: CausalScratch
  let source: KeyValueSource
  let shape: AttentionShape
  let spans: UnsafeBufferPointer<SequenceSpan>
  /// The most queries of a task.
  let lanes: Int
  let layer: Int
  let scale: Float
  let window: Int
  let queries: Matrix
  let out: Matrix

  func run(task: Int, worker: Int, scratch: UnsafeMutablePointer<Float>) {
    // Spans are few, so that looking for a task's own is cheap.
    var task = task
    var index = 0
    while task >= ComputeContext.taskCount(spans[index], shape, lanes: lanes) {
      task -= ComputeContext.taskCount(spans[index], shape, lanes: lanes)
      index += 1
    }
    let span = spans[index]
    let blocks = (span.count * shape.groupSize + lanes - 1) / lanes
    // Late positions see the most keys: they go first.
    let firstLane = (blocks - 1 - task % blocks) * lanes
    let head = CausalHead(
      kernels: kernels, layout: layout, source: source, scratch: scratch, shape: shape, span: span,
      layer: layer, head: task / blocks, scale: scale, window: window, queries: queries, out: out)
    head.run(firstLane: firstLane, count: min(lanes, span.count * shape.groupSize - firstLane))
  }
}

/// Where a task's temporary values lie in its worker's scratch, in floats.
private struct CausalScratch {
  /// Queries that meet a chunk of keys together: two vectors.
  static let blockLanes = 32
  /// Queries of a task, whose state stays in the second-level cache.
  static let mostLanes = 256

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
  let output: Int
  let maximum: Int
  let total: Int
  let count: Int

  init(shape: AttentionShape, source: KeyValueSource, lanes: Int) {
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
    output = chunkRunning + 3 * Self.blockLanes
    maximum = output + lanes * paddedDimension
    total = maximum + lanes
    count = total + lanes
  }
}

/// Some queries of one key and value head.
///
/// Lane `i` is query head `i % groupSize` of the group, at the
/// span's row `i / groupSize`.
private struct CausalHead {
  let kernels: KernelTable
  let layout: CausalScratch
  let source: KeyValueSource
  let scratch: UnsafeMutablePointer<Float>
  let shape: AttentionShape
  let span: SequenceSpan
  let layer: Int
  let head: Int
  let scale: Float
  let window: Int
  let queries: Matrix
  let out: Matrix

  private func position(_ lane: Int) -> Int { span.start + lane / shape.groupSize }

  /// The first position that a query at `position` sees.
  private func firstKey(_ position: Int) -> Int { position < window ? 0 : position - window + 1 }

  func run(firstLane: Int, count: Int) {
    let padded = layout.paddedDimension
    let maximum = scratch + layout.maximum
    let total = scratch + layout.total
    let output = scratch + layout.output
    // Few queries are the left operand of the scores, many the right one: the same sums either way.
    let isNarrow = count <= KernelTable.packedRows
    let lanes = isNarrow ? 16 : (count + 31) & ~31
    for lane in 0..<lanes {
      maximum[lane] = -.infinity
      total[lane] = 0
    }
    output.update(repeating: 0, count: count * padded)
    source.begin(head: head, scratch: scratch + layout.loaded, kernels: kernels)
    if isNarrow {
      gather(firstLane, count)
      kernels.packRows(
        count, KernelTable.packedRows, layout.dimension, scratch + layout.gathered, layout.dimension,
        scratch + layout.queries)
    } else {
      forEachBlock(count) { block, lanes in
        gather(firstLane + block, lanes)
        kernels.packRows(
          lanes, CausalScratch.blockLanes, layout.dimension, scratch + layout.gathered, layout.dimension,
          scratch + layout.queries + block * layout.dimension)
      }
    }
    let last = position(firstLane + count - 1)
    var chunk = firstKey(position(firstLane)) / KVCache.blockLength
    while chunk * KVCache.blockLength <= last {
      let start = chunk * KVCache.blockLength
      let loaded = source.load(
        span.cache, layer: layer, head: head, block: chunk,
        positions: min(KVCache.blockLength, last + 1 - start), scratch: scratch + layout.loaded,
        kernels: kernels)
      if isNarrow {
        let visible = min(KVCache.blockLength, last + 1 - start)
        narrowScores(loaded, visible, count)
        attend(firstLane, 0, count, width: 16, start: start, visible: visible, loaded)
      } else {
        forEachBlock(count) { block, lanes in
          let lastSeen = position(firstLane + block + lanes - 1)
          let isBefore = start + KVCache.blockLength <= firstKey(position(firstLane + block))
          guard start <= lastSeen, !isBefore else { return }
          let visible = min(KVCache.blockLength, lastSeen + 1 - start)
          wideScores(loaded, visible, block)
          attend(
            firstLane + block, block, lanes, width: CausalScratch.blockLanes, start: start,
            visible: visible, loaded)
        }
      }
      chunk += 1
    }
    finish(firstLane, count)
  }

  private func forEachBlock(_ count: Int, _ body: (_ first: Int, _ lanes: Int) -> Void) {
    var block = 0
    while block < count {
      body(block, min(CausalScratch.blockLanes, count - block))
      block += CausalScratch.blockLanes
    }
  }

  /// Copies queries behind each other, without gaps.
  private func gather(_ firstLane: Int, _ count: Int) {
    let dimension = layout.dimension
    let group = shape.groupSize
    for index in 0..<count {
      let lane = firstLane + index
      let query =
        queries.row(span.firstRow + lane / group) + (head * group + lane % group) * dimension
      (scratch + layout.gathered + index * dimension).update(from: query, count: dimension)
    }
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
  private func narrowScores(_ chunk: KeyValueChunk, _ visible: Int, _ count: Int) {
    let dimension = layout.dimension
    let raw = scratch + layout.rawScores
    kernels.matmulPanels(
      count, (visible + 15) / 16, dimension, scratch + layout.queries, KernelTable.packedRows, chunk.keys,
      chunk.keyStep, chunk.keyPanelStride, raw, KVCache.blockLength, nil, 0)
    kernels.packRows(count, 16, visible, raw, KVCache.blockLength, scratch + layout.scores)
  }

  /// What one chunk gives to a block of queries, from their scores on.
  private func attend(
    _ firstLane: Int, _ block: Int, _ count: Int, width: Int, start: Int, visible: Int,
    _ chunk: KeyValueChunk
  ) {
    let padded = layout.paddedDimension
    let scores = scratch + layout.scores
    let maximum = scratch + layout.chunkRunning
    let total = maximum + CausalScratch.blockLanes
    let correction = total + CausalScratch.blockLanes
    let output = scratch + layout.chunkOutput
    mask(firstLane, count, width: width, start: start, visible: visible)
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
      count, padded, maximum, total, output, padded, scratch + layout.maximum + block,
      scratch + layout.total + block, scratch + layout.output + block * padded, padded)
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

  private func finish(_ firstLane: Int, _ count: Int) {
    let dimension = shape.valueDimension
    let padded = layout.paddedDimension
    let group = shape.groupSize
    let total = scratch + layout.total
    for lane in 0..<count { total[lane] = 1 / total[lane] }
    for index in 0..<count {
      let lane = firstLane + index
      kernels.scaleRows(
        1, dimension, total + index, scratch + layout.output + index * padded, padded,
        out.row(span.firstRow + lane / group) + (head * group + lane % group) * dimension, dimension)
    }
  }
}
