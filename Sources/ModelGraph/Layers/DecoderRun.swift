import SalanganeTensors

/// Why a decoder refuses an input, or its output.
package enum DecoderError: Error, Equatable {
  /// There are no tokens.
  case noTokens
  /// A token id that isn't in the vocabulary.
  case invalidToken(id: Int, index: Int, vocabularySize: Int)
  /// The model gives numbers that aren't finite.
  case notFinite
}

extension Decoder {
  /// Rows that prompts are cut into: bounds the memory for activations.
  package static let promptChunk = 512
  /// The most rows of one product with the head, whose output is the widest of all.
  package static let logitRows = 32

  /// Checks that there are tokens, and that the vocabulary has them.
  ///
  /// - Throws: `DecoderError`.
  package func validate(_ tokens: [Int32]) throws(DecoderError) {
    guard !tokens.isEmpty else { throw .noTokens }
    guard let index = tokens.firstIndex(where: { $0 < 0 || Int($0) >= vocabularySize }) else { return }
    throw .invalidToken(id: Int(tokens[index]), index: index, vocabularySize: vocabularySize)
  }

  /// Runs tokens behind those that the cache holds, in chunks, and adds them to it.
  ///
  /// However the tokens are cut into chunks or calls, the results have the same bits. When it throws, the cache holds
  /// the chunks that were finished.
  ///
  /// - Parameters:
  ///   - tokens: Valid token ids, at least one.
  ///   - cache: The sequence's keys and values.
  ///   - chunk: The most rows that run together.
  ///   - workspace: Memory for the activations.
  ///   - layerInputs: Sees the hidden states before every block.
  ///   - body: Called after each chunk with the index of its first token and its hidden states before the last
  ///     norm, `[rows, hidden]`, which are gone with the next chunk.
  /// - Throws: `DecoderError`, `KVCacheError`, `CancellationError`, or what `body` throws.
  package func run(
    _ tokens: [Int32], cache: KVCache, chunk: Int = Decoder.promptChunk,
    workspace: inout DecoderWorkspace, context: ComputeContext, cancellation: Cancellation,
    layerInputs: ((Int, Matrix) -> Void)? = nil,
    body: (_ first: Int, _ hidden: Matrix, _ workspace: inout DecoderWorkspace) throws -> Void
  ) throws {
    precondition(chunk > 0 && !cache.isTransient)
    try validate(tokens)
    // All or nothing: a prompt that doesn't fit isn't begun.
    let end = cache.count + tokens.count
    guard end <= cache.capacity else {
      throw KVCacheError.contextExceeded(positions: end, capacity: cache.capacity)
    }
    try tokens.withUnsafeBufferPointer { tokens in
      var first = 0
      while first < tokens.count {
        let count = min(chunk, tokens.count - first)
        let hidden = try step(
          UnsafeBufferPointer(rebasing: tokens[first..<first + count]), cache: cache,
          workspace: &workspace, context: context, cancellation: cancellation, layerInputs: layerInputs)
        try body(first, hidden, &workspace)
        first += count
      }
    }
  }

  /// One chunk.
  private func step(
    _ tokens: UnsafeBufferPointer<Int32>, cache: KVCache,
    workspace: inout DecoderWorkspace, context: ComputeContext, cancellation: Cancellation,
    layerInputs: ((Int, Matrix) -> Void)? = nil
  ) throws -> Matrix {
    let span = SequenceSpan(cache: cache, firstRow: 0, count: tokens.count, start: cache.count)
    let hidden = try withUnsafePointer(to: span) { span in
      try hiddenStates(
        tokens, spans: UnsafeBufferPointer(start: span, count: 1), workspace: &workspace, context: context,
        cancellation: cancellation, layerInputs: layerInputs)
    }
    cache.advance(by: tokens.count)
    return hidden
  }

  /// Runs a prompt behind what the cache holds, or its last part.
  ///
  /// - Returns: The last token's hidden state after the last norm, `[1, hidden]`, in the workspace's memory.
  /// - Throws: `DecoderError`, `KVCacheError` or `CancellationError`.
  package func prefill(
    _ tokens: [Int32], cache: KVCache, workspace: inout DecoderWorkspace,
    context: ComputeContext, cancellation: Cancellation
  ) throws -> Matrix {
    var last: Matrix?
    try run(
      tokens, cache: cache, workspace: &workspace, context: context,
      cancellation: cancellation
    ) { first, hidden, workspace in
      if first + hidden.rows == tokens.count {
        last = normalized(hidden, rows: hidden.rows - 1..<hidden.rows, &workspace, context)
      }
    }
    guard let last else { throw DecoderError.noTokens }
    return last
  }

  /// Some rows after the last norm, in the workspace's memory.
  ///
  /// - Parameter hidden: The hidden states that `run` gave.
  package func normalized(
    _ hidden: Matrix, rows: Range<Int>, _ workspace: inout DecoderWorkspace, _ context: ComputeContext
  ) -> Matrix {
    var out = workspace.normed
    out.setRows(rows.count)
    outputNorm(hidden.rows(rows), into: out, context)
    return out
  }

