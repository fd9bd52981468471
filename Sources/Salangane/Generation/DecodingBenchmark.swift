import SalanganeModelGraph
import SalanganeTensors

/// Times a model's two kinds of work, each within one job: nothing but the engine is measured.
package final class DecodingBenchmark: Sendable {
  private let model: LanguageModel
  private let cache = LeaderState<KVCache?>(nil)

  /// Prepares to measure a model.
  package init(_ model: LanguageModel) { self.model = model }

  /// Fills the cache with tokens that measurements then stand behind.
  ///
  /// - Throws: `GenerationError` if the context has no room for them; `CancellationError`.
  package func fill(_ tokens: [Int32]) async throws {
    try await model.engine.run { [model, cache] step, workspace in
      let sequence = model.engine.makeCache()
      cache.value = sequence
      guard !tokens.isEmpty else { return }
      try step.decoder.run(
        tokens, cache: sequence, workspace: &workspace, context: step.context,
        cancellation: step.cancellation
      ) { _, _, _ in }
    }
  }

  /// The seconds that it takes to read a prompt, up to the logits of its last token.
  ///
  /// - Throws: `GenerationError` or `CancellationError`.
  package func secondsToRead(_ tokens: [Int32]) async throws -> Double {
    try await measure { step, workspace, sequence in
      let hidden = try step.decoder.prefill(
        tokens, cache: sequence, workspace: &workspace, context: step.context,
        cancellation: step.cancellation)
      _ = step.decoder.logits(hidden, &workspace, step.context)
    }
  }

  /// The seconds that it takes to generate tokens, one after the other, choosing the most probable.
  ///
  /// - Throws: `GenerationError` or `CancellationError`.
  package func secondsToGenerate(_ count: Int) async throws -> Double {
    let vocabularySize = model.vocabularySize
    return try await measure { step, workspace, sequence in
      var sampler = Sampler(.greedy, vocabularySize: vocabularySize, seed: 0)
      var token: Int32 = 1
      for position in 0..<count {
        let hidden = try step.decoder.decode(
          token, cache: sequence, workspace: &workspace, context: step.context,
          cancellation: step.cancellation)
        let logits = step.decoder.logits(hidden, &workspace, step.context)
        token = try step.choose(from: logits, with: &sampler, position: position).id
      }
    }
  }

  private func measure(
    _ body: @escaping @Sendable (DecoderEngine.Step, inout DecoderWorkspace, KVCache) throws -> Void
  ) async throws -> Double {
    try await model.engine.run { [model, cache] step, workspace in
      let sequence = cache.value ?? model.engine.makeCache()
      cache.value = sequence
      let depth = sequence.count
      defer { sequence.truncate(to: depth) }
      let start = ContinuousClock.now
      try body(step, &workspace, sequence)
      step.context.endOperation()
      return (ContinuousClock.now - start) / .seconds(1)
    }
  }
}
