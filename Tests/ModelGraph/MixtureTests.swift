import Foundation
import SalanganeFiles
import SalanganeKernels
import SalanganeModelGraph
import SalanganeTensors
import SalanganeTestSupport
import Testing

/// What only mixtures of experts and attention over latents have.
@Suite struct MixtureTests {
  /// The length of a prompt whose latents are taken as they are, and one whose latents are expanded.
  private static let short = LatentAttention.expandedRows - 1
  private static let long = LatentAttention.expandedRows

  /// Keys and values out of the latents, or the latents themselves: the same but for rounding.
  @Test(arguments: DecoderGolden.latents.filter { !$0.isGGUF })
  func bothFormsAgree(golden: DecoderGolden) throws {
    for set in InstructionSet.available {
      let session = try DecoderSession(path: golden.path, set)
      var random = SplitMix64(seed: 5)
      let vocabulary = Int32(session.decoder.vocabularySize)
      for length in [1, 33, min(600, session.decoder.contextLength)] {
        let tokens = (0..<length).map { _ in Int32.random(in: 0..<vocabulary, using: &random) }
        let absorbed = try session.logits(tokens, prompt: Self.short)
        let expanded = try session.logits(tokens, prompt: Self.long)
        #expect(greatestDifference(absorbed, expanded) < 1e-4, "\(set), \(length) tokens")
      }
    }
  }

  /// Expanded latents give transformers' logits too, and the same bits whole, in chunks, and on several threads.
  @Test(arguments: DecoderGolden.latents)
  func expandedLatentsAreTransformers(golden: DecoderGolden) throws {
    let reference = try golden.reference()
    for set in InstructionSet.available {
      for prompt in 0..<3 {
        let ids = try reference["p\(prompt)_ids"].elements(Int32.self)
        let whole = try DecoderSession(path: golden.path, set, threads: 1).logits(ids, prompt: Self.long)
        #expect(greatestDifference(whole, try reference["p\(prompt)_logits"].floats()) < 5e-5, "\(set)")
        for (threads, chunk) in [(2, 512), (2, 7), (3, 64)] {
          let session = try DecoderSession(path: golden.path, set, threads: threads)
          #expect(try session.logits(ids, prompt: Self.long, chunk: chunk) == whole, "\(threads), \(chunk)")
        }
      }
    }
  }

  /// A prompt that is read in several calls has the bits of one that is read in one, if the calls say so.
  @Test func promptsInParts() throws {
    let session = try DecoderSession(path: DecoderGolden(name: "deepseek_v3", isGGUF: false).path)
    let prompt = Self.tokens(Self.long + 60, session)
    let whole = try session.logits(prompt)
    let cache = session.decoder.makeCache()
    var parts: [Float] = []
    for first in stride(from: 0, to: prompt.count, by: 75) {
      let part = Array(prompt[first..<min(first + 75, prompt.count)])
      parts += try session.logits(part, prompt: prompt.count, after: cache)
    }
    #expect(parts == whole)
    #expect(try session.logits(prompt, prompt: Self.short) != whole)
  }

  private static func tokens(_ count: Int, _ session: DecoderSession) -> [Int32] {
    var random = SplitMix64(seed: UInt64(count))
    let vocabulary = Int32(session.decoder.vocabularySize)
    return (0..<count).map { _ in Int32.random(in: 0..<vocabulary, using: &random) }
  }

  /// Short and long texts in one batch: each takes its own form.
  @Test(arguments: ["deepseek_v2_lite", "deepseek_v3"])
  func batchesOfBothForms(name: String) throws {
    let session = try DecoderSession(path: DecoderGolden(name: name, isGGUF: true).path)
    let texts = [1, Self.long + 20, 30, Self.short, Self.long, 5].map { Self.tokens($0, session) }
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
