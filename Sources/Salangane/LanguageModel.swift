import SalanganeFiles
import SalanganeKernels
import SalanganeModelGraph
import SalanganeTensors
import SalanganeTokenizers

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// A model that continues text.
///
/// ```swift
/// let model = try await LanguageModel(contentsOf: url)
/// for try await event in model.generate("Swiftlets nest in", options: .init(maximumTokens: 50)) {
///   if case .text(let piece) = event { print(piece.text, terminator: "") }
/// }
/// ```
///
/// A model may be used from many tasks at once: texts that are generated at the same time go through the weights
/// together, a token of each at a time, and each is what it would be alone.
public final class LanguageModel: Sendable {
  /// The model's tokenizer.
  public let tokenizer: any TextTokenizer
  /// The tokens that end a text, as the model's files name them.
  public let endTokens: Set<Int32>

  let engine: DecoderEngine
  /// Brings the generations of all sessions together.
  let scheduler: BatchScheduler

  /// The most tokens of prompt and text together.
  public var contextLength: Int { engine.contextLength }
  /// How the keys and values of earlier tokens are stored.
  public var cacheType: KVCacheType { engine.cacheType }
  /// How much work all generations were so far.
  package var generationWork: GenerationWork { scheduler.work }
  /// How many token ids there are; the columns of logits.
  public var vocabularySize: Int { engine.decoder.vocabularySize }

  /// Loads a model.
  ///
  /// - Parameters:
  ///   - url: A model directory with `config.json`, safetensors and tokenizer files, or a GGUF file.
  ///   - options: How the model is loaded and run.
  ///   - progress: Told the share of the model that is loaded, from 0 to 1, on a computing thread.
  /// - Throws: `ModelFileError` for files that are missing, malformed or of a model that isn't supported;
  ///   `InstructionSetError`; `EmbeddingError.invalidOption` for an option out of range;
  ///   `CancellationError`.
  public init(
    contentsOf url: URL, options: ModelOptions = .init(), progress: (@Sendable (Double) -> Void)? = nil
  ) async throws {
    let path = try url.modelPath()
    let kernels = try KernelTable.table(for: options.instructionSet ?? .preferred)
    let threads = try options.validatedThreads()
    let maximumBatch = try options.validatedMaximumBatch()
    let loaded = try await ComputeQueue.shared.run { team, cancellation in
      let checkpoint = try Checkpoint(path: path, options: options.opening)
      let architecture = try ArchitectureRegistry.decoder(for: checkpoint)
      let tokenizer = try TokenizerLoader.load(checkpoint)
      try cancellation.check()
      try options.checkExpertCount(checkpoint)
      let memory = try ModelMemory(checkpoint, options)
      // What was asked for is refused now rather than when memory runs out.
      if options.contextLength != nil { try memory.check() }
      let context = ComputeContext(team: team, threads: threads, kernels: kernels)
      context.cancellation = cancellation
      let loader = WeightLoader(
        checkpoint: checkpoint, context: context, options: options.weights, cancellation: cancellation,
        progress: progress)
      let decoder = try architecture.loadDecoder(loader, loadsHead: true)
      try tokenizer.check(vocabularySize: decoder.vocabularySize, path: path)
      let endTokens = try EndTokens(checkpoint, tokenizer).ids
      return (
        engine: DecoderEngine(
          decoder, path: path, contextLength: memory.fittingLength, cacheType: memory.cacheType,
          fingerprint: try ModelFingerprint(
            checkpoint, options, usedExperts: decoder.configuration.mixture?.used ?? 0, kernels.instructionSet
          ),
          kernels: kernels, threads: threads),
        tokenizer: tokenizer, endTokens: endTokens
      )
    }
    engine = loaded.engine
    scheduler = BatchScheduler(loaded.engine, maximumBatch: maximumBatch)
    tokenizer = loaded.tokenizer
    endTokens = loaded.endTokens
  }

  // MARK: Generation

  /// Continues a text.
  ///
  /// - Parameters:
  ///   - prompt: The text; the tokens that the model expects at a text's start are added.
  ///   - options: How the text is generated.
  /// - Returns: The events of the generation, which runs as they are asked for.
  public func generate(_ prompt: String, options: GenerationOptions = .init()) -> GenerationStream {
    makeSession().generate(prompt, options: options)
  }

  /// Continues a sequence of tokens, to which nothing is added.
  ///
  /// - Parameters:
  ///   - tokens: Token ids.
  ///   - options: How the text is generated.
  /// - Returns: The events of the generation, which runs as they are asked for.
  public func generate(tokens: [Int32], options: GenerationOptions = .init()) -> GenerationStream {
    makeSession().generate(tokens: tokens, options: options)
  }

