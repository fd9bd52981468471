import SalanganeFiles
import SalanganeKernels
import SalanganeModelGraph
import SalanganeTensors

/// A causal model with the memory that its requests share, one at a time, on the computing threads.
final class DecoderEngine: Sendable {
  let decoder: Decoder
  /// The most positions of a sequence.
  let contextLength: Int
  /// How keys and values are stored.
  let cacheType: KVCacheType
  /// What keys and values from elsewhere must have in common with this model's.
  let promptCacheFormat: PromptCacheFormat
  private let path: String

  private let kernels: KernelTable
  private let threads: Int
  private let memory = LeaderState<Memory?>(nil)
  private let isRunning = LeaderState(false)

  private struct Memory {
    let context: ComputeContext
    var workspace: DecoderWorkspace
  }

  init(
    _ decoder: Decoder, path: String, contextLength: Int, cacheType: KVCacheType,
    fingerprint: ModelFingerprint,
    kernels: KernelTable, threads: Int
  ) {
    self.decoder = decoder
    self.path = path
    self.contextLength = contextLength
    self.cacheType = cacheType
    self.kernels = kernels
    self.threads = threads
    promptCacheFormat = PromptCacheFormat(decoder, cacheType, fingerprint)
  }

  /// Whether a job uses the engine's memory; to be asked on the leading thread.
  var isBusy: Bool { isRunning.value }

  /// An empty cache for one sequence.
  func makeCache() -> KVCache {
    decoder.makeCache(cacheType.elementType, capacity: contextLength)
  }

  /// An empty memory of one session.
  func makeMemory(sharing promptCache: PromptCache?) -> SessionMemory {
    SessionMemory(cache: makeCache(), promptCache: promptCache)
  }

  /// What a job computes with.
  struct Step {
    let decoder: Decoder
    let context: ComputeContext
    let cancellation: Cancellation

    /// Runs a batch, and has the tokens chosen that follow its outputs.
    ///
    /// - Parameter choosers: One for each output, in their order.
    /// - Throws: `KVCacheError` or `CancellationError`.
    func run(
      _ batch: DecoderBatch, _ choosers: [TokenChooser], workspace: inout DecoderWorkspace
    ) throws {
      precondition(choosers.count == batch.outputCount)
      let hidden = try decoder.run(
        batch, workspace: &workspace, context: context, cancellation: cancellation)
      var first = 0
      while first < hidden.rows {
        let rows = first..<min(first + Decoder.logitRows, hidden.rows)
        let logits = decoder.logits(hidden.rows(rows), &workspace, context)
        context.begin(.sampling)
        context.choose(from: logits, with: choosers[rows])
        first = rows.upperBound
      }
    }
  }

  /// Runs a job with the engine's memory.
  func run<Result: Sendable>(
    _ body: @escaping @Sendable (Step, inout DecoderWorkspace) throws -> Result
  ) async throws -> Result {
    try await ComputeQueue.shared.run { team, cancellation in
      try self.run(team, cancellation, body)
    }
  }

  /// Does the same on the leading thread.
  func run<Result>(
    _ team: ThreadTeam, _ cancellation: Cancellation, _ body: (Step, inout DecoderWorkspace) throws -> Result
  ) throws -> Result {
    precondition(!isRunning.value, "jobs don't run within each other")
    isRunning.value = true
    var memory =
      memory.value
      ?? Memory(
        context: ComputeContext(team: team, threads: threads, kernels: kernels),
        workspace: DecoderWorkspace(for: decoder))
    self.memory.value = nil
    memory.context.cancellation = cancellation
    defer {
      self.memory.value = memory
      isRunning.value = false
    }
    let step = Step(decoder: decoder, context: memory.context, cancellation: cancellation)
    do {
      return try body(step, &memory.workspace)
    } catch {
      throw translate(error)
    }
  }

  /// The error that callers see.
  func translate(_ error: any Error) -> any Error {
    switch error {
    case DecoderError.noTokens: GenerationError.emptyPrompt
    case DecoderError.invalidToken(let id, _, _):
      GenerationError.invalidToken(id: id, vocabularySize: decoder.vocabularySize)
    case DecoderError.notFinite: GenerationError.notFinite(position: 0)
    case KVCacheError.contextExceeded(let positions, let capacity):
      GenerationError.promptTooLong(count: positions, contextLength: capacity)
    case KVCacheError.outOfMemory(let bytes): GenerationError.outOfMemory(bytes: bytes)
    default: error
    }
  }
}

extension DecoderEngine {
  /// Runs a job; if its logits aren't finite, the error says where that began.
  ///
  /// - Parameter tokens: The sequence as far as it has been run; asked for by a job.
  func explaining<Result: Sendable>(
    _ tokens: @escaping @Sendable () -> [Int32],
    _ body: @escaping @Sendable (Step, inout DecoderWorkspace) throws -> Result
  ) async throws -> Result {
    do {
      return try await run(body)
    } catch GenerationError.notFinite(let position, nil) {
      let fault = try await run { step, workspace in
        try self.fault(in: tokens(), step, &workspace)
      }
      throw GenerationError.notFinite(position: position, fault: fault)
    }
  }

  /// Runs a sequence once more to find out where its numbers stop being finite; nil if they don't.
  func fault(
    in tokens: [Int32], _ step: Step, _ workspace: inout DecoderWorkspace
  ) throws -> NumericFault? {
    let finder = FaultFinder()
    step.context.faultFinder = finder
    defer { step.context.faultFinder = nil }
    let hidden = try decoder.prefill(
      tokens, cache: makeCache(), workspace: &workspace, context: step.context,
      cancellation: step.cancellation)
    if finder.place == nil, step.context.isFinite(decoder.logits(hidden, &workspace, step.context)) {
      return nil
    }
    return try NumericFault(finder.place ?? .output, inModelAt: path, step.cancellation)
  }
}

/// How keys and values of earlier tokens are stored.
public enum KVCacheType: String, CaseIterable, Sendable {
  /// As computed, 4 bytes a number.
  case f32
  /// Rounded to half precision, 2 bytes a number.
  case f16
  /// Rounded to 8 bits, with a scale for every 32 features of a key and for every value: somewhat more than a byte a
  /// number. Attention computes with these integers, as products with quantised weights do; with the other types it
  /// computes with floats.
  case q8

  var elementType: KVCache.ElementType {
    switch self {
    case .f32: .f32
    case .f16: .f16
    case .q8: .q8
    }
  }
}
