import Foundation
import Salangane
import SalanganeKernels
import SalanganeStress
import SalanganeTensors
import SalanganeTestSupport
import Testing

/// What was read before is taken up again, and no bit of what follows is another.
@Suite struct PromptCacheTests {
  private typealias Result = GenerationResult

  private static let plenty = 1 << 30

  /// Through a cache, through one that was saved and read, and without: the same bits.
  @Test(arguments: PromptCacheTestModel.allCases, KVCacheType.allCases)
  func freshSharedAndRestored(kind: PromptCacheTestModel, type: KVCacheType) async throws {
    let directory = try TemporaryDirectory()
    let file = URL(fileURLWithPath: directory.path("prompts.cache"))
    let url = try await kind.write(to: directory)
    let model = try await LanguageModel(contentsOf: url, options: .init(threads: 2, cacheType: type))
    let first = PromptCacheTestModel.tokens(600, seed: 1)
    let alone = try await Result.run(model.makeSession(), first, count: 60).result
    // A conversation's second turn, a text that parts from the first, and the first again.
    let second = first + alone.ids + PromptCacheTestModel.tokens(40, seed: 2)
    let other = Array(first.prefix(300)) + PromptCacheTestModel.tokens(250, seed: 3)
    let prompts = [(second, 640), (other, 256), (first, 512), (Array(first.prefix(129)), 128)]
    let cache = PromptCache(for: model, maximumBytes: Self.plenty)
    let filling = try await Result.run(model.makeSession(promptCache: cache), first, count: 60)
    #expect(filling.result == alone && filling.cached == 0)
    #expect(cache.tokenCount == 640 && cache.hasUnsavedBlocks)
    try cache.save(to: file)
    #expect(!cache.hasUnsavedBlocks)
    // Another process: the model is loaded anew, and runs on one thread.
    let reloaded = try await LanguageModel(contentsOf: url, options: .init(threads: 1, cacheType: type))
    let restored = try PromptCache(contentsOf: file, for: reloaded, maximumBytes: Self.plenty)
    #expect(restored.tokenCount == cache.tokenCount && restored.byteCount == cache.byteCount)
    #expect(!restored.hasUnsavedBlocks)
    for (prompt, cached) in prompts {
      let expected = try await Result.run(model.makeSession(), prompt, count: 20).result
      for session in [
        try model.makeSession(promptCache: cache), try reloaded.makeSession(promptCache: restored),
      ] {
        let (result, found) = try await Result.run(session, prompt, count: 20)
        #expect(result == expected, "\(prompt.count) tokens")
        #expect(found >= cached, "\(prompt.count) tokens")
        #expect(found < prompt.count && found % KVCache.blockLength == 0)
      }
    }
  }

