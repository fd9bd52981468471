import SalanganeFiles
import SalanganeKernels
import SalanganeModelGraph
import SalanganeTensors

/// A loaded decoder with threads and memory of its own, for tests.
final class DecoderSession {
  let decoder: Decoder
  private let context: ComputeContext
  private let team: ThreadTeam
  private var workspace: DecoderWorkspace
  private let cancellation = Cancellation()

  init(
    path: String, _ set: InstructionSet? = nil, threads: Int = 2, loadsHead: Bool = true,
    backend: MatmulBackend = .native, precision: WeightPrecision = .stored, packs: Bool = true,
    usedExperts: Int? = nil
  ) throws {
    team = ThreadTeam()
    context = ComputeContext(
      team: team, threads: threads, kernels: try KernelTable.table(for: set ?? .preferred))
    let checkpoint = try Checkpoint(path: path)
    let loader = WeightLoader(
      checkpoint: checkpoint, context: context,
      options: WeightOptions(
        backend: backend, precision: precision, packs: packs, usedExperts: usedExperts),
      cancellation: cancellation, progress: nil)
    decoder = try ArchitectureRegistry.decoder(for: checkpoint).loadDecoder(loader, loadsHead: loadsHead)
    workspace = DecoderWorkspace(for: decoder)
  }

  deinit { team.stop() }

  private static func values(_ matrix: Matrix) -> [Float] {
    (0..<matrix.rows).flatMap { Array(UnsafeBufferPointer(start: matrix.row($0), count: matrix.columns)) }
  }

  /// All logits, `[tokens, vocabularySize]`.
  func logits(
    _ tokens: [Int32], chunk: Int = 512, cache: KVCache.ElementType = .f32
  ) throws -> [Float] {
    let cache = decoder.makeCache(cache)
    return try logits(tokens, chunk: chunk, after: cache)
  }

  /// All logits of tokens behind those in a cache.
  func logits(
    _ tokens: [Int32], chunk: Int = 512, after cache: KVCache,
    cancellation: Cancellation = Cancellation()
  ) throws -> [Float] {
    var all: [Float] = []
    try decoder.allLogits(
      tokens, cache: cache, chunk: chunk, workspace: &workspace, context: context,
      cancellation: cancellation
    ) { first, logits in
      precondition(first * decoder.vocabularySize == all.count)
      guard context.isFinite(logits) else { throw DecoderError.notFinite }
      all += Self.values(logits)
    }
    return all
  }

  /// The most likely tokens after a prompt, one after the other.
  func greedy(_ prompt: [Int32], count: Int, cache: KVCache.ElementType = .f32) throws -> [Int32] {
    let cache = decoder.makeCache(cache)
    var hidden = try decoder.prefill(
      prompt, cache: cache, workspace: &workspace, context: context, cancellation: cancellation)
    var tokens: [Int32] = []
    var batch = DecoderBatch()
    while true {
      let logits = Self.values(decoder.logits(hidden, &workspace, context))
      let best = Int32(logits.indices.max { logits[$0] < logits[$1] } ?? 0)
      tokens.append(best)
      if tokens.count == count { return tokens }
      try cache.reserve(cache.count + 1)
      batch.removeAll()
      batch.append(best, cache: cache)
      hidden = try decoder.run(batch, workspace: &workspace, context: context, cancellation: cancellation)
    }
  }

  /// Runs parts of several sequences together.
  ///
  /// - Parameter parts: The tokens of each, and its cache.
  /// - Returns: The logits of each part's last token, `[parts, vocabularySize]`.
  func logits(ofParts parts: [(tokens: ArraySlice<Int32>, cache: KVCache)]) throws -> [Float] {
    var batch = DecoderBatch()
    for part in parts {
      try part.cache.reserve(part.cache.count + part.tokens.count)
      batch.append(part.tokens, cache: part.cache)
    }
    let hidden = try decoder.run(batch, workspace: &workspace, context: context, cancellation: cancellation)
    return Self.values(decoder.logits(hidden, &workspace, context))
  }

  /// Runs a prompt that is cancelled before one of its layers.
  func runCancelled(_ tokens: [Int32], cache: KVCache, beforeLayer layer: Int) throws {
    let cancellation = Cancellation()
    try decoder.run(
      tokens, cache: cache, chunk: 50, workspace: &workspace, context: context, cancellation: cancellation,
      layerInputs: { index, _ in if index + 1 == layer { cancellation.cancel() } },
      body: { _, _, _ in })
  }

  /// The hidden states of whole sequences, and what enters each layer.
  func hiddenStates(_ sequences: [[Int32]]) throws -> (hidden: [Float], layerInputs: [[Float]]) {
    var offsets = [0]
    for sequence in sequences { offsets.append((offsets.last ?? 0) + sequence.count) }
    var inputs: [[Float]] = []
    let hidden = try decoder.hiddenStates(
      tokens: sequences.flatMap { $0 }, offsets: offsets, workspace: &workspace, context: context,
      cancellation: cancellation
    ) { _, matrix in inputs.append(Self.values(matrix)) }
    return (Self.values(hidden), inputs)
  }

  /// A pooled, normalised vector of each sequence, `[sequences, hidden]`.
  func embeddings(
    _ sequences: [[Int32]], _ pooling: Pooling, panel: Int = Decoder.promptChunk
  ) throws -> [Float] {
    var offsets = [0]
    for sequence in sequences { offsets.append((offsets.last ?? 0) + sequence.count) }
    let hidden = try decoder.hiddenStates(
      tokens: sequences.flatMap { $0 }, offsets: offsets, panel: panel, workspace: &workspace,
      context: context, cancellation: cancellation)
    return context.embeddings(
      context.pool(hidden, offsets: offsets, pooling), dimensions: decoder.hiddenSize, normalizes: true)
  }
}

/// The largest difference of two arrays; infinite if their lengths differ.
func greatestDifference(_ x: [Float], _ y: [Float]) -> Float {
  guard x.count == y.count else { return .infinity }
  return zip(x, y).reduce(0) { $1.0.isFinite && $1.1.isFinite ? max($0, abs($1.0 - $1.1)) : .infinity }
}
