import SalanganeKernels
import SalanganeTensors

/// Causal attention whose keys and values are made of a short vector for each position, the latent, which is all
/// that is kept (multi-head latent attention; DeepSeek-V2, 2024).
///
/// There are two ways to the same result. Absorbed: queries are multiplied by the weights of keys, and so can
/// meet the latents themselves; what comes out is multiplied by the weights of values. Expanded: keys and values
/// are made of the latents. The first does least for a few rows behind many positions, the second for many rows.
/// Their sums differ, so that a span says which one it takes, by what it is and not by how it was cut.
package struct LatentAttention: Sendable {
  /// The sizes.
  package let configuration: LatentConfiguration
  /// What queries are made of, or queries themselves, and then the latents, in one product.
  package let down: Linear
  /// The norm of what queries are made of, and the product that makes queries of it; nil if `down` does.
  package let query: (norm: RMSNorm, up: Linear)?
  /// The norm of latents without their rotary part.
  package let latentNorm: RMSNorm
  /// The weights of keys, transposed: `[rank, ownDimension]` for each head.
  package let keyUp: LinearBank
  /// The weights of values: `[valueDimension, rank]` for each head.
  package let valueUp: LinearBank
  /// The output projection.
  package let output: Linear

  /// Rows of a prompt that are expanded together: its latents are expanded for whole runs of so many positions,
  /// counted from the sequence's start, and not for what is left at its end.
  ///
  /// So a row's form depends on its position and on where the prompt ends, but not on what was computed before.
  /// Behind a long text the short end of a prompt doesn't expand all that is before it.
  ///
  /// Measured on four layers of GLM-4.7-Flash in Q4_K_M, with one thread: the whole prompt takes 1.17 times as long
  /// with expanded latents at 64 rows, 1.03 at 128, 0.92 at 256. Behind a long text the limit would be higher, since
  /// all of its latents are expanded for each chunk of a prompt.
  package static let expandedRows = 256
  /// Rows whose queries meet latents together: bounds the memory for them.
  static let absorbedRows = 64

  /// The positions of a prompt whose rows expand latents are those before this one.
  ///
  /// - Parameter count: How many tokens the sequence has when the prompt has been read, those before it included.
  package static func expandedEnd(ofPrompt count: Int) -> Int { count / expandedRows * expandedRows }

  /// Columns of `projected`.
  package var projectedFeatures: Int { down.outputs }

  /// Bytes that the weights take in memory.
  package var byteCount: Int {
    down.byteCount + (query?.up.byteCount ?? 0) + keyUp.byteCount + valueUp.byteCount + output.byteCount
  }

  /// What a cache keeps of a layer.
  package var cacheShape: KVCache.LayerShape {
    KVCache.LayerShape(latentDimension: configuration.latentDimension, valueDimension: configuration.rank)
  }

  /// `out = attention(x)`: `x` and `out` are `[rows, hidden]`.
  ///
  /// - Parameters:
  ///   - x: The normalised hidden states.
  ///   - layer: The layer in the caches.
  ///   - spans: The sequences that the rows belong to, in the order of the rows; there is room in their
  ///     caches.
  ///   - rotary: The frequencies.
  ///   - table: The cosines and sines of every row.
  ///   - projected: `[rows, projectedFeatures]`, for temporary values.
  ///   - heads: `[rows, expandedShape.outputFeatures]`, for temporary values.
  ///   - workspace: Further temporary values, with room for as many rows.
  package func callAsFunction(
    _ x: Matrix, layer: Int, spans: UnsafeBufferPointer<SequenceSpan>, rotary: RotaryEmbedding,
    table: Matrix, projected: Matrix, heads: Matrix, workspace: inout LatentWorkspace, into out: Matrix,
    _ context: ComputeContext
  ) {
    context.begin(.projection, reading: down.byteCount)
    down(x, into: projected, context)
    context.begin(.position)
    storeLatents(projected, layer: layer, spans: spans, rotary: rotary, table: table, context)
    var queries = projected
    if let query {
      workspace.queries.setRows(x.rows)
      queries = workspace.queries
      context.begin(.projection, reading: query.up.byteCount)
      query.up(projected.firstColumns(query.up.inputs), into: queries, context)
    }
    context.begin(.position)
    rotateQueries(queries, rotary: rotary, table: table, context)
    context.begin(
      .attention,
      reading: spans.cachedBytes(layer: layer, window: nil) + keyUp.byteCount + valueUp.byteCount)
    var first = 0
    while first < spans.count {
      var end = first + 1
      let isExpanded = spans[first].expandsLatents
      while end < spans.count, spans[end].expandsLatents == isExpanded { end += 1 }
      let part = UnsafeBufferPointer(rebasing: spans[first..<end])
      if isExpanded {
        expanded(queries, layer: layer, spans: part, into: heads, context)
      } else {
        absorbed(queries, layer: layer, spans: part, into: heads, &workspace, context)
      }
      first = end
    }
    context.begin(.projection, reading: output.byteCount)
    output(heads, into: out, context)
  }

  /// Normalises and rotates latents, and stores them; normalises what queries are made of.
  private func storeLatents(
    _ projected: Matrix, layer: Int, spans: UnsafeBufferPointer<SequenceSpan>, rotary: RotaryEmbedding,
    table: Matrix, _ context: ComputeContext
  ) {
    let kernels = context.kernels
    let rowsPerTask = 8
    let latent = projected.columns - configuration.latentDimension
    context.parallel(tasks: (projected.rows + rowsPerTask - 1) / rowsPerTask) { task, _, _ in
      var row = task * rowsPerTask
      let end = min(row + rowsPerTask, projected.rows)
      for span in spans where span.firstRow + span.count > row && span.firstRow < end {
        while row < min(end, span.firstRow + span.count) {
          let line = projected.row(row)
          query?.norm.normalize(line, rows: 1, context)
          latentNorm.normalize(line + latent, rows: 1, context)
          let cosines = table.row(row)
          kernels.rotateRows(
            1, rotary.dimension / 2, line + latent + configuration.rank, rotary.dimension, cosines,
            cosines + rotary.sineOffset)
          span.cache.store(
            layer: layer, position: span.start + row - span.firstRow, latent: line + latent, kernels: kernels)
          row += 1
        }
      }
    }
  }

  private func rotateQueries(
    _ queries: Matrix, rotary: RotaryEmbedding, table: Matrix, _ context: ComputeContext
  ) {
    let kernels = context.kernels
    let rowsPerTask = 8
    context.parallel(tasks: (queries.rows + rowsPerTask - 1) / rowsPerTask) { task, _, _ in
      for row in task * rowsPerTask..<min((task + 1) * rowsPerTask, queries.rows) {
        let cosines = table.row(row)
        kernels.rotateRows(
          configuration.heads, rotary.dimension / 2, queries.row(row) + configuration.ownDimension,
          configuration.queryDimension, cosines, cosines + rotary.sineOffset)
      }
    }
  }

  private func expanded(
    _ queries: Matrix, layer: Int, spans: UnsafeBufferPointer<SequenceSpan>, into heads: Matrix,
    _ context: ComputeContext
  ) {
    let expansion = LatentExpansion(
      rank: configuration.rank, ownDimension: configuration.ownDimension,
      sharedDimension: configuration.rotaryDimension, valueDimension: configuration.valueDimension,
      keys: keyUp,
      values: valueUp)
    context.causalAttention(
      queries: queries, spans: spans, layer: layer, shape: configuration.expandedShape,
      scale: configuration.scale, window: nil, expansion: expansion, into: heads)
  }

  private func absorbed(
    _ queries: Matrix, layer: Int, spans: UnsafeBufferPointer<SequenceSpan>, into heads: Matrix,
    _ workspace: inout LatentWorkspace, _ context: ComputeContext
  ) {
    for span in spans {
      var first = 0
      while first < span.count {
        let part = span.rows(first..<min(first + Self.absorbedRows, span.count))
        workspace.setAbsorbedRows(part.count)
        absorbed(queries, layer: layer, part, into: heads, workspace, context)
        first += part.count
      }
    }
  }

  /// At most `absorbedRows` rows of one sequence.
  private func absorbed(
    _ queries: Matrix, layer: Int, _ span: SequenceSpan, into heads: Matrix, _ workspace: LatentWorkspace,
    _ context: ComputeContext
  ) {
    let rank = configuration.rank
    let rows = span.firstRow..<span.firstRow + span.count
    let absorbed = workspace.absorbedQueries
    let results = workspace.absorbedResults
    let width = configuration.latentDimension
    workspace.setGroups(
      rows: span.count, x: queries.row(rows.lowerBound),
      xStep: configuration.queryDimension, out: absorbed.row(0), outStep: width)
    keyUp(xStride: queries.stride, outStride: absorbed.stride, workspace.groups, context)
    let rowsPerTask = 8
    context.parallel(tasks: (span.count + rowsPerTask - 1) / rowsPerTask) { task, _, _ in
      for row in task * rowsPerTask..<min((task + 1) * rowsPerTask, span.count) {
        let source = queries.row(rows.lowerBound + row) + configuration.ownDimension
        let destination = absorbed.row(row) + rank
        for head in 0..<configuration.heads {
          (destination + head * width).update(
            from: source + head * configuration.queryDimension, count: configuration.rotaryDimension)
        }
      }
    }
    let local = SequenceSpan(cache: span.cache, firstRow: 0, count: span.count, start: span.start)
    withUnsafePointer(to: local) { local in
      context.causalAttention(
        queries: absorbed, spans: UnsafeBufferPointer(start: local, count: 1), layer: layer,
        shape: configuration.absorbedShape, scale: configuration.scale, window: nil, into: results)
    }
    workspace.setGroups(
      rows: span.count, x: results.row(0), xStep: rank,
      out: heads.row(rows.lowerBound),
      outStep: configuration.valueDimension)
    valueUp(xStride: results.stride, outStride: heads.stride, workspace.groups, context)
  }
}

