import Salangane
import SalanganeFiles
import SalanganeTensors
import SalanganeTestSupport
import Testing

@Suite struct ModelMemoryTests {
  private func checkpoint(_ name: String) throws -> Checkpoint {
    try Checkpoint(path: TestFiles.golden("decoders/" + name))
  }

  @Test func addsUp() throws {
    let checkpoint = try checkpoint("deepseek_v3")
    let memory = try ModelMemory(checkpoint, .init(contextLength: 300))
    #expect(memory.contextLength == 300)
    #expect(memory.cachedValues == [28, 28])
    // Rows of 28 are padded to 32; whole blocks of 128 positions.
    #expect(memory.cache == 3 * 128 * 2 * 32 * 2)
    #expect(memory.cachePerThousand == 1000 * 2 * 32 * 2)
    #expect(memory.files == 0)
    #expect(memory.total == memory.weights + memory.cache + memory.scratch)
    let read = try ModelMemory(checkpoint, .init(isMemoryMapped: false, contextLength: 300, cacheType: .f32))
    #expect(read.cache == 2 * memory.cache)
    #expect(read.files == checkpoint.files.reduce(0) { $0 + $1.count })
    #expect(try ModelMemory(checkpoint, .init()).contextLength == 640)
  }

  /// Contexts as long as the bytes for keys and values allow: those that the options name, or all that there are.
  @Test func contextsThatFit() throws {
    let checkpoint = try checkpoint("deepseek_v3")
    let block = 128 * 2 * 32 * 2
    #expect(try ModelMemory(checkpoint, .init(cacheBytes: 2 * block)).contextLength == 256)
    #expect(try ModelMemory(checkpoint, .init(cacheBytes: 3 * block - 1)).contextLength == 256)
    #expect(try ModelMemory(checkpoint, .init(cacheBytes: 100 * block)).contextLength == 640)
    #expect(
      try ModelMemory(checkpoint, .init(contextLength: 200, cacheBytes: 2 * block)).contextLength == 200)
    #expect(throws: EmbeddingError.self) { try ModelMemory(checkpoint, .init(cacheBytes: block - 1)) }
    #expect(throws: EmbeddingError.self) {
      try ModelMemory(checkpoint, .init(contextLength: 300, cacheBytes: 2 * block))
    }
    let needed = try ModelMemory(checkpoint, .init())
    let limit = needed.total - needed.cache + 3 * block
    let small = try ModelMemory(checkpoint, .init(), system: SystemMemory(limit: limit, available: limit))
    #expect(small.contextLength == 640 && small.fittingLength == 384 && needed.fittingLength == 640)
  }

  /// Without a wish, keys and values are stored as attention computes with them.
  @Test(arguments: [
    ("k_mixed_q/model.gguf", WeightPrecision.stored, KVCacheType.q8),
    ("k_mixed_q/model.gguf", .float, .f16), ("qwen3", .stored, .f16),
  ])
  func typeOfTheCache(name: String, precision: WeightPrecision, expected: KVCacheType) throws {
    let path = TestFiles.golden("decoders/" + name)
    var options = Salangane.ModelOptions(threads: 1, precision: precision)
    let memory = try ModelMemory(Checkpoint(path: path), options)
    #expect(memory.cacheType == expected)
    options.cacheType = expected
    #expect(try ModelMemory(Checkpoint(path: path), options).cache == memory.cache)
  }

  @Test func typeOfALoadedModelsCache() async throws {
    for type in [nil, KVCacheType.f32] {
      let model = try await LanguageModel(contentsOf: GenerationGolden.url, options: .init(cacheType: type))
      #expect(model.cacheType == type ?? .f16)
    }
  }

  /// Encoders keep nothing.
  @Test func encoders() throws {
    let memory = try ModelMemory(Checkpoint(path: TestFiles.golden("bert/wide")), .init())
    #expect(memory.weights > 0 && memory.cache == 0 && memory.cachedValues.isEmpty)
  }

  /// What fits now, what might fit, and what never will.
  @Test func comparesWithTheSystem() throws {
    let checkpoint = try checkpoint("qwen3_moe")
    let total = try ModelMemory(checkpoint, .init(contextLength: 200)).total
    func memory(limit: Int, available: Int) throws -> ModelMemory {
      try ModelMemory(
        checkpoint, .init(contextLength: 200), system: SystemMemory(limit: limit, available: available))
    }
    let plenty = try memory(limit: total, available: total)
    #expect(plenty.fits)
    try plenty.check()
    let later = try memory(limit: total, available: total - 1)
    #expect(!later.fits)
    try later.check()
    let never = try memory(limit: total - 1, available: total - 1)
    #expect(!never.fits)
    let error = try #require(throws: EmbeddingError.self) { try never.check() }
    #expect("\(error)".hasPrefix("context length: expected one for which there is memory: 200 tokens take "))
    #expect("\(error)".contains(never.cache.formattedBytes))
    #expect("\(error)".contains(never.weights.formattedBytes))
  }

  @Test func optionsOutOfRange() throws {
    for (name, options) in [
      ("qwen3_moe", ModelOptions(expertCount: 0)), ("qwen3_moe", ModelOptions(expertCount: 7)),
      // Of 3 groups of 2 experts 2 are used.
      ("deepseek_v3", ModelOptions(expertCount: 5)), ("qwen3", ModelOptions(expertCount: 1)),
      ("qwen3_moe", ModelOptions(contextLength: 257)),
    ] {
      #expect(throws: EmbeddingError.self) { try ModelMemory(checkpoint(name), options) }
    }
    #expect(try ModelMemory(checkpoint("qwen3_moe"), .init(expertCount: 6)).weights > 0)
  }

  @Test(arguments: [
    (0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (1_250_000, "1.3 MB"), (999_949, "999.9 kB"),
    (999_950, "1.0 MB"), (25_000_000_000, "25.0 GB"), (7_000_000_000_000, "7.0 TB"),
  ])
  func sizesForPeople(bytes: Int, text: String) { #expect(bytes.formattedBytes == text) }
}

@Suite struct SystemMemoryTests {
  @Test func readsTheMachine() {
    let text =
      "MemTotal:       1000 kB\nMemFree:   1 kB\nMemAvailable:   700 kB\nSwapTotal: 50 kB\nSwapFree: 20 kB\n"
    let memory = SystemMemory.parse(meminfo: text)
    #expect(memory?.limit == 1050 << 10 && memory?.available == 720 << 10)
    let plain = SystemMemory.parse(meminfo: "MemTotal: 10 kB\nMemAvailable: 7 kB")
    #expect(plain?.limit == 10 << 10 && plain?.available == 7 << 10)
    for broken in ["", "MemTotal: 10 kB", "MemTotal: x kB\nMemAvailable: 7 kB", "MemTotal:\nMemAvailable:"] {
      #expect(SystemMemory.parse(meminfo: broken) == nil)
    }
  }

  @Test func thereIsMemory() {
    let memory = SystemMemory.current
    #expect(memory.available > 1 << 20 && memory.available <= memory.limit)
  }
}
