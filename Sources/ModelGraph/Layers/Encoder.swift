import SalanganeTensors

/// One block of a post-norm transformer encoder (Vaswani et al., 2017, as BERT has it):
/// `h = norm(x + attention(x)); y = norm(h + down(gelu(up(h))))`.
package struct EncoderBlock: Sendable {
  /// Queries, keys and values in one product: `[3 * hidden, hidden]`.
  package let queryKeyValue: Linear
  /// The attention's output projection.
  package let attentionOutput: Linear
  /// The norm after the attention.
  package let attentionNorm: LayerNorm
  /// The feed-forward network's first layer, before GELU.
  package let up: Linear
  /// The feed-forward network's second layer.
  package let down: Linear
  /// The norm after the feed-forward network.
  package let outputNorm: LayerNorm
}

/// A bidirectional transformer encoder over token sequences packed without padding.
package struct Encoder: Sendable {
  /// Features of a hidden state.
  package let hiddenSize: Int
  /// Attention heads of a block.
  package let heads: Int
  /// The most tokens of a sequence: the rows of the position table.
  package let maximumLength: Int
  /// The rows of the token table.
  package let vocabularySize: Int

  let tokenEmbeddings: EmbeddingTable
  let positionEmbeddings: EmbeddingTable
  /// The rows of the token type table, one after the other: type 0 is a plain text's, or a pair's first.
  let typeEmbeddings: [Float]
  let embeddingNorm: LayerNorm
  let blocks: [EncoderBlock]

  /// The rows of the token type table.
  package var tokenTypes: Int { typeEmbeddings.count / hiddenSize }

  /// Features of a head.
  package var headDimension: Int { hiddenSize / heads }

  /// The hidden states after the last block.
  ///
  /// - Parameters:
  ///   - tokens: The token ids of all sequences, one sequence after the other, each below
  ///     `vocabularySize`.
  ///   - offsets: Where each sequence starts, and the end of the last: `sequences + 1` numbers.
  ///   - typeIDs: The token type of each token, for pairs of texts; nil for 0.
  ///   - workspace: Memory for the activations; grows if it must.
  ///   - layerInputs: Sees the hidden states before every block, `[tokens, hidden]`.
  /// - Returns: `[tokens, hidden]`, in the workspace's memory.
  /// - Throws: `ModelFileError` if the file with the embeddings shrank; `ComputeError` if there is no memory;
  ///   `CancellationError` between two blocks.
  package func hiddenStates(
    tokens: [Int32], offsets: [Int], typeIDs: [Int32]? = nil, workspace: inout EncoderWorkspace,
    context: ComputeContext, cancellation: Cancellation, layerInputs: ((Int, Matrix) -> Void)? = nil
  ) throws -> Matrix {
    precondition(offsets.first == 0 && offsets.last == tokens.count)
    try workspace.reserve(rows: tokens.count)
    let hidden = workspace.hidden
    try tokenEmbeddings.checkFile()
    context.begin(.embedding)
    embed(tokens, offsets: offsets, typeIDs: typeIDs, into: hidden, context)
    context.inspect(hidden, at: .embeddings)
    // Results that are quantised next are so while they are in the cache.
    let quantizes = blocks.map(\.queryKeyValue.isQuantized) + [false]
    embeddingNorm(hidden, into: hidden, quantizes: quantizes[0], context)
    context.inspect(hidden, at: .embeddings)
    let scale = 1 / Float(headDimension).squareRoot()
    for (index, block) in blocks.enumerated() {
      try cancellation.check()
      layerInputs?(index, hidden)
      context.begin(.projection, reading: block.queryKeyValue.byteCount)
      block.queryKeyValue(
        ProductInput(hidden, isQuantized: quantizes[index]), into: workspace.queryKeyValue, context)
      context.begin(.attention)
      let quantizesAttention = block.attentionOutput.isQuantized && headDimension % 32 == 0
      context.bidirectionalAttention(
        qkv: workspace.queryKeyValue, offsets: offsets, heads: heads, headDimension: headDimension,
        scale: scale, into: workspace.attention, quantizes: quantizesAttention)
      context.begin(.projection, reading: block.attentionOutput.byteCount)
      block.attentionOutput(
        ProductInput(workspace.attention, isQuantized: quantizesAttention), into: workspace.projection,
        context)
      context.inspect(workspace.projection, at: .attention(layer: index))
      block.attentionNorm(
        workspace.projection, residual: hidden, into: hidden, quantizes: block.up.isQuantized, context)
      context.inspect(hidden, at: .attention(layer: index))
      context.begin(.feedForward, reading: block.up.byteCount + block.down.byteCount)
      block.up(
        ProductInput(hidden, isQuantized: block.up.isQuantized), activation: .gelu, then: block.down,
        through: workspace.intermediate, into: workspace.projection, context)
      context.inspect(workspace.projection, at: .feedForward(layer: index))
      block.outputNorm(
        workspace.projection, residual: hidden, into: hidden, quantizes: quantizes[index + 1], context)
      context.inspect(hidden, at: .feedForward(layer: index))
    }
    // The last block may have been given up half-way.
    try cancellation.check()
    return hidden
  }

  /// Token + type + position, before the norm.
  private func embed(
    _ tokens: [Int32], offsets: [Int], typeIDs: [Int32]?, into hidden: Matrix, _ context: ComputeContext
  ) {
    precondition(typeIDs == nil || typeIDs?.count == tokens.count)
    let kernels = context.kernels
    var positions = [Int](repeating: 0, count: tokens.count)
    for (start, end) in zip(offsets, offsets.dropFirst()) {
      precondition(end - start <= maximumLength)
      for token in start..<end { positions[token] = token - start }
    }
    let rowsPerTask = 32
    let size = hiddenSize
    context.parallel(
      tasks: (tokens.count + rowsPerTask - 1) / rowsPerTask, scratchCount: size
    ) { task, _, scratch in
      let first = task * rowsPerTask
      for index in first..<min(first + rowsPerTask, tokens.count) {
        let row = hidden.row(index)
        tokenEmbeddings.copyRow(Int(tokens[index]), to: row)
        let type = typeIDs.map { Int($0[index]) } ?? 0
        typeEmbeddings.withUnsafeBufferPointer { types in
          if let base = types.baseAddress { kernels.addInPlace(size, base + type * size, row) }
        }
        positionEmbeddings.copyRow(positions[index], to: scratch)
        kernels.addInPlace(size, scratch, row)
      }
    }
  }
}