/// The temporary values of attention over latents, reused from layer to layer.
package struct LatentWorkspace: Sendable {
  /// `[rows, heads * queryDimension]`; without columns if queries aren't made of anything in between.
  fileprivate(set) var queries: Matrix
  /// `[rows, heads * latentDimension]`.
  private(set) var absorbedQueries: Matrix
  /// `[rows, heads * rank]`.
  private(set) var absorbedResults: Matrix
  private let products: ProductGroups

  /// Creates a workspace without room for rows yet.
  init(for configuration: LatentConfiguration?) {
    let heads = configuration?.heads ?? 1
    queries = Matrix(rows: 0, columns: heads * (configuration?.queryDimension ?? 1))
    absorbedQueries = Matrix(rows: 0, columns: heads * (configuration?.latentDimension ?? 1))
    absorbedResults = Matrix(rows: 0, columns: heads * (configuration?.rank ?? 1))
    products = ProductGroups(count: heads)
  }

  /// Bytes that the workspace takes for `rows` rows.
  func byteCount(rows: Int) -> Int {
    let absorbed = min(rows, LatentAttention.absorbedRows)
    return queries.byteCount(rows: rows) + absorbedQueries.byteCount(rows: absorbed)
      + absorbedResults.byteCount(rows: absorbed)
  }

  /// Makes room for `rows` rows.
  mutating func reserve(rows: Int) {
    if queries.capacity < rows { queries = Matrix(rows: rows, columns: queries.columns) }
  }

  /// Uses just `rows` rows of what meets latents.
  fileprivate mutating func setAbsorbedRows(_ rows: Int) {
    if absorbedQueries.capacity < rows {
      let capacity = (rows + 15) & ~15
      absorbedQueries = Matrix(rows: capacity, columns: absorbedQueries.columns)
      absorbedResults = Matrix(rows: capacity, columns: absorbedResults.columns)
    }
    absorbedQueries.setRows(rows)
    absorbedResults.setRows(rows)
  }

  /// A group for each head, which lie side by side in the input and the result.
  fileprivate var groups: UnsafeMutableBufferPointer<ProductGroup> { products.all }

  fileprivate func setGroups(
    rows: Int, x: UnsafePointer<Float>, xStep: Int, out: UnsafeMutablePointer<Float>,
    outStep: Int
  ) {
    for head in groups.indices {
      groups[head] = ProductGroup(
        member: head, x: x + head * xStep, out: out + head * outStep, rows: rows)
    }
  }
}

/// Memory for groups. `@unchecked Sendable`: it belongs to one request, and its leader alone writes to it.
private final class ProductGroups: @unchecked Sendable {
  let all: UnsafeMutableBufferPointer<ProductGroup>

  init(count: Int) { all = .allocate(capacity: count) }

  deinit { all.deallocate() }
}
