import SalanganeFiles
import SalanganeKernels
import SalanganeModelGraph
import SalanganeTensors
import SalanganeTokenizers

/// A sequence of tokens to be run whole.
struct TokenSequence: Sendable {
  /// Token ids.
  var ids: [Int32]
  /// The token type of each; nil for 0.
  var typeIDs: [Int32]?
}

/// Runs whole token sequences through a model in batches and hands on their hidden states: what embedders
/// and rerankers share.
final class SequenceRunner: Sendable {
  /// Features of a hidden state.
  let hiddenSize: Int
  /// The most tokens of a sequence.
  let maximumLength: Int
  /// How many token ids there are.
  let vocabularySize: Int

  private let backbone: Backbone
  private let path: String
  private let kernels: KernelTable
  private let threads: Int
  private let batchTokens: Int
  private let memory = LeaderState<RunMemory?>(nil)

  /// What jobs reuse from one to the next.
  private struct RunMemory {
    let context: ComputeContext
    var workspace: Backbone.Workspace
  }

  /// Loads the model of a checkpoint, and whatever else a caller needs of it.
  ///
  /// - Parameters:
  ///   - path: The model's path.
  ///   - options: How the model is loaded and run.
  ///   - progress: Told the share of the model that is loaded.
  ///   - extras: Reads what else is needed, on a computing thread.
  /// - Throws: What loading throws.
  static func load<Extras: Sendable>(
    path: String, options: ModelOptions, progress: (@Sendable (Double) -> Void)?,
    _ extras: @escaping @Sendable (WeightLoader, any TextTokenizer) throws -> Extras
  ) async throws -> (runner: SequenceRunner, tokenizer: any TextTokenizer, extras: Extras) {
    let kernels = try KernelTable.table(for: options.instructionSet ?? .preferred)
    let threads = try options.validatedThreads()
    let batchTokens = try options.validatedBatchTokens()
    return try await ComputeQueue.shared.run { team, cancellation in
      let checkpoint = try Checkpoint(path: path, options: options.opening)
      try options.checkExpertCount(checkpoint)
      let context = ComputeContext(team: team, threads: threads, kernels: kernels)
      context.cancellation = cancellation
      let loader = WeightLoader(
        checkpoint: checkpoint, context: context, options: options.weights, cancellation: cancellation,
        progress: progress)
      let tokenizer = try TokenizerLoader.load(checkpoint)
      try cancellation.check()
      let extras = try extras(loader, tokenizer)
      let backbone = try Backbone(loader)
      try tokenizer.check(vocabularySize: backbone.vocabularySize, path: path)
      let runner = SequenceRunner(
        backbone, path: path, kernels: kernels, threads: threads, batchTokens: batchTokens)
      return (runner, tokenizer, extras)
    }
  }

  private init(
    _ backbone: Backbone, path: String, kernels: KernelTable, threads: Int, batchTokens: Int
  ) {
    self.backbone = backbone
    self.path = path
    self.kernels = kernels
    self.threads = threads
    self.batchTokens = min(batchTokens, backbone.mostBatchTokens(threads: threads))
    hiddenSize = backbone.hiddenSize
    maximumLength = backbone.maximumLength
    vocabularySize = backbone.vocabularySize
  }

  /// Checks that every sequence can be run.
  ///
  /// - Throws: `EmbeddingError` for a sequence that is empty or too long, or a token that there isn't.
  func validate(_ sequences: [TokenSequence]) throws(EmbeddingError) {
    for (index, sequence) in sequences.enumerated() {
      guard (1...maximumLength).contains(sequence.ids.count) else {
        throw .invalidLength(count: sequence.ids.count, text: index, maximum: maximumLength)
      }
      for id in sequence.ids where id < 0 || Int(id) >= vocabularySize {
        throw .invalidToken(id: Int(id), text: index, vocabularySize: vocabularySize)
      }
      for type in sequence.typeIDs ?? [] where type < 0 || Int(type) >= backbone.tokenTypes {
        throw .invalidOption(
          name: "token type", expectation: "a type from 0 to \(backbone.tokenTypes - 1), found \(type)")
      }
    }
  }

