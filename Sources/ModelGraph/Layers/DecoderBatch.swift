import SalanganeTensors

/// Rows of several sequences that run together: the token of each that was chosen last, or a part of its prompt.
///
/// It keeps its memory from run to run: once it has held as many rows, filling it allocates nothing.
package struct DecoderBatch {
  fileprivate private(set) var tokens: [Int32] = []
  fileprivate private(set) var spans: [SequenceSpan] = []
  fileprivate private(set) var outputs: [Int] = []

  /// Creates an empty batch.
  package init() {}

  /// How many rows there are.
  package var rows: Int { tokens.count }
  /// How many sequences want the output of their last row.
  package var outputCount: Int { outputs.count }

  /// Forgets all rows, and lets go of their caches.
  package mutating func removeAll() {
    tokens.removeAll(keepingCapacity: true)
    spans.removeAll(keepingCapacity: true)
    outputs.removeAll(keepingCapacity: true)
  }

  /// Adds tokens of a sequence.
  ///
  /// - Parameters:
  ///   - part: Valid token ids, at least one.
  ///   - cache: The sequence's keys and values, with room for them; no other rows of the batch are of this sequence.
  ///   - wantsOutput: Whether the last of them is followed by a choice.
  package mutating func append(
    _ part: some RandomAccessCollection<Int32>, cache: KVCache, wantsOutput: Bool = true
  ) {
    spans.append(
      SequenceSpan(cache: cache, firstRow: tokens.count, count: part.count, start: cache.count))
    tokens.append(contentsOf: part)
    if wantsOutput { outputs.append(tokens.count - 1) }
  }

  /// Adds a token of a sequence that was generated.
  package mutating func append(_ token: Int32, cache: KVCache) {
    append(CollectionOfOne(token), cache: cache)
  }
}

extension Decoder {
  /// Runs the rows of a batch, and adds them to the caches.
  ///
  /// Each row's result has the bits that it has alone. Nothing is allocated once the workspace and the caches have
  /// room. When it throws, the caches are as they were.
  ///
  /// - Returns: The hidden states of the rows whose output is wanted after the last norm, `[outputCount, hidden]`, in
  ///   the workspace's memory.
  /// - Throws: `KVCacheError` or `CancellationError`.
  package func run(
    _ batch: DecoderBatch, workspace: inout DecoderWorkspace, context: ComputeContext,
    cancellation: Cancellation
  ) throws -> Matrix {
    let hidden = try batch.tokens.withUnsafeBufferPointer { tokens in
      try batch.spans.withUnsafeBufferPointer { spans in
        try hiddenStates(
          tokens, spans: spans, workspace: &workspace, context: context, cancellation: cancellation,
          layerInputs: nil)
      }
    }
    for span in batch.spans { span.cache.advance(by: span.count) }
    var out = workspace.normed
    out.setRows(batch.outputCount)
    // Rows that follow each other are normalised together: those of generated tokens come first.
    var first = 0
    while first < batch.outputCount {
      var end = first + 1
      while end < batch.outputCount, batch.outputs[end] == batch.outputs[end - 1] + 1 { end += 1 }
      let rows = batch.outputs[first]..<batch.outputs[end - 1] + 1
      outputNorm(hidden.rows(rows), into: out.rows(first..<end), context)
      first = end
    }
    return out
  }
}