  /// The logits of normalised hidden states, `[rows, vocabularySize]`, in the workspace's memory.
  ///
  /// - Parameters:
  ///   - hidden: At most `logitRows` rows.
  ///   - isRefined: Whether activations that meet a quantised head have 16 bits rather than 8. Its rounding shows in
  ///     every logit, which matters to those who look at logits; a generated token would take a tenth longer.
  package func logits(
    _ hidden: Matrix, isRefined: Bool = false, _ workspace: inout DecoderWorkspace, _ context: ComputeContext
  ) -> Matrix {
    precondition(hidden.rows <= Self.logitRows)
    guard let head else { preconditionFailure("the decoder was loaded without its head") }
    context.begin(.head, reading: head.byteCount)
    let rows = isRefined ? 2 * hidden.rows : hidden.rows
    if workspace.logits.capacity < rows {
      workspace.logits = Matrix(rows: rows, columns: vocabularySize)
    }
    workspace.logits.setRows(rows)
    guard isRefined else {
      head(hidden, into: workspace.logits, context)
      return workspace.logits
    }
    if workspace.doubled.capacity < rows { workspace.doubled = Matrix(rows: rows, columns: hiddenSize) }
    workspace.doubled.setRows(rows)
    head.refined(hidden, doubled: workspace.doubled, into: workspace.logits, context)
    workspace.logits.setRows(hidden.rows)
    return workspace.logits
  }

  /// The logits of every token of a prompt, or of a part of it, some rows at a time.
  ///
  /// - Parameters:
  ///   - tokens: Valid token ids, at least one.
  ///   - cache: The sequence's keys and values.
  ///   - chunk: The most rows that run together.
  ///   - workspace: Memory for the activations.
  ///   - body: Called with the index of the first token of some rows, and `[rows, vocabularySize]`.
  /// - Throws: `DecoderError`, `KVCacheError`, `CancellationError`, or what `body` throws.
  package func allLogits(
    _ tokens: [Int32], cache: KVCache, chunk: Int = Decoder.promptChunk,
    workspace: inout DecoderWorkspace, context: ComputeContext, cancellation: Cancellation,
    body: (_ first: Int, _ logits: Matrix) throws -> Void
  ) throws {
    try run(
      tokens, cache: cache, chunk: chunk, workspace: &workspace, context: context,
      cancellation: cancellation
    ) { first, hidden, workspace in
      var row = 0
      while row < hidden.rows {
        try cancellation.check()
        let rows = row..<min(row + Self.logitRows, hidden.rows)
        let normed = normalized(hidden, rows: rows, &workspace, context)
        let logits = logits(normed, &workspace, context)
        try cancellation.check()
        try body(first + row, logits)
        row = rows.upperBound
      }
    }
  }

  /// The hidden states of whole sequences after the last norm, for embeddings: nothing is kept of them.
  ///
  /// The sequences run together, so that short ones share the reading of the weights; layer by layer, in panels
  /// of rows. So memory for long ones is that of the residual stream and of one layer's keys and values, a good
  /// deal less than a cache of all layers. Results have the same bits for any `panel`.
  ///
  /// - Parameters:
  ///   - tokens: The token ids of all sequences, one sequence after the other.
  ///   - offsets: Where each sequence starts, and the end of the last: `sequences + 1` numbers.
  ///   - panel: The most rows that run together.
  ///   - layerInputs: Sees the hidden states before every block.
  /// - Returns: `[tokens, hidden]`, in the workspace's memory.
  /// - Throws: `DecoderError`; `KVCacheError` for a sequence longer than the context; `CancellationError`.
  package func hiddenStates(
    tokens: [Int32], offsets: [Int], panel: Int = Decoder.promptChunk, workspace: inout DecoderWorkspace,
    context: ComputeContext, cancellation: Cancellation, layerInputs: ((Int, Matrix) -> Void)? = nil
  ) throws -> Matrix {
    precondition(panel > 0)
    precondition(offsets.first == 0 && offsets.last == tokens.count)
    try validate(tokens)
    let caches = workspace.transientCaches
    var spans: [SequenceSpan] = []
    spans.reserveCapacity(offsets.count - 1)
    var used = 0
    for (start, end) in zip(offsets, offsets.dropFirst()) where end > start {
      if caches.value.count == used { caches.value.append(makeCache(isTransient: true)) }
      spans.append(
        SequenceSpan(cache: caches.value[used], firstRow: start, count: end - start, start: 0))
      used += 1
    }
    let hidden = try tokens.withUnsafeBufferPointer { tokens in
      try spans.withUnsafeBufferPointer { spans in
        try hiddenStates(
          tokens, spans: spans, panel: panel, workspace: &workspace, context: context,
          cancellation: cancellation, layerInputs: layerInputs)
      }
    }
    outputNorm(hidden, into: hidden, context)
    return hidden
  }
}
