import SalanganeFiles
import SalanganeKernels
import SalanganeModelGraph
import SalanganeTensors

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

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

  private struct Memory {
    let context: ComputeContext
    var workspace: DecoderWorkspace
    /// A copy of logits, for their probabilities.
    let scratch: FloatBuffer
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

  /// An empty cache for one sequence.
  func makeCache() -> KVCache {
    decoder.makeCache(cacheType.elementType, capacity: contextLength)
  }

  /// An empty memory of one session.
  func makeMemory(sharing promptCache: PromptCache?) -> SessionMemory {
    SessionMemory(cache: makeCache(), decoder: decoder, promptCache: promptCache)
  }

  /// What a job computes with.
  struct Step {
    let decoder: Decoder
    let context: ComputeContext
    let cancellation: Cancellation
    let scratch: UnsafeMutablePointer<Float>

    /// Checks logits, and gives the sampler's choice and the logarithm of its probability.
    func choose(
      from logits: Matrix, with sampler: inout Sampler, position: Int
    ) throws -> (id: Int32, logProbability: Float) {
      context.begin(.sampling)
      guard context.isFinite(logits) else { throw GenerationError.notFinite(position: position) }
      let values = UnsafeMutableBufferPointer(start: logits.row(0), count: logits.columns)
      let normalizer = logNormalizer(UnsafeBufferPointer(values))
      // The sampler changes logits, and the probability is that of the model: it needs them as they were.
      scratch.update(from: logits.row(0), count: logits.columns)
      let id = sampler.choose(values)
      return (id, scratch[Int(id)] - normalizer)
    }

    /// The logarithm of the sum of the exponentials.
    private func logNormalizer(_ logits: UnsafeBufferPointer<Float>) -> Float {
      guard let base = logits.baseAddress else { return 0 }
      scratch.update(from: base, count: logits.count)
      let rows = (logits.count + 15) / 16
      for index in logits.count..<rows * 16 { scratch[index] = -.infinity }
      return withUnsafeTemporaryAllocation(of: Float.self, capacity: 48) { lanes in
        guard let maximum = lanes.baseAddress else { return 0 }
        for lane in 0..<16 {
          maximum[lane] = -.infinity
          maximum[16 + lane] = 0
        }
        context.kernels.softmaxChunk(rows, 1, scratch, 1, maximum, maximum + 16, maximum + 32)
        var largest = -Float.infinity
        for lane in 0..<16 { largest = max(largest, maximum[lane]) }
        var sum: Float = 0
        for lane in 0..<16 where maximum[lane] > -.infinity {
          sum += maximum[16 + lane] * expf(maximum[lane] - largest)
        }
        return largest + logf(sum)
      }
    }
  }

  /// Runs a job with the engine's memory.
  func run<Result: Sendable>(
    _ body: @escaping @Sendable (Step, inout DecoderWorkspace) throws -> Result
  ) async throws -> Result {
    try await ComputeQueue.shared.run { team, cancellation in
      try self.step(team, cancellation, body)
    }
  }

  private func step<Result>(
    _ team: ThreadTeam, _ cancellation: Cancellation, _ body: (Step, inout DecoderWorkspace) throws -> Result
  ) throws -> Result {
    var memory =
      memory.value
      ?? Memory(
        context: ComputeContext(team: team, threads: threads, kernels: kernels),
        workspace: DecoderWorkspace(for: decoder),
        scratch: FloatBuffer(count: decoder.vocabularySize + 16))
    self.memory.value = nil
    memory.context.cancellation = cancellation
    defer { self.memory.value = memory }
    let step = Step(
      decoder: decoder, context: memory.context, cancellation: cancellation, scratch: memory.scratch.base)
    do {
      return try body(step, &memory.workspace)
    } catch let error as DecoderError {
      throw Self.translate(error, vocabularySize: decoder.vocabularySize)
    } catch KVCacheError.contextExceeded(let positions, let capacity) {
      throw GenerationError.promptTooLong(count: positions, contextLength: capacity)
    } catch KVCacheError.outOfMemory(let bytes) {
      throw GenerationError.outOfMemory(bytes: bytes)
    }
  }

  private static func translate(_ error: DecoderError, vocabularySize: Int) -> GenerationError {
    switch error {
    case .noTokens: .emptyPrompt
    case .invalidToken(let id, _, _): .invalidToken(id: id, vocabularySize: vocabularySize)
    case .notFinite: .notFinite(position: 0)
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
  private func fault(
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
  /// number.
  case q8

  var elementType: KVCache.ElementType {
    switch self {
    case .f32: .f32
    case .f16: .f16
    case .q8: .q8
    }
  }
}
