import SalanganeKernels
import SalanganeTensors

/// One block of a pre-norm transformer decoder: `h += attention(norm(h)); h += feedForward(norm(h))`, where
/// both results may be normalised once more before they are added (sandwich norms).
package struct DecoderBlock: Sendable {
  /// The norm before the attention.
  package let attentionNorm: RMSNorm
  /// The attention.
  package let attention: AttentionLayer
  /// The norm of the attention's result; nil for none.
  package let postAttentionNorm: RMSNorm?
  /// The norm before the feed-forward network.
  package let feedForwardNorm: RMSNorm
  /// The feed-forward network.
  package let feedForward: FeedForwardLayer
  /// The norm of the feed-forward network's result; nil for none.
  package let postFeedForwardNorm: RMSNorm?
}

/// The kinds of attention.
package enum AttentionLayer: Sendable {
  /// Over keys and values that query heads share.
  case grouped(Attention)
  /// Over latents.
  case latent(LatentAttention)

  /// What a cache keeps of the layer.
  fileprivate var cacheShape: KVCache.LayerShape {
    switch self {
    case .grouped(let attention):
      let shape = attention.shape
      return KVCache.LayerShape(
        heads: shape.keyValueHeads, keyDimension: shape.headDimension, valueDimension: shape.valueDimension)
    case .latent(let attention): return attention.cacheShape
    }
  }

  /// Bytes that the weights take in memory.
  fileprivate var byteCount: Int {
    switch self {
    case .grouped(let attention): attention.byteCount
    case .latent(let attention): attention.byteCount
    }
  }

  /// The product that takes the hidden states.
  fileprivate var firstProduct: Linear {
    switch self {
    case .grouped(let attention): attention.queryKeyValue
    case .latent(let attention): attention.down
    }
  }

  /// Columns of the first product's result.
  fileprivate var projectedFeatures: Int {
    switch self {
    case .grouped(let attention): attention.shape.features
    case .latent(let attention): attention.projectedFeatures
    }
  }
}

/// The kinds of feed-forward networks.
package enum FeedForwardLayer: Sendable {
  /// All tokens go through the same weights.
  case dense(FeedForward)
  /// Each token goes through those of some experts.
  case mixture(MixtureOfExperts)

  /// Bytes that the weights take in memory.
  fileprivate var byteCount: Int {
    switch self {
    case .dense(let network): network.byteCount
    case .mixture(let mixture): mixture.byteCount
    }
  }

  /// Features between the two products that all tokens go through.
  fileprivate var innerSize: Int {
    switch self {
    case .dense(let network): network.innerSize
    case .mixture(let mixture): mixture.shared?.innerSize ?? 0
    }
  }
}

