import Foundation
import SalanganeFiles
import SalanganeHostileInput
import SalanganeTestSupport
import Testing

extension HostileInput {
  /// Valid inputs of the kind, in Tests/Goldens.
  var originals: [[UInt8]] {
    get async throws {
      let names: [String]
      switch self {
      case .gguf:
        names = [
          "files/types.gguf", "rerankers/qwen3.gguf", "bert/wide-q4_0.gguf",
          "decoders/deepseek_v2_lite/model.gguf",
          "decoders/qwen3_moe/model.gguf", "sentencepiece/bpe.gguf", "sentencepiece/unigram.gguf",
        ]
      case .safetensors: names = ["files/types.safetensors", "decoders/deepseek_v3_fp8/model.safetensors"]
      case .configuration:
        names =
          [
            "qwen", "qwen2", "qwen2_moe", "qwen3", "qwen3_moe", "llama3", "chatglm", "glm4", "glm4_moe",
            "deepseek_v2",
            "deepseek_v3", "qwen2_yarn",
          ].map { "decoders/\($0)/config.json" } + ["bert/odd/config.json"]
      case .index:
        return [
          Array(
            #"{"metadata":{"total_size":1},"weight_map":{"model.norm.weight":"weights.safetensors"}}"#.utf8)
        ]
          + (try [index()])
      case .tokenizerJSON:
        names =
          ["bert-uncased", "qwen2", "llama-bpe", "deepseek-v3"].map { "tokenizers/\($0)/tokenizer.json" }
          + ["bpe-legacy", "bpe-metaspace", "unigram-new", "unigram-bytes-json"].map {
            "sentencepiece/\($0)/tokenizer.json"
          }
      case .sentencePiece:
        names = ["bpe", "unigram", "unigram-bytes", "bpe-unknown"].map {
          "sentencepiece/\($0)/tokenizer.model"
        }
      case .wordPieceText, .bytePairText:
        return [
          "The swiftlet nests in a cave by the sea.", "[CLS] the [MASK] flies [SEP] <|end|> <|im_start|>",
          "鳥 flies über the 海 🐦\u{200D}🔥", "tab\there \"quoted\" \\ back\r\n\r\n   x'S 1234567",
          String(repeating: "one ", count: 50), "\u{1}\u{7F}\u{85}\u{2028}x e\u{301}\u{FDFA}\u{1100}\u{1161}",
        ].map { Array($0.utf8) }
      case .promptCache:
        let directory = try TemporaryDirectory()
        try await HostileInputRunner.writePromptCache(
          to: directory.path("cache"), goldens: TestFiles.golden(""))
        return [try directory.read("cache")]
      }
      return try names.map { try TestFiles.read(TestFiles.golden($0)) }
    }
  }

  /// An index that names every tensor of the golden that lies beside it.
  private func index() throws -> [UInt8] {
    let file = try SafetensorsFile(path: TestFiles.golden("decoders/qwen3_moe/model.safetensors"))
    let entries = file.tensors.map { "\"\($0.name)\":\"weights.safetensors\"" }
    return Array("{\"weight_map\":{\(entries.joined(separator: ","))}}".utf8)
  }
}

/// Mutants of valid inputs, each refused with one line or used without harm.
///
/// `SALANGANE_MUTANTS=100000` in the environment makes many more of them, from the number `SALANGANE_MUTANT_START` on,
/// and reports the longest time that one took. The mutant that ended the process lies in its temporary directory.
@Suite struct MutantTests {
  private static let environment = ProcessInfo.processInfo.environment
  private static let asked = environment["SALANGANE_MUTANTS"].flatMap { Int($0) }
  private static let start = environment["SALANGANE_MUTANT_START"].flatMap { Int($0) } ?? 0

  @Test(arguments: HostileInput.allCases)
  func areRefusedOrUsed(_ kind: HostileInput) async throws {
    let mutator = Mutator(
      try await kind.originals, words: kind == .gguf || kind == .promptCache ? [] : Mutator.jsonWords)
    let directory = try TemporaryDirectory()
    let goldens = TestFiles.golden("")
    let runner = try await HostileInputRunner(kind, directory: directory.path, goldens: goldens)
    // What the mutants are made of is valid, or they would show little.
    for original in mutator.originals where kind != .index {
      if case .refused(let message) = try runner.run(original), !message.contains("expected a tensor"),
        !message.contains(" shape"), !message.contains("tokenizer.ggml.model"),
        !message.contains("expected a tokenizer.json")
      {
        Issue.record("\(kind): \(message)")
      }
    }
    let count = Self.asked ?? (kind.isFile ? 400 : 800)
    var accepted = 0
    var longest = (seconds: 0.0, number: 0)
    for number in Self.start..<Self.start + count {
      let mutant = mutator.mutant(number)
      let began = clock()
      if try runner.run(mutant) == .accepted { accepted += 1 }
      let seconds = Double(clock() - began) / Double(CLOCKS_PER_SEC)
      if seconds > longest.seconds { longest = (seconds, number) }
    }
    // Both happen, or the mutants would test little.
    if kind.isFile {
      #expect(accepted < count, "all \(count) accepted")
      #expect(accepted > 0 || [.index, .configuration, .promptCache].contains(kind))
    }
    if Self.asked != nil {
      print(
        "\(kind.rawValue): \(count) mutants, \(accepted) accepted; at most \(longest.seconds) s of the process's CPU time, number \(longest.number)"
      )
    }
  }
}
