import SalanganeKernels

extension ComputeContext {
  /// Softmax attention of every token over all tokens of its sequence, for sequences packed one after the
  /// other without padding.
  ///
  /// The score matrix never exists whole: blocks of 32 queries meet chunks of 96 keys, with a running
  /// maximum and sum (FlashAttention; Dao et al., 2022). Chunks start at the sequence's first key, so a
  /// sequence's result depends on nothing but the sequence.
  ///
  /// Once the context's request is cancelled, it ends with the queries it is at, and `out` is to be thrown away.
  ///
  /// - Parameters:
  ///   - qkv: `[tokens, 3 * heads * headDimension]`: all query heads, then keys, then values.
  ///   - offsets: Where each sequence starts, and the end of the last: `sequences + 1` numbers.
  ///   - heads: Attention heads.
  ///   - headDimension: Features of a head.
  ///   - scale: What scores are multiplied by, normally `headDimension^-0.5`.
  ///   - out: `[tokens, heads * headDimension]`.
  ///   - quantizes: Whether the result is only quantised, for the products that follow, instead of written to `out`;
  ///     for heads of a multiple of 32 features.
  package func bidirectionalAttention(
    qkv: Matrix, offsets: [Int], heads: Int, headDimension: Int, scale: Float, into out: Matrix,
    quantizes: Bool = false
  ) {
    let hidden = heads * headDimension
    precondition(!quantizes || headDimension % 32 == 0)
    precondition(qkv.columns == 3 * hidden && out.columns == hidden && offsets.last == qkv.rows)
    let longest = zip(offsets, offsets.dropFirst()).map { $1 - $0 }.max() ?? 0
    let layout = AttentionScratch(longest: longest, headDimension: headDimension)
    let kernels = kernels
    let cancellation = cancellation
    let sequences = offsets.count - 1
    let codes = quantizes ? beginQuantizing(rows: out.rows, columns: hidden) : nil
    offsets.withUnsafeBufferPointer { offsets in
      nonisolated(unsafe) let offsets = offsets
      parallel(tasks: sequences * heads, scratchCount: layout.count, isAbandoned: true) { task, _, scratch in
        let sequence = task / heads
        let head = task % heads
        let first = offsets[sequence]
        let attention = HeadAttention(
          kernels: kernels, layout: layout, scratch: scratch, length: offsets[sequence + 1] - first,
          scale: scale, stride: qkv.stride,
          query: qkv.row(first) + head * headDimension,
          key: qkv.row(first) + hidden + head * headDimension,
          value: qkv.row(first) + 2 * hidden + head * headDimension,
          out: out.row(first) + head * headDimension, outStride: out.stride, codes: codes, firstRow: first,
          columns: head * headDimension..<(head + 1) * headDimension, cancellation: cancellation)
        attention.run()
      }
    }
  }
}

/// Where a task's temporary values lie in its worker's scratch, in floats.
private struct AttentionScratch {
  static let queryBlock = 32
  static let keyChunk = 96

  let headDimension: Int
  let paddedDimension: Int
  let keys: Int
  let values: Int
  let queries: Int
  let scores: Int
  let output: Int
  let running: Int
  let count: Int

  init(longest: Int, headDimension: Int) {
    self.headDimension = headDimension
    paddedDimension = (headDimension + 15) & ~15
    let width = KernelTable.packedRows
    keys = 0
    values = keys + (((longest + width - 1) / width * width * headDimension + 15) & ~15)
    queries = values + longest * paddedDimension
    scores = queries + Self.queryBlock * headDimension
    output = scores + Self.keyChunk * Self.queryBlock
    running = output + Self.queryBlock * paddedDimension
    count = running + 3 * Self.queryBlock
  }
}