/// A causal transformer over token sequences, with a key-value cache for each.
///
/// Weights are immutable: any number of requests may run a decoder, each with caches of its own.
package struct Decoder: Sendable {
  /// The model's hyper-parameters.
  package let configuration: DecoderConfiguration

  let tokenEmbeddings: EmbeddingTable
  let blocks: [DecoderBlock]
  let outputNorm: RMSNorm
  /// The product that gives logits; nil if the model was loaded without.
  let head: Linear?

  /// Features of a hidden state.
  package var hiddenSize: Int { configuration.hiddenSize }
  /// How many tokens there are; the columns of the logits.
  package var vocabularySize: Int { configuration.vocabularySize }
  /// The most positions that a sequence may have.
  package var contextLength: Int { configuration.contextLength }
  /// Bytes that the weights of products take in memory.
  package var byteCount: Int {
    blocks.reduce(head?.byteCount ?? 0) { $0 + $1.attention.byteCount + $1.feedForward.byteCount }
  }
  /// Whether the model can give logits.
  package var hasHead: Bool { head != nil }

  /// What the layers store in a cache.
  package var cacheLayers: [KVCache.LayerShape] { blocks.map(\.attention.cacheShape) }

  /// An empty cache for one sequence.
  ///
  /// - Parameters:
  ///   - elementType: How keys and values are stored.
  ///   - capacity: The most positions; nil for the context length.
  ///   - isTransient: For a sequence that runs whole, in one call of `hiddenStates`.
  package func makeCache(
    _ elementType: KVCache.ElementType = .f32, capacity: Int? = nil, isTransient: Bool = false
  ) -> KVCache {
    KVCache(
      layers: cacheLayers, elementType: elementType, capacity: min(capacity ?? contextLength, contextLength),
      isTransient: isTransient)
  }

  /// Runs rows of one or several sequences through all blocks.
  ///
  /// Keys and values are stored in the caches, but not counted: that is the caller's part, once all went
  /// well. A block runs `panel` rows at a time, so that only the residual stream takes memory for all of them;
  /// results have the same bits for any `panel`.
  ///
  /// - Parameters:
  ///   - tokens: A token id a row, each below `vocabularySize`.
  ///   - spans: The sequences that the rows belong to, in the order of the rows.
  ///   - panel: The most rows that run together.
  ///   - workspace: Memory for the activations; grows if it must.
  ///   - layerInputs: Sees the hidden states before every block, `[rows, hidden]`.
  /// - Returns: `[rows, hidden]`, before the last norm, in the workspace's memory.
  /// - Throws: `KVCacheError` if a cache can't hold the rows; `ComputeError` if there is no memory for activations;
  ///   `ModelFileError` if the file with the embeddings shrank; `CancellationError` between two blocks.
  func hiddenStates(
    _ tokens: UnsafeBufferPointer<Int32>, spans: UnsafeBufferPointer<SequenceSpan>, panel: Int = .max,
    workspace: inout DecoderWorkspace, context: ComputeContext, cancellation: Cancellation,
    layerInputs: ((Int, Matrix) -> Void)?
  ) throws -> Matrix {
    try cancellation.check()
    for span in spans { try span.cache.reserve(span.start + span.count) }
    try workspace.reserve(rows: tokens.count, panel: panel)
    let hidden = workspace.hidden
    try tokenEmbeddings.checkFile()
    context.begin(.embedding)
    embed(tokens, into: hidden, context)
    context.inspect(hidden, at: .embeddings)
    context.begin(.position)
    for span in spans { configuration.rotary.fill(workspace.rotaryTable, span, context) }
    let panels = tokens.count > panel ? Self.panels(of: spans, rows: tokens.count, panel) : []
    for (layer, block) in blocks.enumerated() {
      try cancellation.check()
      if let layerInputs {
        // The block adds the last one's result itself; here it is only looked at.
        let copy = Matrix(rows: hidden.rows, columns: hidden.columns)
        for row in 0..<hidden.rows {
          copy.row(row).update(from: hidden.row(row), count: hidden.columns)
          if layer > 0 { context.kernels.addInPlace(hidden.columns, workspace.delta.row(row), copy.row(row)) }
        }
        layerInputs(layer, copy)
      }
      if panels.isEmpty { run(block, layer, rows: 0..<tokens.count, spans, &workspace, context) }
      for panel in panels {
        try cancellation.check()
        panel.spans.withUnsafeBufferPointer { run(block, layer, rows: panel.rows, $0, &workspace, context) }
      }
    }
    // The last block may have been given up half-way: its results mustn't count.
    try cancellation.check()
    context.begin(.norm)
    let addition = RowAddition(kernels: context.kernels, addend: workspace.delta, sum: hidden)
    context.parallel(tasks: hidden.rows, addition)
    context.inspect(hidden, at: .feedForward(layer: blocks.count - 1))
    return hidden
  }

  /// Runs a block on some rows; its result waits in the workspace to be added by the next block.
  private func run(
    _ block: DecoderBlock, _ layer: Int, rows: Range<Int>, _ spans: UnsafeBufferPointer<SequenceSpan>,
    _ workspace: inout DecoderWorkspace, _ context: ComputeContext
  ) {
    workspace.setPanel(rows: rows.count)
    let hidden = workspace.hidden.rows(rows)
    let normed = workspace.normed
    let delta = workspace.delta.rows(rows)
    let input = block.attentionNorm(
      hidden, adding: layer == 0 ? nil : delta, into: normed, for: block.attention.firstProduct, context)
    if layer > 0 { context.inspect(hidden, at: .feedForward(layer: layer - 1)) }
    let table = workspace.rotaryTable.rows(rows)
    switch block.attention {
    case .grouped(let attention):
      attention(
        input, layer: layer, spans: spans, rotary: configuration.rotary, table: table,
        projected: workspace.projected, heads: workspace.heads, into: delta, context)
    case .latent(let attention):
      attention(
        input, layer: layer, spans: spans, rotary: configuration.rotary, table: table,
        projected: workspace.projected, heads: workspace.heads, workspace: &workspace.latent, into: delta,
        context)
    }
    context.inspect(delta, at: .attention(layer: layer))
    block.postAttentionNorm?(delta, into: delta, context)
    switch block.feedForward {
    case .dense(let network):
      let input = block.feedForwardNorm(hidden, adding: delta, into: normed, for: network.gateUp, context)
      context.inspect(hidden, at: .attention(layer: layer))
      network(input, inner: workspace.inner, into: delta, context)
    case .mixture(let mixture):
      block.feedForwardNorm(hidden, adding: delta, into: normed, context)
      context.inspect(hidden, at: .attention(layer: layer))
      mixture(normed, workspace: &workspace.mixture, inner: workspace.inner, into: delta, context)
    }
    context.inspect(delta, at: .feedForward(layer: layer))
    block.postFeedForwardNorm?(delta, into: delta, context)
  }

  /// Cuts rows into panels, and the sequences with them.
  private static func panels(
    of spans: UnsafeBufferPointer<SequenceSpan>, rows: Int, _ panel: Int
  ) -> [(rows: Range<Int>, spans: [SequenceSpan])] {
    stride(from: 0, to: rows, by: panel).map { first in
      let end = min(first + panel, rows)
      let parts = spans.compactMap { span -> SequenceSpan? in
        let start = max(span.firstRow, first)
        let count = min(span.firstRow + span.count, end) - start
        guard count > 0 else { return nil }
        return SequenceSpan(
          cache: span.cache, firstRow: start - first, count: count,
          start: span.start + start - span.firstRow)
      }
      return (first..<end, parts)
    }
  }

  private func embed(_ tokens: UnsafeBufferPointer<Int32>, into hidden: Matrix, _ context: ComputeContext) {
    let rowsPerTask = 32
    context.parallel(tasks: (tokens.count + rowsPerTask - 1) / rowsPerTask) { task, _, _ in
      let first = task * rowsPerTask
      for row in first..<min(first + rowsPerTask, tokens.count) {
        tokenEmbeddings.copyRow(Int(tokens[row]), to: hidden.row(row))
      }
    }
  }
}

