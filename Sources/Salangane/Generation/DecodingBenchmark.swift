import SalanganeModelGraph
import SalanganeTensors

/// Times a model's two kinds of work, each within one job: nothing but the engine is measured.
package final class DecodingBenchmark: Sendable {
  private let model: LanguageModel
  private let batch: Int
  private let caches = LeaderState<[KVCache]>([])

  /// Prepares to measure a model.
  ///
  /// - Parameter batch: How many sequences are generated together.
  package init(_ model: LanguageModel, batch: Int = 1) {
    self.model = model
    self.batch = max(1, batch)
  }

  /// Fills the caches with tokens that measurements then stand behind.
  ///
  /// - Parameter sequences: The tokens of each sequence, `batch` of them.
  /// - Throws: `GenerationError` if the context has no room for them; `CancellationError`.
  package func fill(_ sequences: [[Int32]]) async throws {
    precondition(sequences.count == batch)
    for (index, tokens) in sequences.enumerated() {
      try await model.engine.run { [model, caches] step, workspace in
        let cache = model.engine.makeCache()
        if index == 0 { caches.value = [] }
        caches.value.append(cache)
        guard !tokens.isEmpty else { return }
        try step.decoder.run(
          tokens, cache: cache, workspace: &workspace, context: step.context,
          cancellation: step.cancellation
        ) { _, _, _ in }
      }
    }
  }

  /// The seconds that it takes to read a prompt, up to the logits of its last token, behind the first sequence.
  ///
  /// - Throws: `GenerationError` or `CancellationError`.
  package func secondsToRead(_ tokens: [Int32]) async throws -> Double {
    try await measure { step, workspace, caches in
      let hidden = try step.decoder.prefill(
        tokens, cache: caches[0], workspace: &workspace, context: step.context,
        cancellation: step.cancellation)
      _ = step.decoder.logits(hidden, &workspace, step.context)
    }
  }

  /// The seconds that it takes to generate `count` tokens of each sequence, all sequences together.
  ///
  /// The most probable token is chosen after each, but what runs next is any token: so sequences stay different, and use
  /// different experts of a mixture.
  ///
  /// - Throws: `GenerationError` or `CancellationError`.
  package func secondsToGenerate(_ count: Int) async throws -> Double {
    let vocabularySize = model.vocabularySize
    let choosers = (0..<batch).map { _ in
      TokenChooser(Sampler(.greedy, vocabularySize: vocabularySize, seed: 0))
    }
    return try await measure { step, workspace, caches in
      var random = SplitMixGenerator(state: 1)
      var rows = DecoderBatch()
      for position in 0..<count {
        rows.removeAll()
        for cache in caches {
          let token = Int32(random.nextUnit() * Double(vocabularySize))
          try cache.reserve(cache.count + 1)
          rows.append(token, cache: cache)
        }
        try step.run(rows, choosers, workspace: &workspace)
        guard choosers.allSatisfy({ $0.choice != nil }) else {
          throw GenerationError.notFinite(position: position)
        }
      }
    }
  }

  private func measure(
    _ body: @escaping @Sendable (DecoderEngine.Step, inout DecoderWorkspace, [KVCache]) throws -> Void
  ) async throws -> Double {
    try await model.engine.run { [model, caches, batch] step, workspace in
      while caches.value.count < batch { caches.value.append(model.engine.makeCache()) }
      let depths = caches.value.map(\.count)
      defer { for (cache, depth) in zip(caches.value, depths) { cache.truncate(to: depth) } }
      let start = ContinuousClock.now
      try body(step, &workspace, caches.value)
      step.context.endOperation()
      return (ContinuousClock.now - start) / .seconds(1)
    }
  }
}
