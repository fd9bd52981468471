import SalanganeKernels
import SalanganeTensors

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// Chooses the tokens of one sequence, one after the other.
///
/// `@unchecked Sendable`: it belongs to one sequence, of which a batch has one row at most; whichever of the team's
/// threads gets that row uses it, and the leader between two batches.
final class TokenChooser: @unchecked Sendable {
  /// The token that was chosen, and the logarithm of the probability that the model gave it; nil if there was none,
  /// since the logits weren't finite.
  private(set) var choice: (id: Int32, logProbability: Float)?

  private var sampler: Sampler

  /// Creates a chooser with a sampler that knows the tokens of the prompt.
  init(_ sampler: Sampler) { self.sampler = sampler }

  /// Chooses a token.
  ///
  /// - Parameters:
  ///   - logits: One a token; they are changed.
  ///   - scratch: As many floats, up to a multiple of 16.
  fileprivate func choose(
    _ logits: UnsafeMutableBufferPointer<Float>, scratch: UnsafeMutablePointer<Float>, _ kernels: KernelTable
  ) {
    guard let base = logits.baseAddress, kernels.allFinite(logits.count, base) else {
      choice = nil
      return
    }
    let normalizer = Self.logNormalizer(logits, scratch: scratch, kernels)
    // The sampler may change logits, and the probability is that of the model: it needs them as they were.
    let keepsLogits = sampler.keepsLogits
    if !keepsLogits { scratch.update(from: base, count: logits.count) }
    let id = sampler.choose(logits)
    sampler.accept(id)
    choice = (id, (keepsLogits ? logits[Int(id)] : scratch[Int(id)]) - normalizer)
  }

  /// The logarithm of the sum of the exponentials.
  private static func logNormalizer(
    _ logits: UnsafeMutableBufferPointer<Float>, scratch: UnsafeMutablePointer<Float>, _ kernels: KernelTable
  ) -> Float {
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
      kernels.softmaxChunk(rows, 1, scratch, 1, maximum, maximum + 16, maximum + 32)
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

extension ComputeContext {
  /// Has tokens chosen, each from a row of logits, which are changed.
  ///
  /// - Parameters:
  ///   - logits: `[choosers, vocabularySize]`.
  ///   - choosers: One a row.
  func choose(from logits: Matrix, with choosers: ArraySlice<TokenChooser>) {
    precondition(choosers.count == logits.rows)
    parallel(
      tasks: logits.rows, scratchCount: logits.columns + 16,
      ChoicePhase(kernels: kernels, logits: logits, choosers: choosers))
  }
}

/// The choice of tokens, a row a task: over a large vocabulary it takes too long for one thread.
private struct ChoicePhase: ScratchPhase {
  let kernels: KernelTable
  let logits: Matrix
  let choosers: ArraySlice<TokenChooser>

  func run(task: Int, worker: Int, scratch: UnsafeMutablePointer<Float>) {
    choosers[choosers.startIndex + task].choose(
      UnsafeMutableBufferPointer(start: logits.row(task), count: logits.columns), scratch: scratch, kernels)
  }
}
