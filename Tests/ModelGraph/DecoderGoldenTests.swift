import SalanganeKernels
import SalanganeModelGraph
import SalanganeTensors
import SalanganeTestSupport
import Testing

/// A golden model: `Tests/Goldens/make_decoders.py` and `make_mixtures.py` make them.
struct DecoderGolden: CustomTestStringConvertible, Sendable {
  let name: String
  let isGGUF: Bool

  var path: String { TestFiles.golden("decoders/" + name) + (isGGUF ? "/model.gguf" : "") }
  var testDescription: String { name + (isGGUF ? " (GGUF)" : "") }

  func reference() throws -> NumPyArchive {
    try NumPyArchive(contentsOf: TestFiles.golden("decoders/" + name + "/ref.npz"))
  }

  /// Mixtures of experts.
  static let mixtures =
    [
      "qwen2_moe", "qwen2_moe_mixed", "qwen3_moe", "deepseek", "deepseek_v2", "deepseek_v2_lite",
      "deepseek_v3",
      "deepseek_v3_fp8", "glm4_moe", "glm4_moe_lite",
    ].map { DecoderGolden(name: $0, isGGUF: false) }
    + [
      "qwen2_moe", "qwen3_moe", "deepseek", "deepseek_v2", "deepseek_v2_lite", "deepseek_v3", "glm4_moe",
      "glm4_moe_lite",
    ].map { DecoderGolden(name: $0, isGGUF: true) }

  /// Those with attention over latents.
  static let latents = mixtures.filter {
    $0.name.hasPrefix("deepseek_v") || $0.name == "glm4_moe_lite"
  }

  /// Those with an output matrix.
  static let languageModels =
    [
      "qwen", "qwen2", "qwen2_swa", "qwen2_yarn", "qwen3", "qwen3_fp8", "llama3", "llama_linear", "glm",
      "chatglm", "glm4",
    ].map { DecoderGolden(name: $0, isGGUF: false) }
    + ["qwen", "qwen2", "qwen2_yarn", "qwen3", "llama3", "llama_linear", "glm", "chatglm", "glm4"]
    .map { DecoderGolden(name: $0, isGGUF: true) } + mixtures
  static let embedder = DecoderGolden(name: "qwen3_embed", isGGUF: false)
}

extension NumPyArchive {
  fileprivate func prompt(_ index: Int) throws -> [Int32] { try self["p\(index)_ids"].elements(Int32.self) }
}

@Suite struct DecoderGoldenTests {
  @Test(arguments: DecoderGolden.languageModels)
  func logitsAreTransformers(golden: DecoderGolden) throws {
    let reference = try golden.reference()
    for set in InstructionSet.available {
      let session = try DecoderSession(path: golden.path, set)
      for prompt in 0..<3 {
        let logits = try session.logits(reference.prompt(prompt))
        #expect(greatestDifference(logits, try reference["p\(prompt)_logits"].floats()) < 5e-5, "\(set)")
      }
      #expect(
        try session.greedy(reference.prompt(1), count: 8) == reference["greedy"].elements(Int32.self))
    }
  }

  /// OpenBLAS sums in another order: the same but for rounding.
  @Test(
    arguments: ["qwen", "glm4", "qwen2_moe", "deepseek_v3"].map { DecoderGolden(name: $0, isGGUF: false) })
  func openBLASAgrees(golden: DecoderGolden) throws {
    let reference = try golden.reference()
    let session = try DecoderSession(path: golden.path, backend: .openBLAS)
    let logits = try session.logits(reference.prompt(2))
    #expect(greatestDifference(logits, try reference["p2_logits"].floats()) < 1e-4)
  }

  /// One model in two files: the same numbers in the same order, but for the order of rotated features.
  @Test(arguments: DecoderGolden.languageModels.filter { $0.isGGUF })
  func bothFormatsAgree(golden: DecoderGolden) throws {
    let prompt = try golden.reference().prompt(2)
    let other = DecoderGolden(name: golden.name, isGGUF: false)
    let logits = try DecoderSession(path: golden.path).logits(prompt)
    #expect(greatestDifference(logits, try DecoderSession(path: other.path).logits(prompt)) < 2e-5)
  }

  /// Half-precision keys and values change logits a little, and not at all how prompts may be cut.
  @Test(arguments: DecoderGolden.languageModels.filter { !$0.isGGUF })
  func halfPrecisionCache(golden: DecoderGolden) throws {
    let reference = try golden.reference()
    let prompt = try reference.prompt(2)
    let session = try DecoderSession(path: golden.path)
    let logits = try session.logits(prompt, cache: .f16)
    let expected = try reference["p2_logits"].floats()
    let difference = greatestDifference(logits, expected)
    #expect(difference > 0)
    if session.decoder.configuration.mixture == nil {
      #expect(difference < 0.03)
    } else {
      // Here and there a row goes to another expert.
      let sum = zip(logits, expected).reduce(0) { $0 + abs($1.0 - $1.1) }
      #expect(sum / Float(expected.count) < 0.03)
    }
    #expect(try session.logits(prompt, chunk: 7, cache: .f16) == logits)
  }

  @Test(arguments: InstructionSet.available)
  func embeddingsAreTransformers(set: InstructionSet) throws {
    let reference = try DecoderGolden.embedder.reference()
    let session = try DecoderSession(path: DecoderGolden.embedder.path, set, loadsHead: false)
    #expect(!session.decoder.hasHead)
    for prompt in 0..<3 {
      let hidden = try session.hiddenStates([reference.prompt(prompt)]).hidden
      #expect(greatestDifference(hidden, try reference["p\(prompt)_hidden"].floats()) < 2e-5)
    }
  }
}