/// One head of one sequence.
private struct HeadAttention {
  let kernels: KernelTable
  let layout: AttentionScratch
  let scratch: UnsafeMutablePointer<Float>
  let length: Int
  let scale: Float
  let stride: Int
  let query: UnsafePointer<Float>
  let key: UnsafePointer<Float>
  let value: UnsafePointer<Float>
  let out: UnsafeMutablePointer<Float>
  let outStride: Int
  /// Where the result is quantised to instead of `out`.
  let codes: QuantizedRows?
  /// The sequence's first row, and the head's features, in `codes`.
  let firstRow: Int
  let columns: Range<Int>
  let cancellation: Cancellation?

  func run() {
    packKeysAndValues()
    var block = 0
    while block < length {
      if let cancellation, cancellation.isCancelled { return }
      attend(from: block, count: min(AttentionScratch.queryBlock, length - block))
      block += AttentionScratch.queryBlock
    }
  }

  /// Keys go into packed panels, as the left operand of the scores; values into rows of whole vectors, as
  /// the right operand of the output.
  private func packKeysAndValues() {
    let width = KernelTable.packedRows
    let dimension = layout.headDimension
    var row = 0
    while row < length {
      kernels.packRows(
        min(width, length - row), width, dimension, key + row * stride, stride,
        scratch + layout.keys + row * dimension)
      row += width
    }
    let values = scratch + layout.values
    for row in 0..<length {
      let line = values + row * layout.paddedDimension
      line.update(from: value + row * stride, count: dimension)
      for column in dimension..<layout.paddedDimension { line[column] = 0 }
    }
  }

  private func attend(from firstQuery: Int, count: Int) {
    let dimension = layout.headDimension
    let padded = layout.paddedDimension
    // A short block takes one panel of 16 queries; lanes don't see each other, so the result is the same.
    let panels = count <= 16 ? 1 : 2
    let lanes = panels * 16
    let queries = scratch + layout.queries
    let scores = scratch + layout.scores
    let output = scratch + layout.output
    let maximum = scratch + layout.running
    let total = maximum + AttentionScratch.queryBlock
    let correction = total + AttentionScratch.queryBlock
    kernels.packRows(count, lanes, dimension, query + firstQuery * stride, stride, queries)
    for lane in 0..<lanes {
      maximum[lane] = -.infinity
      total[lane] = 0
    }
    var chunk = 0
    while chunk < length {
      let keys = min(AttentionScratch.keyChunk, length - chunk)
      scoreChunk(at: chunk, keys: keys, panels: panels)
      kernels.softmaxChunk(keys, panels, scores, scale, maximum, total, correction)
      if chunk > 0 { kernels.scaleRows(count, padded, correction, output, padded, output, padded) }
      var row = 0
      while row < count {
        kernels.matmulPanels(
          min(KernelTable.packedRows, count - row), padded / 16, keys, scores + row, lanes,
          scratch + layout.values + chunk * padded, padded, 16,
          output + row * padded, padded, chunk > 0 ? UnsafePointer(output + row * padded) : nil, padded)
        row += KernelTable.packedRows
      }
      chunk += keys
    }
    for row in 0..<count { correction[row] = 1 / total[row] }
    guard let codes else {
      return kernels.scaleRows(
        count, dimension, correction, output, padded, out + firstQuery * outStride, outStride)
    }
    kernels.scaleRows(count, dimension, correction, output, padded, output, padded)
    let first = firstRow + firstQuery
    codes.fill(first..<first + count, columns: columns, output, stride: padded, kernels)
  }

  /// Scores with the keys as rows and the queries in the lanes.
  private func scoreChunk(at chunk: Int, keys: Int, panels: Int) {
    let width = KernelTable.packedRows
    let lanes = panels * 16
    let scores = scratch + layout.scores
    var row = 0
    while row < keys {
      kernels.matmulPanels(
        min(width, keys - row), panels, layout.headDimension,
        scratch + layout.keys + (chunk + row) * layout.headDimension, width,
        scratch + layout.queries, lanes, 16, scores + row * lanes, lanes, nil, 0)
      row += width
    }
  }
}
