import Foundation
import SalanganeFiles
import SalanganeKernels
import SalanganeModelGraph
import SalanganeTensors
import SalanganeTestSupport
import Testing

/// What only mixtures of experts and attention over latents have.
@Suite struct MixtureTests {
  /// Whole, in chunks, in several calls, token by token and on several threads: the same bits, which are transformers'
  /// logits.
  @Test(arguments: DecoderGolden.latents)
  func cutsOfLatentPromptsChangeNoBit(golden: DecoderGolden) throws {
    let reference = try golden.reference()
    for set in InstructionSet.available {
      for prompt in 0..<3 {
        let ids = try reference["p\(prompt)_ids"].elements(Int32.self)
        let whole = try DecoderSession(path: golden.path, set, threads: 1).logits(ids)
        #expect(greatestDifference(whole, try reference["p\(prompt)_logits"].floats()) < 5e-5, "\(set)")
        for (threads, chunk) in [(2, 512), (2, 7), (3, 64), (2, 1)] {
          let session = try DecoderSession(path: golden.path, set, threads: threads)
          #expect(try session.logits(ids, chunk: chunk) == whole, "\(threads), \(chunk)")
        }
      }
    }
  }

  /// A prompt that is read in several calls has the bits of one that is read in one.
  @Test(arguments: [KVCache.ElementType.f32, .f16, .q8])
  func promptsInParts(type: KVCache.ElementType) throws {
    let session = try DecoderSession(path: DecoderGolden(name: "deepseek_v3", isGGUF: false).path)
    let prompt = Self.tokens(316, session)
    let whole = try session.logits(prompt, after: session.decoder.makeCache(type))
    let cache = session.decoder.makeCache(type)
    var parts: [Float] = []
    for first in stride(from: 0, to: prompt.count, by: 75) {
      parts += try session.logits(Array(prompt[first..<min(first + 75, prompt.count)]), after: cache)
    }
    #expect(parts == whole)
  }

  private static func tokens(_ count: Int, _ session: DecoderSession) -> [Int32] {
    var random = SplitMix64(seed: UInt64(count))
    let vocabulary = Int32(session.decoder.vocabularySize)
    return (0..<count).map { _ in Int32.random(in: 0..<vocabulary, using: &random) }
  }

  /// Short and long texts in one batch, also in panels.
  @Test(arguments: ["deepseek_v2_lite", "deepseek_v3"])
  func batchesOfLatents(name: String) throws {
    let session = try DecoderSession(path: DecoderGolden(name: name, isGGUF: true).path)
    let texts = [1, 276, 30, 255, 256, 5].map { Self.tokens($0, session) }
    let alone = try texts.flatMap { try session.hiddenStates([$0]).hidden }
    #expect(try session.hiddenStates(texts).hidden == alone)
    let vectors = try texts.flatMap { try session.embeddings([$0], .mean) }
    for panel in [33, 64, 300] {
      #expect(try session.embeddings(texts, .mean, panel: panel) == vectors, "panels of \(panel)")
    }
  }

  /// As many experts as the option says, as if the file said so.
  @Test(arguments: [("qwen3_moe", 1), ("qwen3_moe", 6), ("deepseek_v3", 4)])
  func otherNumbersOfExperts(name: String, count: Int) throws {
    let golden = DecoderGolden(name: name, isGGUF: false)
    let directory = try TemporaryDirectory()
    let file = try TestFiles.read(golden.path + "/config.json")
    var values = try #require(try JSONSerialization.jsonObject(with: Data(file)) as? [String: Any])
    values["num_experts_per_tok"] = count
    try directory.write(try JSONSerialization.data(withJSONObject: values), to: "config.json")
    try directory.write(try TestFiles.read(golden.path + "/model.safetensors"), to: "model.safetensors")
    let prompt: [Int32] = [3, 14, 15, 9, 26]
    let expected = try DecoderSession(path: directory.path).logits(prompt)
    #expect(try DecoderSession(path: golden.path, usedExperts: count).logits(prompt) == expected)
    #expect(try DecoderSession(path: golden.path).logits(prompt) != expected)
  }

  /// Larger models normalise heads, Air doesn't.
  @Test func headNormsOfGLM() throws {
    let directory = try TemporaryDirectory()
    let path = DecoderGolden(name: "glm4_moe", isGGUF: false).path
    let text = String(decoding: try TestFiles.read(path + "/config.json"), as: UTF8.self)
    try directory.write(
      text.replacingOccurrences(of: "\"use_qk_norm\": true", with: "\"use_qk_norm\": false"),
      to: "config.json")
    try directory.write(try TestFiles.read(path + "/model.safetensors"), to: "model.safetensors")
    let session = try DecoderSession(path: directory.path)
    #expect(!session.decoder.configuration.normalizesHeads)
    #expect(try session.logits([1, 2, 3]) != DecoderSession(path: path).logits([1, 2, 3]))
  }

  /// What is said beforehand is what weights take then.
  @Test(arguments: DecoderGolden.languageModels)
  func memoryIsKnownBeforehand(golden: DecoderGolden) throws {
    for (backend, precision) in [
      (MatmulBackend.native, WeightPrecision.stored), (.openBLAS, .float), (.native, .int8),
    ] {
      let options = WeightOptions(backend: backend, precision: precision)
      let needed = try MemoryRequirements(Checkpoint(path: golden.path), options: options)
      let session = try DecoderSession(path: golden.path, backend: backend, precision: precision)
      #expect(needed.weights == session.decoder.byteCount)
      #expect(needed.cacheLayers == session.decoder.cacheLayers)
      #expect(needed.contextLength == session.decoder.contextLength)
      #expect(needed.scratch > 0)
    }
  }

  @Test func latentsAreAllThatIsKept() throws {
    for golden in DecoderGolden.latents {
      let needed = try MemoryRequirements(Checkpoint(path: golden.path), options: WeightOptions())
      #expect(needed.cacheLayers.map(\.valuesPerPosition) == [28, 28])
    }
  }
}