  /// Runs sequences, as many at a time as the token budget allows, at least one.
  ///
  /// - Parameters:
  ///   - sequences: Valid sequences.
  ///   - progress: Told how many are done, after each batch.
  ///   - pooling: How the hidden states of a sequence become one vector.
  ///   - valuesPerSequence: How many floats `reduce` makes of a sequence.
  ///   - reduce: Makes `valuesPerSequence` floats of each vector of `[sequences, hiddenSize]`; called on a
  ///     computing thread.
  /// - Returns: `[sequences, valuesPerSequence]`, row-major.
  /// - Throws: `EmbeddingError.notFinite` for results that aren't finite; `CancellationError`.
  func run(
    _ sequences: [TokenSequence], _ pooling: Pooling, valuesPerSequence: Int,
    progress: (@Sendable (Int) -> Void)? = nil,
    _ reduce: @escaping @Sendable (Matrix, ComputeContext) -> [Float]
  ) async throws -> [Float] {
    var values: [Float] = []
    values.reserveCapacity(sequences.count * valuesPerSequence)
    var first = 0
    while first < sequences.count {
      var end = first
      var tokens = 0
      while end < sequences.count, end == first || tokens + sequences[end].ids.count <= batchTokens {
        tokens += sequences[end].ids.count
        end += 1
      }
      let batch = sequences[first..<end]
      let results = try await ComputeQueue.shared.run { team, cancellation in
        try self.runBatch(batch, pooling, team, cancellation, reduce)
      }
      if let wrong = results.firstIndex(where: { !$0.isFinite }) {
        let text = first + wrong / valuesPerSequence
        throw EmbeddingError.notFinite(text: text, fault: try await fault(in: sequences[text], pooling))
      }
      values.append(contentsOf: results)
      first = end
      progress?(end)
    }
    return values
  }

  /// Runs a sequence once more to find out where its numbers stop being finite.
  private func fault(in sequence: TokenSequence, _ pooling: Pooling) async throws -> NumericFault {
    try await ComputeQueue.shared.run { [path] team, cancellation in
      let finder = FaultFinder()
      _ = try self.runBatch([sequence], pooling, team, cancellation, faultFinder: finder) { _, _ in [] }
      return try NumericFault(finder.place ?? .output, inModelAt: path, cancellation)
    }
  }

  private func runBatch(
    _ batch: ArraySlice<TokenSequence>, _ pooling: Pooling, _ team: ThreadTeam, _ cancellation: Cancellation,
    faultFinder: FaultFinder? = nil, _ reduce: (Matrix, ComputeContext) -> [Float]
  ) throws -> [Float] {
    var memory =
      memory.value
      ?? RunMemory(
        context: ComputeContext(team: team, threads: threads, kernels: kernels),
        workspace: backbone.makeWorkspace())
    self.memory.value = nil
    memory.context.cancellation = cancellation
    memory.context.faultFinder = faultFinder
    defer { self.memory.value = memory }
    var offsets = [0]
    offsets.reserveCapacity(batch.count + 1)
    var tokens: [Int32] = []
    for sequence in batch {
      tokens.append(contentsOf: sequence.ids)
      offsets.append(tokens.count)
    }
    var types: [Int32]?
    if batch.contains(where: { $0.typeIDs != nil }) {
      types = batch.flatMap { $0.typeIDs ?? [Int32](repeating: 0, count: $0.ids.count) }
    }
    let hidden = try backbone.hiddenStates(
      tokens: tokens, offsets: offsets, typeIDs: types, workspace: &memory.workspace,
      context: memory.context, cancellation: cancellation)
    defer { memory.context.endOperation() }
    memory.context.begin(.pooling)
    return reduce(memory.context.pool(hidden, offsets: offsets, pooling), memory.context)
  }
}