/// The same bits, however the work is cut.
@Suite struct DecoderBitTests {
  /// Whole, in chunks of any size and token by token; on one thread and on several.
  @Test(arguments: DecoderGolden.languageModels, InstructionSet.available)
  func chunksAndThreads(golden: DecoderGolden, set: InstructionSet) throws {
    let prompt = try golden.reference().prompt(2)
    let session = try DecoderSession(path: golden.path, set, threads: 1)
    let whole = try session.logits(prompt)
    for threads in [1, 2, 3] {
      let session = try DecoderSession(path: golden.path, set, threads: threads)
      for chunk in [1, 2, 3, 7, 16, 128, 512] {
        #expect(try session.logits(prompt, chunk: chunk) == whole, "\(threads) threads, chunks of \(chunk)")
      }
    }
  }

  /// A prefix that is kept in the cache, after other tokens were dropped from it.
  @Test(arguments: KVCache.ElementType.allCases)
  func prefixIsReused(type: KVCache.ElementType) throws {
    let golden = DecoderGolden(name: "qwen3", isGGUF: false)
    let prompt = try golden.reference().prompt(2)
    let session = try DecoderSession(path: golden.path)
    let vocabulary = session.decoder.vocabularySize
    let whole = try session.logits(prompt, cache: type)
    for kept in [1, 15, 16, 17, 127, 128, 129] {
      let cache = session.decoder.makeCache(type)
      _ = try session.logits(Array(prompt.prefix(kept)) + prompt.reversed().prefix(60), after: cache)
      cache.truncate(to: kept)
      let rest = try session.logits(Array(prompt.dropFirst(kept)), after: cache)
      #expect(rest == Array(whole.dropFirst(kept * vocabulary)), "\(kept) tokens kept")
    }
  }

  /// A text's vector is the same alone and beside others, and run with a cache.
  @Test(arguments: InstructionSet.available)
  func sequencesDoNotSeeEachOther(set: InstructionSet) throws {
    let reference = try DecoderGolden.embedder.reference()
    let session = try DecoderSession(path: DecoderGolden.embedder.path, set, loadsHead: false)
    let sequences = try (0..<3).map { try reference.prompt($0) }
    let alone = try sequences.flatMap { try session.hiddenStates([$0]).hidden }
    #expect(try session.hiddenStates(sequences).hidden == alone)
    #expect(
      try session.hiddenStates(sequences.reversed()).hidden
        == sequences.reversed().flatMap { try session.hiddenStates([$0]).hidden })
    for pooling in Pooling.allCases {
      #expect(
        try session.embeddings(sequences, pooling)
          == sequences.flatMap { try session.embeddings([$0], pooling) })
    }
  }

  /// A text's vector is the same however its rows are cut into panels, alone or beside others.
  @Test(arguments: InstructionSet.available)
  func panelsOfTexts(set: InstructionSet) throws {
    let reference = try DecoderGolden.embedder.reference()
    let sequences = try [2, 0, 1, 2].map { try reference.prompt($0) }
    for golden in [DecoderGolden.embedder, DecoderGolden(name: "qwen2_swa", isGGUF: false)] {
      let session = try DecoderSession(path: golden.path, set, loadsHead: false)
      for pooling in Pooling.allCases {
        let whole = try session.embeddings(sequences, pooling, panel: .max)
        for panel in [1, 2, 7, 16, 128, 141, 200] {
          #expect(try session.embeddings(sequences, pooling, panel: panel) == whole, "panels of \(panel)")
        }
      }
    }
  }
}
