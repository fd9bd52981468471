import SalanganeKernels
import SalanganeTensors

/// Causal attention whose keys and values are made of a short vector for each position, the latent, which is all
/// that is kept (multi-head latent attention; DeepSeek-V2, 2024).
///
/// Queries are multiplied by the weights of keys, and so meet the latents themselves; what comes out is multiplied by
/// the weights of values. The other way is to make the keys and values of all heads out of the latents. Its sums are
/// others: what a prompt computed in that way and a generated token in this one couldn't be taken for each other, and a
/// few tokens behind a long text would need the keys and values of all of it. For GLM-4.7-Flash a head and a key take
/// 256 + 256 multiplications then, rather than 576 + 512, but 448 x 512 for the key and value themselves: for a chunk of
/// 512 rows, 448 more for each, and on floats.
///
/// Measured on four layers of it in Q4_K_M with one thread, a prompt of 512 tokens takes as long either way, and one of
/// 4,096 takes 0.86 times as long this way; where attention is on floats, 0.86 times and 1.03 times.
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

  /// Rows whose queries meet latents together: bounds the memory for them.
  static let absorbedRows = 128

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
  ///   - x: The normalised hidden states, which may be quantised.
  ///   - layer: The layer in the caches.
  ///   - spans: The sequences that the rows belong to, in the order of the rows; there is room in their
  ///     caches.
  ///   - rotary: The frequencies.
  ///   - table: The cosines and sines of every row.
  ///   - projected: `[rows, projectedFeatures]`, for temporary values.
  ///   - heads: `[rows, heads * valueDimension]`, for temporary values.
  ///   - workspace: Further temporary values, with room for as many rows.
  func callAsFunction(
    _ x: ProductInput, layer: Int, spans: UnsafeBufferPointer<SequenceSpan>, rotary: RotaryEmbedding,
    table: Matrix, projected: Matrix, heads: Matrix, workspace: inout LatentWorkspace, into out: Matrix,
    _ context: ComputeContext
  ) {
    context.begin(.projection, reading: down.byteCount)
    down(x, into: projected, context)
    context.begin(.position)
    let storing = LatentPhase(
      attention: self, layer: layer, spans: spans, rotary: rotary, table: table, projected: projected,
      context: context)
    context.parallel(
      tasks: storing.tasks,
      scratchCount: KVCache.storeScratchCount(dimension: configuration.latentDimension), storing)
    var queries = projected
    if let query {
      workspace.queries.setRows(projected.rows)
      queries = workspace.queries
      context.begin(.projection, reading: query.up.byteCount)
      query.up(projected.firstColumns(query.up.inputs), into: queries, context)
    }
    context.begin(.position)
    let rotation = QueryRotation(
      kernels: context.kernels, configuration: configuration, rotary: rotary, table: table, queries: queries)
    context.parallel(tasks: rotation.tasks, rotation)
    context.begin(
      .attention,
      reading: spans.cachedBytes(layer: layer, window: nil) + keyUp.byteCount + valueUp.byteCount)
    attend(queries, layer: layer, spans: spans, into: heads, &workspace, context)
    context.begin(.projection, reading: output.byteCount)
    output(heads, into: out, context)
  }

  private func attend(
    _ queries: Matrix, layer: Int, spans: UnsafeBufferPointer<SequenceSpan>, into heads: Matrix,
    _ workspace: inout LatentWorkspace, _ context: ComputeContext
  ) {
    // Sequences go together, so that the weights of keys and values are read once for all of them.
    var rows = 0
    for span in spans {
      var first = 0
      while first < span.count {
        let part = span.rows(first..<min(first + Self.absorbedRows - rows, span.count))
        workspace.spans.append(part)
        rows += part.count
        first += part.count
        guard rows == Self.absorbedRows else { continue }
        attend(queries, layer: layer, rows: rows, into: heads, &workspace, context)
        rows = 0
      }
    }
    if rows > 0 { attend(queries, layer: layer, rows: rows, into: heads, &workspace, context) }
  }

  /// The rows of the workspace's spans, at most `absorbedRows`, which follow each other; the spans are used up.
  private func attend(
    _ queries: Matrix, layer: Int, rows: Int, into heads: Matrix, _ workspace: inout LatentWorkspace,
    _ context: ComputeContext
  ) {
    workspace.setAbsorbedRows(rows)
    let firstRow = workspace.spans.moveToRowZero()
    let source = queries.rows(firstRow..<firstRow + rows)
    let absorbed = workspace.absorbedQueries
    let results = workspace.absorbedResults
    workspace.setGroups(
      rows: rows, x: source.base, xStep: configuration.queryDimension, out: absorbed.base,
      outStep: configuration.latentDimension)
    keyUp(xStride: queries.stride, outStride: absorbed.stride, workspace.groups, context)
    let copying = RotaryPartCopy(configuration: configuration, queries: source, absorbed: absorbed)
    context.parallel(tasks: copying.tasks, copying)
    workspace.spans.withAll { spans in
      context.causalAttention(
        queries: absorbed, spans: spans, layer: layer, shape: configuration.absorbedShape,
        scale: configuration.scale, window: nil, into: results)
    }
    workspace.spans.removeAll()
    workspace.setGroups(
      rows: rows, x: results.base, xStep: configuration.rank, out: heads.row(firstRow),
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
  /// The sequences whose rows meet latents together.
  fileprivate let spans = SpanList()
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