/// The sum of two matrices, row by row.
private struct RowAddition: ScratchPhase {
  let kernels: KernelTable
  let addend: Matrix
  let sum: Matrix

  func run(task: Int, worker: Int, scratch: UnsafeMutablePointer<Float>) {
    kernels.addInPlace(sum.columns, addend.row(task), sum.row(task))
  }
}

/// The activations of a decoder run, reused from call to call.
package struct DecoderWorkspace: Sendable {
  private let configuration: DecoderConfiguration
  private let innerSize: Int
  fileprivate private(set) var hidden: Matrix
  private(set) var normed: Matrix
  fileprivate private(set) var delta: Matrix
  fileprivate private(set) var projected: Matrix
  fileprivate private(set) var heads: Matrix
  fileprivate private(set) var inner: Matrix
  fileprivate private(set) var rotaryTable: Matrix
  fileprivate var mixture: MixtureWorkspace
  fileprivate var latent: LatentWorkspace
  var logits: Matrix
  /// Twice the rows of hidden states whose logits are computed.
  var doubled: Matrix
  /// Caches of texts to embed, which are filled and forgotten.
  var transientCaches = LeaderState<[KVCache]>([])

  /// Creates a workspace for a decoder, without room for tokens yet.
  package init(for decoder: Decoder) {
    configuration = decoder.configuration
    innerSize = max(1, decoder.blocks.map(\.feedForward.innerSize).max() ?? 0)
    let hiddenSize = configuration.hiddenSize
    hidden = Matrix(rows: 0, columns: hiddenSize)
    normed = hidden
    delta = hidden
    projected = Matrix(
      rows: 0, columns: decoder.blocks.first?.attention.projectedFeatures ?? configuration.attention.features)
    heads = Matrix(rows: 0, columns: configuration.attention.outputFeatures)
    inner = Matrix(rows: 0, columns: 2 * innerSize)
    rotaryTable = configuration.rotary.table(rows: 0)
    mixture = MixtureWorkspace(for: decoder.blocks.map(\.feedForward))
    latent = LatentWorkspace(for: configuration.latent)
    logits = Matrix(rows: 0, columns: configuration.vocabularySize)
    doubled = Matrix(rows: 0, columns: configuration.hiddenSize)
  }

  /// Bytes that the workspace takes for `rows` tokens that run together.
  package func byteCount(rows: Int) -> Int {
    let matrices = [hidden, delta, rotaryTable, normed, projected, heads, inner]
    return matrices.reduce(0) { $0 + $1.byteCount(rows: rows) } + mixture.byteCount(rows: rows)
      + latent.byteCount(rows: rows) + logits.byteCount(rows: min(rows, Decoder.logitRows))
  }

  /// Makes room for `rows` tokens of which `panel` run together, and uses just those.
  ///
  /// - Throws: `ComputeError.outOfMemory`.
  fileprivate mutating func reserve(rows: Int, panel: Int) throws(ComputeError) {
    if hidden.capacity < rows || normed.capacity < min(panel, rows) {
      let whole = [hidden, delta, rotaryTable].reduce(0) { $0 + $1.byteCount(rows: rows) }
      try FloatBuffer.expectMemory(bytes: max(whole, byteCount(rows: min(panel, rows))))
    }
    // Rounded up, so that runs of about the same size don't allocate each time.
    if hidden.capacity < rows {
      let capacity = (rows + 15) & ~15
      hidden = Matrix(rows: capacity, columns: hidden.columns)
      delta = Matrix(rows: capacity, columns: hidden.columns)
      rotaryTable = configuration.rotary.table(rows: capacity)
    }
    let panel = min(panel, rows)
    if normed.capacity < panel {
      let capacity = (panel + 15) & ~15
      normed = Matrix(rows: capacity, columns: hidden.columns)
      projected = Matrix(rows: capacity, columns: projected.columns)
      heads = Matrix(rows: capacity, columns: heads.columns)
      inner = Matrix(rows: capacity, columns: inner.columns)
      mixture.reserve(rows: capacity)
      if configuration.latent?.queryRank != nil { latent.reserve(rows: capacity) }
    }
    hidden.setRows(rows)
    delta.setRows(rows)
    rotaryTable.setRows(rows)
    setPanel(rows: panel)
  }

  /// Uses just `rows` rows of what one panel needs.
  fileprivate mutating func setPanel(rows: Int) {
    normed.setRows(rows)
    projected.setRows(rows)
    heads.setRows(rows)
    inner.setRows(rows)
  }
}