  /// A conversation with memory of its own.
  public func makeSession() -> Session { Session(self) }

  /// A conversation with memory of its own, that shares what texts start with.
  ///
  /// - Parameter promptCache: What other sessions have read.
  /// - Throws: `GenerationError.foreignPromptCache` for the cache of another model.
  public func makeSession(promptCache: PromptCache) throws(GenerationError) -> Session {
    guard promptCache.format == engine.promptCacheFormat else { throw .foreignPromptCache }
    return Session(self, promptCache: promptCache)
  }

  // MARK: Logits

  /// The logits at every position of a sequence.
  ///
  /// - Parameter tokens: Token ids, at least one and at most `contextLength`.
  /// - Returns: `[tokens, vocabularySize]`, row-major.
  /// - Throws: `GenerationError` or `CancellationError`.
  public func logits(tokens: [Int32]) async throws -> [Float] {
    let columns = vocabularySize
    var all: [Float] = []
    all.reserveCapacity(tokens.count * columns)
    try await forEachLogits(tokens: tokens) { all.append(contentsOf: $0) }
    return all
  }

  /// Calls a body with the logits of every position, some positions at a time, in order.
  ///
  /// - Parameters:
  ///   - tokens: Token ids, at least one and at most `contextLength`.
  ///   - chunk: How many positions run together; the result doesn't depend on it.
  ///   - body: Takes `[positions, vocabularySize]`, row-major.
  /// - Throws: `GenerationError`, `CancellationError`, or what `body` throws.
  public func forEachLogits(
    tokens: [Int32], chunk: Int = 128, _ body: ([Float]) throws -> Void
  ) async throws {
    guard !tokens.isEmpty else { throw GenerationError.emptyPrompt }
    guard chunk > 0 else {
      throw GenerationError.invalidOption(name: "chunk", expectation: "at least 1, found \(chunk)")
    }
    guard tokens.count <= contextLength else {
      throw GenerationError.promptTooLong(count: tokens.count, contextLength: contextLength)
    }
    let cache = LeaderState<KVCache?>(nil)
    for first in stride(from: 0, to: tokens.count, by: chunk) {
      let part = Array(tokens[first..<min(first + chunk, tokens.count)])
      // A number that is none may show in rows before its own: the whole part is looked at.
      let run = { @Sendable in Array(tokens[..<min(first + chunk, tokens.count)]) }
      let values = try await engine.explaining(run) { [engine] step, workspace in
        let sequence = cache.value ?? engine.makeCache()
        cache.value = sequence
        var values: [Float] = []
        values.reserveCapacity(part.count * step.decoder.vocabularySize)
        try step.decoder.allLogits(
          part, cache: sequence, workspace: &workspace, context: step.context, cancellation: step.cancellation
        ) { row, logits in
          if let odd = step.context.firstOddRow(logits) {
            throw GenerationError.notFinite(position: first + row + odd)
          }
          for row in 0..<logits.rows {
            values.append(contentsOf: UnsafeBufferPointer(start: logits.row(row), count: logits.columns))
          }
        }
        return values
      }
      try body(values)
    }
  }
}

/// The tokens that end a text, out of all the files that name some.
private struct EndTokens {
  var ids: Set<Int32> = []

  /// Spellings by which llama.cpp knows them in files that don't say.
  private static let spellings = [
    "<|eot_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>", "<|endoftext|>", "<|eom_id|>", "<EOT>", "[EOT]",
    "<|end_of_text|>", "<｜end▁of▁sentence｜>", "</s>",
  ]

  init(_ checkpoint: Checkpoint, _ tokenizer: any TextTokenizer) throws(ModelFileError) {
    let special = tokenizer.specialTokens
    for id in [special.endOfSequence, special.endOfTurn, special.endOfMessage] {
      if let id { ids.insert(id) }
    }
    if checkpoint.format == .gguf {
      for spelling in Self.spellings {
        if let id = tokenizer.id(for: spelling), tokenizer.isSpecial(id) { ids.insert(id) }
      }
      return
    }
    let key = HyperparameterKey("eos_token_id")
    for id in try checkpoint.hyperparameters.optionalInts(key, in: 0...Int(Int32.max)) ?? [] {
      ids.insert(Int32(id))
    }
    guard let document = try checkpoint.readJSON("generation_config.json"),
      let value = document.root["eos_token_id"], !value.isNull
    else { return }
    for element in value.kind == .array ? Array(value.elements) : [value] {
      guard let id = element.int, (0...Int(Int32.max)).contains(id) else {
        throw ModelFileError(
          .malformed, file: document.file, subject: "eos_token_id", expectation: "expected token ids")
      }
      ids.insert(Int32(id))
    }
  }
}
