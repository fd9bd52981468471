import SalanganeTensors

/// Causal attention with rotary positions, over a key-value cache.
package struct Attention: Sendable {
  /// Queries, keys and values in one product: `[shape.features, hidden]`.
  ///
  /// Features that are rotated together lie half of the rotated part apart, whatever the file has.
  package let queryKeyValue: Linear
  /// The output projection.
  package let output: Linear
  /// The norm of each query head; nil for none.
  package let queryNorm: RMSNorm?
  /// The norm of each key head; nil for none.
  package let keyNorm: RMSNorm?
  /// Heads and their size.
  package let shape: AttentionShape
  /// What scores are multiplied by.
  package let scale: Float
  /// How many positions a token sees, its own included; nil for all.
  package let window: Int?

  /// Bytes that the weights take in memory.
  package var byteCount: Int { queryKeyValue.byteCount + output.byteCount }

  /// `out = attention(x)`: `x` and `out` are `[rows, hidden]`.
  ///
  /// - Parameters:
  ///   - x: The normalised hidden states, which may be quantised.
  ///   - layer: The layer in the caches.
  ///   - spans: The sequences that the rows belong to, in the order of the rows; there is room in their
  ///     caches.
  ///   - rotary: The frequencies.
  ///   - table: The cosines and sines of every row.
  ///   - projected: `[rows, shape.features]`, for temporary values.
  ///   - heads: `[rows, shape.queryFeatures]`, for temporary values.
  func callAsFunction(
    _ x: ProductInput, layer: Int, spans: UnsafeBufferPointer<SequenceSpan>, rotary: RotaryEmbedding,
    table: Matrix, projected: Matrix, heads: Matrix, into out: Matrix, _ context: ComputeContext
  ) {
    context.begin(.projection, reading: queryKeyValue.byteCount)
    queryKeyValue(x, into: projected, context)
    context.begin(.position)
    let preparation = PreparationPhase(
      attention: self, layer: layer, spans: spans, rotary: rotary, table: table, projected: projected,
      context: context)
    context.parallel(
      tasks: preparation.tasks, scratchCount: KVCache.storeScratchCount(dimension: shape.headDimension),
      preparation)
    context.begin(.attention, reading: spans.cachedBytes(layer: layer, window: window))
    context.causalAttention(
      queries: projected, spans: spans, layer: layer, shape: shape, scale: scale, window: window, into: heads)
    context.begin(.projection, reading: output.byteCount)
    output(heads, into: out, context)
  }
}

/// What is done to projected rows before the attention: queries and keys are normalised and rotated, keys and values
/// stored; cut into blocks of rows.
private struct PreparationPhase: ScratchPhase {
  /// The rows of a task: few, so that a batch of generated tokens keeps several threads busy.
  static let rowsPerTask = 4

  let attention: Attention
  let layer: Int
  let spans: UnsafeBufferPointer<SequenceSpan>
  let rotary: RotaryEmbedding
  let table: Matrix
  let projected: Matrix
  let context: ComputeContext

  var tasks: Int { (projected.rows + Self.rowsPerTask - 1) / Self.rowsPerTask }

  func run(task: Int, worker: Int, scratch: UnsafeMutablePointer<Float>) {
    let first = task * Self.rowsPerTask
    spans.forEachRow(in: first..<min(first + Self.rowsPerTask, projected.rows)) { prepare($0, $1, scratch) }
  }

  private func prepare(_ row: Int, _ span: SequenceSpan, _ scratch: UnsafeMutablePointer<Float>) {
    let kernels = context.kernels
    let shape = attention.shape
    let dimension = shape.headDimension
    let queries = projected.row(row)
    let keys = queries + shape.queryFeatures
    let values = keys + shape.keyValueHeads * dimension
    attention.queryNorm?.normalize(queries, rows: shape.heads, context)
    attention.keyNorm?.normalize(keys, rows: shape.keyValueHeads, context)
    let cosines = table.row(row)
    kernels.rotateRows(
      shape.heads + shape.keyValueHeads, rotary.dimension / 2, queries, dimension, cosines,
      cosines + rotary.sineOffset)
    for head in 0..<shape.keyValueHeads {
      span.cache.store(
        layer: layer, head: head, position: span.start + row - span.firstRow,
        key: keys + head * dimension, value: values + head * dimension, scratch: scratch, kernels: kernels)
    }
  }
}

extension UnsafeBufferPointer<SequenceSpan> {
  /// Calls a body with each of some rows and the span that it belongs to.
  func forEachRow(in rows: Range<Int>, _ body: (_ row: Int, _ span: SequenceSpan) -> Void) {
    for span in self {
      for row in rows.clamped(to: span.firstRow..<span.firstRow + span.count) { body(row, span) }
    }
  }

  /// Bytes of keys and values that the rows of all spans see in a layer, each counted once.
  func cachedBytes(layer: Int, window: Int?) -> Int {
    reduce(0) { sum, span in
      let positions = span.start + span.count
      let seen = Swift.min(positions, window.map { $0 + span.count - 1 } ?? positions)
      return sum + seen * span.cache.layers[layer].bytesPerPosition(span.cache.elementType)
    }
  }
}
