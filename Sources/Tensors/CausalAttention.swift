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

  /// Describes a span.
  package init(cache: KVCache, firstRow: Int, count: Int, start: Int) {
    self.cache = cache
    self.firstRow = firstRow
    self.count = count
    self.start = start
  }

  /// Some of the span's rows, counted from its first.
  package func rows(_ rows: Range<Int>) -> SequenceSpan {
    precondition(rows.lowerBound >= 0 && rows.upperBound <= count)
    return SequenceSpan(
      cache: cache, firstRow: firstRow + rows.lowerBound, count: rows.count, start: start + rows.lowerBound)
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
  /// Once the context's request is cancelled, it ends with the block of keys it is at, and `out` is to be thrown away.
  ///
  /// - Parameters:
  ///   - queries: `[rows, shape.queryFeatures]` or wider.
  ///   - spans: The sequences; their caches hold the keys and values of these rows already.
  ///   - layer: The layer in the caches.
  ///   - shape: Heads and their size.
  ///   - scale: What scores are multiplied by, normally `headDimension^-0.5`.
  ///   - window: How many positions a row sees, its own included; nil for all.
  ///   - out: `[rows, shape.outputFeatures]`.
  package func causalAttention(
    queries: Matrix, spans: UnsafeBufferPointer<SequenceSpan>, layer: Int, shape: AttentionShape,
    scale: Float, window: Int?, into out: Matrix
  ) {
    precondition(queries.columns >= shape.queryFeatures && out.columns == shape.outputFeatures)
    guard let cache = spans.first?.cache else { return }
    let source = KeyValueSource(cache.layers[layer], cache.elementType, shape: shape)
    var lanes = cache.elementType == .q8 ? CausalScratch.mostIntegerLanes : CausalScratch.mostLanes
    while lanes > CausalScratch.blockLanes,
      Self.taskCount(spans, shape, lanes: lanes) < threads * 4
    {
      lanes /= 2
    }
    let work = CausalWork(
      kernels: kernels,
      layout: CausalScratch(
        shape: shape, source: source, cache: cache, layer: layer, lanes: lanes), source: source, shape: shape,
      spans: spans, lanes: lanes, layer: layer, scale: scale, window: window ?? .max,
      queries: queries, out: out, cancellation: cancellation)
    if work.count < threads, work.mostBlocks > 1 {
      splitAttention(work)
    } else {
      parallel(tasks: work.count, scratchCount: work.layout.count, CausalPhase(work: work))
    }
  }

  fileprivate static func taskCount(_ span: SequenceSpan, _ shape: AttentionShape, lanes: Int) -> Int {
    shape.keyValueHeads * ((span.count * shape.groupSize + lanes - 1) / lanes)
  }

  fileprivate static func taskCount(
    _ spans: UnsafeBufferPointer<SequenceSpan>, _ shape: AttentionShape, lanes: Int
  ) -> Int {
    var count = 0
    for span in spans { count += taskCount(span, shape, lanes: lanes) }
    return count
  }
}

/// Causal attention cut into parts: some queries of one key and value head of one sequence each.
struct CausalWork {
  let kernels: KernelTable
  let layout: CausalScratch
  let source: KeyValueSource
  let shape: AttentionShape
  let spans: UnsafeBufferPointer<SequenceSpan>
  /// The most queries of a part.
  let lanes: Int
  let layer: Int
  let scale: Float
  let window: Int
  let queries: Matrix
  let out: Matrix
  /// The request that computes.
  let cancellation: Cancellation?

  /// How many parts there are.
  var count: Int { ComputeContext.taskCount(spans, shape, lanes: lanes) }

  /// The most blocks of the cache that a part sees.
  var mostBlocks: Int {
    var most = 0
    for span in spans { most = max(most, (span.start + span.count - 1) / KVCache.blockLength + 1) }
    return most
  }

  /// A part.
  func head(_ part: Int, scratch: UnsafeMutablePointer<Float>) -> CausalHead {
    // Spans are few, so that looking for a part's own is cheap.
    var part = part
    var index = 0
    while part >= ComputeContext.taskCount(spans[index], shape, lanes: lanes) {
      part -= ComputeContext.taskCount(spans[index], shape, lanes: lanes)
      index += 1
    }
    let span = spans[index]
    let blocks = (span.count * shape.groupSize + lanes - 1) / lanes
    // Late positions see the most keys: they go first.
    let firstLane = (blocks - 1 - part % blocks) * lanes
    return CausalHead(
      kernels: kernels, layout: layout, source: source, scratch: scratch, shape: shape, span: span,
      layer: layer, head: part / blocks, firstLane: firstLane,
      count: min(lanes, span.count * shape.groupSize - firstLane), scale: scale, window: window,
      queries: queries, out: out, cancellation: cancellation)
  }
}

/// Causal attention with a task for each part.
private struct CausalPhase: ScratchPhase {
  static let isAbandoned = true

  let work: CausalWork

  func run(task: Int, worker: Int, scratch: UnsafeMutablePointer<Float>) {
    let head = work.head(task, scratch: scratch)
    let state = AttentionState(
      scratch + work.layout.state, lanes: work.lanes, columns: work.layout.paddedDimension)
    head.prepare()
    head.run(blocks: head.blocks, state)
    head.finish(state, lanes: 0..<head.count)
  }
}