/// The activations of an encoder run, reused from batch to batch.
package struct EncoderWorkspace: Sendable {
  private let hiddenSize: Int
  private let intermediateSize: Int
  fileprivate private(set) var hidden: Matrix
  fileprivate private(set) var queryKeyValue: Matrix
  fileprivate private(set) var attention: Matrix
  fileprivate private(set) var projection: Matrix
  fileprivate private(set) var intermediate: Matrix

  /// Creates a workspace for an encoder, without room for tokens yet.
  package init(for encoder: Encoder) {
    hiddenSize = encoder.hiddenSize
    intermediateSize = encoder.blocks.map(\.up.outputs).max() ?? 0
    hidden = Matrix(rows: 0, columns: hiddenSize)
    queryKeyValue = Matrix(rows: 0, columns: 3 * hiddenSize)
    attention = hidden
    projection = hidden
    intermediate = Matrix(rows: 0, columns: intermediateSize)
  }

  /// Makes room for `rows` tokens, and uses just those.
  ///
  /// - Throws: `ComputeError.outOfMemory`.
  fileprivate mutating func reserve(rows: Int) throws(ComputeError) {
    if hidden.capacity < rows {
      // Rounded up, so that batches of about the same size don't allocate each time.
      let capacity = (rows + 255) & ~255
      let matrices = [hidden, queryKeyValue, attention, projection, intermediate]
      try FloatBuffer.expectMemory(bytes: matrices.reduce(0) { $0 + $1.byteCount(rows: capacity) })
      hidden = Matrix(rows: capacity, columns: hiddenSize)
      queryKeyValue = Matrix(rows: capacity, columns: 3 * hiddenSize)
      attention = Matrix(rows: capacity, columns: hiddenSize)
      projection = Matrix(rows: capacity, columns: hiddenSize)
      intermediate = Matrix(rows: capacity, columns: intermediateSize)
    }
    hidden.setRows(rows)
    queryKeyValue.setRows(rows)
    attention.setRows(rows)
    projection.setRows(rows)
    intermediate.setRows(rows)
  }
}
