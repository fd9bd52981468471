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
  /// However the tokens are cut into chunks or calls, the results have the same bits, if calls for parts of a
  /// prompt name its length. When it throws, the
  /// cache holds the chunks that were finished.
  ///
  /// - Parameters:
  ///   - tokens: Valid token ids, at least one.
  ///   - cache: The sequence's keys and values.
  ///   - prompt: How many tokens the sequence has when the prompt of which these are a part has been read, those in
  ///     the cache included; nil if these are its end.
  ///   - chunk: The most rows that run together.
  ///   - workspace: Memory for the activations.
  ///   - layerInputs: Sees the hidden states before every block.
  ///   - body: Called after each chunk with the index of its first token and its hidden states before the last
  ///     norm, `[rows, hidden]`, which are gone with the next chunk.
  /// - Throws: `DecoderError`, `KVCacheError`, `CancellationError`, or what `body` throws.
  package func run(
    _ tokens: [Int32], cache: KVCache, prompt: Int? = nil, chunk: Int = Decoder.promptChunk,
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
    let expandedEnd = expandedEnd(ofPrompt: prompt ?? end)
    try tokens.withUnsafeBufferPointer { tokens in
      var first = 0
      while first < tokens.count {
        let count = min(chunk, tokens.count - first)
        let hidden = try step(
          UnsafeBufferPointer(rebasing: tokens[first..<first + count]), cache: cache,
          expandedEnd: expandedEnd, workspace: &workspace, context: context, cancellation: cancellation,
          layerInputs: layerInputs)
        try body(first, hidden, &workspace)
        first += count
      }
    }
  }

  /// The positions of a prompt whose latents are expanded are those before this one; 0 if there are no latents.
  ///
  /// - Parameter count: How many tokens the sequence has when the prompt has been read.
  package func expandedEnd(ofPrompt count: Int) -> Int {
    configuration.latent == nil ? 0 : LatentAttention.expandedEnd(ofPrompt: count)
  }

  /// One chunk, whose rows before the position `expandedEnd` expand latents.
  private func step(
    _ tokens: UnsafeBufferPointer<Int32>, cache: KVCache, expandedEnd: Int,
    workspace: inout DecoderWorkspace, context: ComputeContext, cancellation: Cancellation,
    layerInputs: ((Int, Matrix) -> Void)? = nil
  ) throws -> Matrix {
    let span = SequenceSpan(cache: cache, firstRow: 0, count: tokens.count, start: cache.count)
    let hidden = try withExpandedPart(of: span, before: expandedEnd) { spans in
      try hiddenStates(
        tokens, spans: spans, workspace: &workspace, context: context, cancellation: cancellation,
        layerInputs: layerInputs)
    }
    cache.advance(by: tokens.count)
    return hidden
  }

  /// Calls `body` with the rows of a span that expand latents, and those behind them.
  private func withExpandedPart<Result>(
    of span: SequenceSpan, before end: Int, _ body: (UnsafeBufferPointer<SequenceSpan>) throws -> Result
  ) rethrows -> Result {
    let expanded = min(max(end - span.start, 0), span.count)
    // Most have one part only, and cost no allocation.
    if expanded == 0 {
      return try withUnsafePointer(to: span) { try body(UnsafeBufferPointer(start: $0, count: 1)) }
    }
    let first = SequenceSpan(
      cache: span.cache, firstRow: span.firstRow, count: expanded, start: span.start, expandsLatents: true)
    let parts = [first, span.rows(expanded..<span.count)]
    return try parts.prefix(expanded == span.count ? 1 : 2).withUnsafeBufferPointer(body)
  }

  /// Runs a prompt behind what the cache holds, or its last part.
  ///
  /// - Parameter prompt: How many tokens the prompt has, as for `run`.
  /// - Returns: The last token's hidden state after the last norm, `[1, hidden]`, in the workspace's memory.
  /// - Throws: `DecoderError`, `KVCacheError` or `CancellationError`.
  package func prefill(
    _ tokens: [Int32], cache: KVCache, prompt: Int? = nil, workspace: inout DecoderWorkspace,
    context: ComputeContext, cancellation: Cancellation
  ) throws -> Matrix {
    var last: Matrix?
    try run(
      tokens, cache: cache, prompt: prompt, workspace: &workspace, context: context,
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
  /// - Parameter hidden: At most `logitRows` rows.
  package func logits(
    _ hidden: Matrix, _ workspace: inout DecoderWorkspace, _ context: ComputeContext
  ) -> Matrix {
    precondition(hidden.rows <= Self.logitRows)
    guard let head else { preconditionFailure("the decoder was loaded without its head") }
    context.begin(.head, reading: head.byteCount)
    // The head's own rounding would show in every logit; what it costs to halve it is small beside the layers.
    let rows = 2 * hidden.rows
    if workspace.logits.capacity < rows {
      workspace.logits = Matrix(rows: rows, columns: vocabularySize)
      workspace.doubled = Matrix(rows: rows, columns: hiddenSize)
    }
    workspace.logits.setRows(rows)
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
  ///   - prompt: How many tokens the prompt has, as for `run`.
  ///   - chunk: The most rows that run together.
  ///   - workspace: Memory for the activations.
  ///   - body: Called with the index of the first token of some rows, and `[rows, vocabularySize]`.
  /// - Throws: `DecoderError`, `KVCacheError`, `CancellationError`, or what `body` throws.
  package func allLogits(
    _ tokens: [Int32], cache: KVCache, prompt: Int? = nil, chunk: Int = Decoder.promptChunk,
    workspace: inout DecoderWorkspace, context: ComputeContext, cancellation: Cancellation,
    body: (_ first: Int, _ logits: Matrix) throws -> Void
  ) throws {
    try run(
      tokens, cache: cache, prompt: prompt, chunk: chunk, workspace: &workspace, context: context,
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
      let span = SequenceSpan(cache: caches.value[used], firstRow: start, count: end - start, start: 0)
      used += 1
      withExpandedPart(of: span, before: expandedEnd(ofPrompt: end - start)) { spans.append(contentsOf: $0) }
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
