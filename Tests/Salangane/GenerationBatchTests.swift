import Foundation
import Salangane
import SalanganeTestSupport
import Synchronization
import Testing

/// Texts that are generated at the same time: together, and each as if it were alone.
@Suite struct GenerationBatchTests {
  /// A request of a kind of its own: prompts and texts of different lengths, greedy or not.
  struct Request: Sendable {
    let tokens: [Int32]
    var options: GenerationOptions

    init(_ index: Int, _ golden: GenerationGolden) {
      // Every third prompt is longer than what is read beside generated tokens.
      let count = index % 3 == 2 ? 150 + 7 * index : 3 + 5 * index
      tokens = (0..<count).map { golden.prompt[($0 * (index + 1)) % golden.prompt.count] }
      options = GenerationOptions(maximumTokens: 6 + index * 2, ignoresEndOfSequence: true)
      switch index % 4 {
      case 1: options.sampling = .init(temperature: 1, seed: UInt64(index))
      case 2:
        options.sampling = .init(temperature: 0.8, topK: 20, repetitionPenalty: 1.3, seed: UInt64(index))
      case 3: options.sampling.logitBias = [Int32(index): 2]
      default: break
      }
    }

    func summary(_ model: LanguageModel) async throws -> GenerationSummary {
      try await model.generate(tokens: tokens, options: options).summary()
    }
  }

  /// The tokens and log probabilities of a generation.
  static func pieces(_ stream: GenerationStream) async throws -> (ids: [Int32], logProbabilities: [Float]) {
    var ids: [Int32] = []
    var logProbabilities: [Float] = []
    for try await event in stream {
      guard case .text(let piece) = event else { continue }
      ids += piece.ids
      logProbabilities += piece.logProbabilities
    }
    return (ids, logProbabilities)
  }

  @Test(arguments: InstructionSet.available, [1, 2, 5, 32])
  func eachIsAsAlone(set: InstructionSet, maximumBatch: Int) async throws {
    let golden = try GenerationGolden()
    let model = try await LanguageModel(
      contentsOf: GenerationGolden.url, options: .init(instructionSet: set, maximumBatch: maximumBatch))
    let requests = (0..<17).map { Request($0, golden) }
    var alone: [(ids: [Int32], logProbabilities: [Float])] = []
    for request in requests {
      alone.append(try await Self.pieces(model.generate(tokens: request.tokens, options: request.options)))
    }
    let before = model.generationWork
    try await withThrowingTaskGroup(of: (Int, [Int32], [Float]).self) { group in
      for (index, request) in requests.enumerated() {
        group.addTask {
          let result = try await Self.pieces(
            model.generate(tokens: request.tokens, options: request.options))
          return (index, result.ids, result.logProbabilities)
        }
      }
      for try await (index, ids, logProbabilities) in group {
        #expect(ids == alone[index].ids && logProbabilities == alone[index].logProbabilities, "\(index)")
      }
    }
    let work = model.generationWork
    let steps = work.steps - before.steps
    let tokens = requests.reduce(0) { $0 + ($1.options.maximumTokens ?? 0) }
    #expect(work.largest <= maximumBatch)
    if maximumBatch == 1 {
      #expect(steps >= tokens)
    } else {
      // Together indeed: far fewer steps than tokens.
      #expect(steps < tokens)
      #expect(work.largest > 1)
    }
  }

  @Test func batchesInRange() async throws {
    for count in [0, -1, 257] {
      await #expect(throws: EmbeddingError.self) {
        try await LanguageModel(contentsOf: GenerationGolden.url, options: .init(maximumBatch: count))
      }
    }
  }

  /// Nothing runs before it is asked for, and then one token ahead of the reader at most.
  @Test func oneTokenAhead() async throws {
    let golden = try GenerationGolden()
    let model = try await GenerationGolden.model()
    let options = GenerationOptions(maximumTokens: 50, ignoresEndOfSequence: true)
    var iterator = model.generate(tokens: golden.prompt, options: options).makeAsyncIterator()
    try await Task.sleep(nanoseconds: 20_000_000)
    #expect(model.generationWork.steps == 0)
    for read in 1...5 {
      _ = try await iterator.next()
      try await Task.sleep(nanoseconds: 20_000_000)
      // The prompt gives the first token.
      #expect(model.generationWork.steps <= read + 1)
    }
    // Meanwhile others aren't held up, by one that nobody reads.
    let other = try await model.generate(tokens: golden.prompt, options: options).summary()
    #expect(other.ids.count == 50 && other.ids.starts(with: golden.ids))
  }

  /// Whoever is cancelled leaves, and the others don't notice.
  @Test func leavingDisturbsNobody() async throws {
    let golden = try GenerationGolden()
    let model = try await GenerationGolden.model()
    let requests = (0..<6).map { Request($0, golden) }
    var alone: [[Int32]] = []
    for request in requests { alone.append(try await request.summary(model).ids) }
    let isDone = DoneFlag()
    let cancelled = try await withThrowingTaskGroup(of: Int.self) { group in
      for lane in 0..<3 {
        group.addTask {
          var random = SplitMix64(seed: UInt64(lane))
          var count = 0
          for index in 0..<100 {
            let task = Task { try await Request(index % 12, golden).summary(model).ids }
            let delay = random.next() % 3_000_000
            if delay > 300_000 { try await Task.sleep(nanoseconds: delay) }
            task.cancel()
            do { _ = try await task.value } catch is CancellationError { count += 1 }
          }
          isDone.value.store(true, ordering: .relaxed)
          return count
        }
      }
      for (index, request) in requests.enumerated() {
        let expected = alone[index]
        group.addTask {
          while !isDone.value.load(ordering: .relaxed) {
            let ids = try await request.summary(model).ids
            #expect(ids == expected, "request \(index)")
          }
          return 0
        }
      }
      return try await group.reduce(0, +)
    }
    #expect(cancelled > 50)
  }

  /// Texts are embedded and generated at the same time: each goes on while the other does.
  @Test func embeddingAndGenerating() async throws {
    let golden = try GenerationGolden()
    let model = try await GenerationGolden.model()
    let embedder = try await Embedder(
      contentsOf: DecoderEmbedderTests.urls[0], options: .init(batchTokens: 64))
    let texts = (0..<300).map { "swiftlet \($0) finds its way in the dark" }
    let alone = try await embedder.embed(texts)
    let embedded = Atomic<Int>(0)
    let isDone = DoneFlag()
    async let together = {
      defer { isDone.value.store(true, ordering: .relaxed) }
      return try await embedder.embed(texts) { embedded.store($0, ordering: .relaxed) }
    }()
    let options = GenerationOptions(maximumTokens: 20, ignoresEndOfSequence: true)
    var counts: Set<Int> = []
    var tokens = 0
    while !isDone.value.load(ordering: .relaxed) {
      var ids: [Int32] = []
      for try await event in model.generate(tokens: golden.prompt, options: options) {
        guard case .text(let piece) = event else { continue }
        ids += piece.ids
        if !isDone.value.load(ordering: .relaxed) {
          tokens += 1
          counts.insert(embedded.load(ordering: .relaxed))
        }
      }
      #expect(ids == Array(golden.ids.prefix(20)))
    }
    let vectors = try await together
    #expect(vectors == alone)
    // Tokens came between many of the batches, and batches between tokens.
    #expect(tokens > 10 && counts.count > 5, "\(tokens) tokens, \(counts.count) batches seen")
  }
}

/// Raised when the cancelling tasks are through.
private final class DoneFlag: Sendable {
  let value = Atomic<Bool>(false)
}