/// The part of a model that turns tokens into hidden states.
private enum Backbone: Sendable {
  /// Every token sees all others.
  case encoder(Encoder)
  /// Every token sees those before it.
  case decoder(Decoder)

  enum Workspace {
    case encoder(EncoderWorkspace)
    case decoder(DecoderWorkspace)
  }

  /// Loads what the checkpoint's architecture asks for; of a decoder, without the output head.
  init(_ loader: WeightLoader) throws {
    switch try ArchitectureRegistry.architecture(for: loader.checkpoint) {
    case .encoder(let architecture): self = .encoder(try architecture.loadEncoder(loader))
    case .decoder(let architecture): self = .decoder(try architecture.loadDecoder(loader, loadsHead: false))
    }
  }

  var hiddenSize: Int {
    switch self {
    case .encoder(let encoder): encoder.hiddenSize
    case .decoder(let decoder): decoder.hiddenSize
    }
  }

  var maximumLength: Int {
    switch self {
    case .encoder(let encoder): encoder.maximumLength
    case .decoder(let decoder): decoder.contextLength
    }
  }

  var vocabularySize: Int {
    switch self {
    case .encoder(let encoder): encoder.vocabularySize
    case .decoder(let decoder): decoder.vocabularySize
    }
  }

  /// How many tokens it pays to run together: beyond that, one step's results leave the caches before the next step
  /// reads them. A decoder's weights are mostly greater than the caches, and read once for each batch.
  func mostBatchTokens(threads: Int) -> Int {
    switch self {
    case .encoder: 256 * threads
    case .decoder: .max
    }
  }

  var tokenTypes: Int {
    switch self {
    case .encoder(let encoder): encoder.tokenTypes
    // A decoder has one type of tokens: ids of others are refused.
    case .decoder: 1
    }
  }

  func makeWorkspace() -> Workspace {
    switch self {
    case .encoder(let encoder): .encoder(EncoderWorkspace(for: encoder))
    case .decoder(let decoder): .decoder(DecoderWorkspace(for: decoder))
    }
  }

  func hiddenStates(
    tokens: [Int32], offsets: [Int], typeIDs: [Int32]?, workspace: inout Workspace,
    context: ComputeContext, cancellation: Cancellation
  ) throws -> Matrix {
    switch (self, workspace) {
    case (.encoder(let encoder), .encoder(var memory)):
      defer { workspace = .encoder(memory) }
      return try encoder.hiddenStates(
        tokens: tokens, offsets: offsets, typeIDs: typeIDs, workspace: &memory, context: context,
        cancellation: cancellation)
    case (.decoder(let decoder), .decoder(var memory)):
      defer { workspace = .decoder(memory) }
      return try decoder.hiddenStates(
        tokens: tokens, offsets: offsets, workspace: &memory, context: context, cancellation: cancellation)
    case (.encoder, .decoder), (.decoder, .encoder):
      preconditionFailure("a workspace is made by its own backbone")
    }
  }
}

extension TextTokenizer {
  /// Checks that a model has a row for every token.
  func check(vocabularySize rows: Int, path: String) throws(ModelFileError) {
    guard vocabularySize <= rows else {
      throw ModelFileError(
        .malformed, file: path, subject: "tokenizer",
        expectation: "expected at most the model's \(rows) tokens, found \(vocabularySize)")
    }
  }
}

extension TokenizerLoader {
  /// Loads the tokenizer that comes with a checkpoint.
  static func load(_ checkpoint: Checkpoint) throws(ModelFileError) -> any TextTokenizer {
    if let file = checkpoint.gguf { return try load(file.metadata) }
    guard let directory = checkpoint.directory else { return try load(path: checkpoint.path) }
    return try load(directory)
  }
}