  /// A session's own memory and the cache together: what the cache holds changes nothing.
  @Test(arguments: PromptCacheTestModel.allCases)
  func conversations(kind: PromptCacheTestModel) async throws {
    let model = try await kind.load(.init(threads: 2))
    // Turns that go on, go back, and begin anew, with generated tokens in between.
    func turns(_ session: Session) async throws -> [Result] {
      var results: [Result] = []
      var text = PromptCacheTestModel.tokens(290, seed: 4)
      for (added, kept) in [(30, 400), (260, 1000), (5, 700), (3, 350), (300, 200), (1, 1000)] {
        let result = try await Result.run(session, text, count: 25).result
        results.append(result)
        text =
          Array((text + result.ids).prefix(kept)) + PromptCacheTestModel.tokens(added, seed: UInt64(added))
      }
      return results
    }
    let alone = try await turns(model.makeSession())
    let cache = PromptCache(for: model, maximumBytes: Self.plenty)
    for _ in 0..<2 { #expect(try await turns(model.makeSession(promptCache: cache)) == alone) }
    // Whole turns that others have read.
    for seed in [4, 30, 260] as [UInt64] {
      let text = PromptCacheTestModel.tokens(290, seed: 4) + PromptCacheTestModel.tokens(400, seed: seed)
      _ = try await Result.run(model.makeSession(promptCache: cache), text, count: 1)
    }
    #expect(try await turns(model.makeSession(promptCache: cache)) == alone)
    let small = PromptCache(for: model, maximumBytes: cache.byteCount / (cache.tokenCount / 128) * 2)
    for _ in 0..<2 { #expect(try await turns(model.makeSession(promptCache: small)) == alone) }
    #expect(small.byteCount <= small.maximumBytes && small.tokenCount == 256)
  }

  /// Sessions that read, write and evict at the same time, while the cache is saved.
  @Test(arguments: [PromptCacheTestModel.dense, .latent])
  func manySessionsAtOnce(kind: PromptCacheTestModel) async throws {
    let directory = try TemporaryDirectory()
    let model = try await kind.load(.init(threads: 2))
    let start = PromptCacheTestModel.tokens(260, seed: 6)
    let prompts = (0..<6).map {
      start.prefix(150 + 20 * $0) + PromptCacheTestModel.tokens(150, seed: UInt64($0 % 3))
    }
    var results: [Result] = []
    for prompt in prompts {
      results.append(try await Result.run(model.makeSession(), Array(prompt), count: 8).result)
    }
    let alone = results
    let whole = PromptCache(for: model, maximumBytes: Self.plenty)
    _ = try await Result.run(model.makeSession(promptCache: whole), start, count: 1)
    let blockBytes = whole.byteCount / (whole.tokenCount / KVCache.blockLength)
    for blocks in [1, 4, 100] {
      let cache = PromptCache(for: model, maximumBytes: blocks * blockBytes)
      try await withThrowingTaskGroup(of: Void.self) { group in
        for round in 0..<12 {
          group.addTask {
            let index = (round * 5) % prompts.count
            let session = try model.makeSession(promptCache: cache)
            for _ in 0..<2 {
              let result = try await Result.run(session, Array(prompts[index]), count: 8).result
              #expect(result == alone[index])
            }
          }
        }
        group.addTask {
          for index in 0..<4 {
            let file = URL(fileURLWithPath: directory.path("\(blocks)-\(index)"))
            try cache.save(to: file)
            let read = try PromptCache(contentsOf: file, for: model, maximumBytes: Self.plenty)
            #expect(read.byteCount <= cache.maximumBytes)
            await Task.yield()
          }
        }
        try await group.waitForAll()
      }
      #expect(cache.byteCount <= cache.maximumBytes)
      #expect(cache.tokenCount > 0)
    }
  }

  /// A generation that is left or cancelled leaves whole blocks only.
  @Test func cancelledPrompts() async throws {
    let model = try await PromptCacheTestModel.dense.load(.init(threads: 2))
    let cache = PromptCache(for: model, maximumBytes: Self.plenty)
    let prompt = PromptCacheTestModel.tokens(900, seed: 8)
    let alone = try await Result.run(model.makeSession(), prompt, count: 5).result
    for delay in [0, 1, 3, 10, 30, 60] as [UInt64] {
      let session = try model.makeSession(promptCache: cache)
      let task = Task { try await Result.run(session, prompt, count: 5).result }
      try await Task.sleep(nanoseconds: delay * 1_000_000)
      task.cancel()
      _ = try? await task.value
      #expect(try await Result.run(session, prompt, count: 5).result == alone)
      #expect(try await Result.run(model.makeSession(promptCache: cache), prompt, count: 5).result == alone)
      cache.removeAll()
      #expect(cache.byteCount == 0)
    }
  }

  /// A cache of other weights, kernels or options isn't taken, in memory or from a file.
  @Test func foreignModels() async throws {
    let directory = try TemporaryDirectory()
    let url = try await PromptCacheTestModel.dense.write(to: directory)
    let model = try await LanguageModel(contentsOf: url, options: .init(threads: 2))
    let cache = PromptCache(for: model, maximumBytes: Self.plenty)
    _ = try await Result.run(
      model.makeSession(promptCache: cache), PromptCacheTestModel.tokens(150, seed: 1), count: 1)
    let saved = try TemporaryDirectory()
    let file = URL(fileURLWithPath: saved.path("prompts.cache"))
    try cache.save(to: file)
    func refuses(_ other: LanguageModel, _ subject: String) throws {
      let error = #expect(throws: ModelFileError.self) {
        try PromptCache(contentsOf: file, for: other, maximumBytes: Self.plenty)
      }
      #expect(error?.kind == .foreign && error?.subject == subject && error?.file == file.path)
      #expect(throws: GenerationError.foreignPromptCache) { try other.makeSession(promptCache: cache) }
    }
    let preferred = try InstructionSet.preferred
    let sets = InstructionSet.available.filter { $0 != preferred }
    let others = sets.map { ModelOptions(instructionSet: $0) }
    for options in others + [.init(precision: .int8), .init(backend: .openBLAS)] {
      try refuses(try await LanguageModel(contentsOf: url, options: options), "model fingerprint")
    }
    try refuses(try await LanguageModel(contentsOf: url, options: .init(cacheType: .f32)), "element type")
    for other in [PromptCacheTestModel.windowed, .latent] {
      try refuses(try await other.load(), "model fingerprint")
    }
    // One weight of one norm.
    var weights = try directory.read("model.safetensors")
    weights[weights.count - 1] ^= 1
    try directory.write(weights, to: "model.safetensors")
    try refuses(try await LanguageModel(contentsOf: url), "model fingerprint")
    // What changes no result changes nothing here.
    weights[weights.count - 1] ^= 1
    try directory.write(weights, to: "model.safetensors")
    for options in [
      ModelOptions(threads: 1), .init(repacksWeights: false), .init(isMemoryMapped: false),
      .init(contextLength: 300),
    ] {
      let same = try await LanguageModel(contentsOf: url, options: options)
      #expect(try PromptCache(contentsOf: file, for: same, maximumBytes: Self.plenty).tokenCount == 128)
      _ = try same.makeSession(promptCache: cache)
    }
  }

  /// Weights that a sample may pass over still count by what is around them: another seed is another model.
  @Test func fingerprintsOfLargeTensors() async throws {
    let directory = try TemporaryDirectory()
    var caches: [PromptCache] = []
    var models: [LanguageModel] = []
    for seed in [1, 2, 1] as [UInt64] {
      let path = directory.path("\(models.count).gguf")
      try await ModelSynthesizer(SmallShape.dense, scheme: .q8_0, seed: seed).write(to: path)
      models.append(try await LanguageModel(contentsOf: URL(fileURLWithPath: path)))
      caches.append(PromptCache(for: models[models.count - 1], maximumBytes: 1))
    }
    #expect(throws: GenerationError.foreignPromptCache) { try models[0].makeSession(promptCache: caches[1]) }
    _ = try models[0].makeSession(promptCache: caches[2])
  }

  /// Of a file that is larger than the cache may be, what was used last.
  @Test func smallerThanItsFile() async throws {
    let directory = try TemporaryDirectory()
    let model = try await PromptCacheTestModel.dense.load(.init(threads: 2))
    let cache = PromptCache(for: model, maximumBytes: Self.plenty)
    let prompts = (0..<3).map { PromptCacheTestModel.tokens(300, seed: UInt64($0)) }
    for index in [0, 1, 2, 0] {
      _ = try await Result.run(model.makeSession(promptCache: cache), prompts[index], count: 1)
    }
    let file = URL(fileURLWithPath: directory.path("prompts.cache"))
    try cache.save(to: file)
    for (blocks, kept) in [
      (6, [256, 256, 256]), (4, [256, 0, 256]), (3, [256, 0, 128]), (1, [128, 0, 0]), (0, [0, 0, 0]),
    ] {
      let bytes = cache.byteCount / 6 * blocks
      for (index, prompt) in prompts.enumerated() {
        let smaller = try PromptCache(contentsOf: file, for: model, maximumBytes: bytes)
        #expect(smaller.tokenCount == blocks * 128 && smaller.byteCount == bytes)
        let session = try model.makeSession(promptCache: smaller)
        #expect(
          try await Result.run(session, prompt, count: 1).cached == kept[index],
          "\(blocks) blocks, text \(index)")
      }
    }
    // An empty cache is a cache.
    try PromptCache(for: model, maximumBytes: 0).save(to: file)
    #expect(try PromptCache(contentsOf: file, for: model, maximumBytes: Self.plenty).tokenCount == 0)
  }
}
