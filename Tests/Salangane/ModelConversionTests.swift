import Foundation
import Salangane
import SalanganeFiles
import SalanganeTestSupport
import Testing

/// Model directories that become GGUF files.
@Suite struct ModelConversionTests {
  /// The golden decoders of `Tests/Goldens/make_decoders.py` that have a GGUF file too, or might have.
  static let decoders = [
    "qwen", "qwen2", "qwen2_yarn", "qwen3", "qwen3_fp8", "qwen3_embed", "llama3", "llama_linear", "glm",
    "chatglm", "glm4", "qwen2_moe", "qwen3_moe", "glm4_moe", "glm4_moe_lite", "deepseek", "deepseek_v2",
    "deepseek_v2_lite", "deepseek_v3",
  ]

  /// Gives a directory with a golden model, which has no tokenizer, one with as many tokens as it needs.
  static func directory(_ name: String, in folder: TemporaryDirectory) throws -> String {
    let path = folder.path("model")
    try FileManager.default.copyItem(atPath: TestFiles.golden("decoders/\(name)"), toPath: path)
    let configuration = try JSONDocument(TestFiles.read(path + "/config.json"), file: "config.json").root
    let sizes = ["padded_vocab_size", "vocab_size"].compactMap { configuration[$0]?.int }
    let size = try #require(sizes.first)
    let tokens = (0..<size).map { #""t\#($0)":\#($0)"# }.joined(separator: ",")
    let isQwen = name.hasPrefix("qwen")
    let pattern =
      #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}"# + (isQwen ? "" : "{1,3}")
      + #"| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"#
    try folder.write(
      #"""
      {"pre_tokenizer":{"type":"Sequence","pretokenizers":[
        {"type":"Split","pattern":{"Regex":"\#(pattern)"},"behavior":"Isolated"},
        {"type":"ByteLevel","add_prefix_space":false,"use_regex":false}]},
       "model":{"type":"BPE","ignore_merges":\#(!isQwen),"vocab":{\#(tokens)},"merges":[]}}
      """#, to: "model/tokenizer.json")
    return path
  }

  static func convert(
    _ path: String, _ scheme: QuantizationScheme = .f32, in folder: TemporaryDirectory
  ) async throws -> Checkpoint {
    let quantizer = try await ModelQuantizer(
      contentsOf: URL(fileURLWithPath: path), options: .init(scheme: scheme))
    try await quantizer.write(to: URL(fileURLWithPath: folder.path("out.gguf")))
    return try Checkpoint(path: folder.path("out.gguf"))
  }

  @Test(arguments: decoders)
  func decodersGiveTheSameLogits(name: String) async throws {
    let folder = try TemporaryDirectory()
    let written = try await Self.convert(Self.directory(name, in: folder), in: folder)
    let reference = try NumPyArchive(contentsOf: TestFiles.golden("decoders/\(name)/ref.npz"))
    let model = try await LanguageModel(
      contentsOf: URL(fileURLWithPath: written.path), options: .init(cacheType: .f32))
    // An embedder has no logits.
    for prompt in 0..<(name == "qwen3_embed" ? 0 : 3) {
      let logits = try await model.logits(tokens: reference["p\(prompt)_ids"].elements(Int32.self))
      let expected = try reference["p\(prompt)_logits"].floats()
      #expect(logits.count == expected.count)
      let difference = zip(logits, expected).reduce(Float(0)) { max($0, ($1.0 - $1.1).magnitude) }
      #expect(difference < 5e-5)
    }
    // What the reference's converter made of the model, where there is that. Some of these files have experts in
    // tensors of their own, fused matrices, or layers for multi-token prediction.
    let gguf = TestFiles.golden("decoders/\(name)/model.gguf")
    guard TestFiles.exists(gguf) else { return }
    let golden = try Checkpoint(path: gguf)
    var common = 0
    for tensor in golden.tensors {
      guard let own = written[tensor.name] else {
        #expect(name.contains("moe") || name.hasPrefix("deepseek"), "\(tensor)")
        continue
      }
      common += 1
      let values = try ModelQuantizerTests.values(own)
      let expected = try ModelQuantizerTests.values(tensor)
      #expect(own.shape == tensor.shape || name == "qwen2_moe", "\(own) \(tensor)")
      // Divisors of frequencies are computed, in another precision.
      #expect(zip(values, expected).allSatisfy { ($0 - $1).magnitude <= $1.magnitude * 2e-7 }, "\(tensor)")
    }
    #expect(common * 5 > written.tensors.count * 3)
  }

  /// GGUF's `deepseek2` rotates neighbouring pairs: the rows of a model that rotates halves are reordered.
  @Test func halvesThatAreRotatedBecomePairs() async throws {
    let folder = try TemporaryDirectory()
    let path = try Self.directory("deepseek_v3", in: folder)
    let prompt: [Int32] = [7, 3, 60, 12, 3, 41, 9]
    func logits(_ path: String) async throws -> [Float] {
      try await LanguageModel(
        contentsOf: URL(fileURLWithPath: path), options: .init(cacheType: .f32)
      ).logits(tokens: prompt)
    }
    let pairs = try await logits(path)
    let text = String(decoding: try TestFiles.read(path + "/config.json"), as: UTF8.self)
    try folder.write(
      text.replacing("\"moe_layer_freq\"", with: "\"rope_interleave\": false, \"moe_layer_freq\""),
      to: "model/config.json")
    let halves = try await logits(path)
    let converted = try await logits(Self.convert(path, in: folder).path)
    func difference(_ values: [Float]) -> Float {
      zip(values, halves).reduce(0) { max($0, ($1.0 - $1.1).magnitude) }
    }
    #expect(difference(pairs) > 1e-3)
    #expect(converted.count == halves.count)
    #expect(difference(converted) < 2e-5)
  }

  @Test(arguments: [QuantizationScheme.f16, .bf16, .q8_0])
  func typesOfAConvertedModel(scheme: QuantizationScheme) async throws {
    let folder = try TemporaryDirectory()
    let written = try await Self.convert(
      TestFiles.golden("rerankers/untied"), scheme, in: folder)
    for tensor in written.tensors {
      let expected: TensorType = tensor.shape.count == 1 ? .f32 : scheme.tensorType
      let fits = try #require(tensor.shape.last) % expected.valuesPerBlock == 0
      #expect(tensor.type == (fits ? expected : .f16), "\(tensor)")
    }
    let metadata = try #require(written.gguf).metadata
    #expect(metadata["general.architecture"]?.string == "qwen3")
    #expect(metadata["general.name"]?.string == "untied")
    #expect(metadata["qwen3.attention.key_length"]?.int == 16)
    // A model with a real tokenizer generates the same text, and finds the same tokens in it.
    let original = try await LanguageModel(contentsOf: GenerationGolden.url)
    let model = try await LanguageModel(contentsOf: URL(fileURLWithPath: written.path))
    let text = "Swiftlets nest in caves, <think> and 12 of them don't."
    #expect(
      try model.tokenizer.encode(text, options: .init()).ids
        == original.tokenizer.encode(text, options: .init()).ids)
    let golden = try GenerationGolden()
    guard scheme != .q8_0 else { return }
    let summary = try await model.generate(
      tokens: golden.prompt, options: .init(maximumTokens: 8, ignoresEndOfSequence: true)
    ).summary()
    #expect(summary.ids == Array(golden.ids.prefix(8)))
  }

  @Test(arguments: ["bert/wide", "bert/odd", "rerankers/embedding"])
  func embeddersGiveTheSameVectors(name: String) async throws {
    let folder = try TemporaryDirectory()
    let written = try await Self.convert(TestFiles.golden(name), in: folder)
    let original = try await Embedder(contentsOf: URL(fileURLWithPath: TestFiles.golden(name)))
    let embedder = try await Embedder(contentsOf: URL(fileURLWithPath: written.path))
    #expect(embedder.pooling == original.pooling)
    #expect(embedder.dimensions == original.dimensions)
    for text in ["", "The swiftlet nests in a cave.", "Zwölf 鳥, naïve [MASK] don't!"] {
      // GGUF doesn't say whether vectors are normalised: readers do it.
      let expected = try await original.embed(text, options: .init(normalizes: true))
      #expect(try await embedder.embed(text) == expected)
    }
  }

  @Test func crossEncodersGiveTheSameScores() async throws {
    let folder = try TemporaryDirectory()
    let path = TestFiles.golden("bert/cross")
    let written = try await Self.convert(path, in: folder)
    #expect(try #require(written.gguf).metadata["bert.pooling_type"]?.int == 4)
    let original = try await Reranker(contentsOf: URL(fileURLWithPath: path))
    let reranker = try await Reranker(contentsOf: URL(fileURLWithPath: written.path))
    let documents = ["a bird", "swiftlets click in the dark", ""]
    let expected = try await original.score(query: "swift", documents: documents)
    let scores = try await reranker.score(query: "swift", documents: documents)
    // The directory's configuration asks for probabilities, which GGUF has no key for.
    for (score, expected) in zip(scores, expected) {
      #expect((1 / (1 + exp(-score)) - expected).magnitude < 1e-6)
    }
  }

  /// A directory that can't be converted, and what the error says.
  struct Refusal: CustomTestStringConvertible, Sendable {
    let testDescription: String
    let kind: ModelFileError.Kind
    let message: String
    let spoil: @Sendable (TemporaryDirectory) throws -> Void

    init(
      _ name: String, _ kind: ModelFileError.Kind, _ message: String,
      _ spoil: @escaping @Sendable (TemporaryDirectory) throws -> Void
    ) {
      testDescription = name
      self.kind = kind
      self.message = message
      self.spoil = spoil
    }

    /// Replaces a text in `config.json`.
    static func configuration(
      _ name: String, _ kind: ModelFileError.Kind, _ message: String, replacing old: String, by new: String
    ) -> Refusal {
      Refusal(name, kind, message) { folder in
        let text = String(decoding: try folder.read("model/config.json"), as: UTF8.self)
        #expect(text.contains(old))
        try folder.write(text.replacing(old, with: new), to: "model/config.json")
      }
    }

    /// Replaces a text of the same length in the header of the weights.
    static func header(
      _ name: String, _ kind: ModelFileError.Kind, _ message: String, replacing old: String, by new: String
    ) -> Refusal {
      Refusal(name, kind, message) { folder in
        var bytes = try folder.read("model/model.safetensors")
        let range = try #require(bytes.firstRange(of: Array(old.utf8)))
        bytes.replaceSubrange(range, with: Array(new.utf8))
        try folder.write(bytes, to: "model/model.safetensors")
      }
    }
  }

  @Test(arguments: [
    Refusal.configuration(
      "unknown architecture", .unsupported, "model_type", replacing: "\"qwen3\"", by: "\"gpt2\""),
    .configuration(
      "quantised by other means", .unsupported, "quant_method", replacing: "{\n",
      by: #"{"quantization_config":{"quant_method":"awq"},"#),
    .configuration(
      "sliding window", .unsupported, "sliding_window", replacing: "{\n",
      by: #"{"use_sliding_window":true,"sliding_window":8,"max_window_layers":1,"#),
    .init("dense layers among mixtures", .unsupported, "decoder_sparse_step") { folder in
      try FileManager.default.removeItem(atPath: folder.path("model"))
      _ = try directory("qwen2_moe_mixed", in: folder)
    },
    .init("biases of attention over latents", .unsupported, "attention_bias") { folder in
      try FileManager.default.removeItem(atPath: folder.path("model"))
      _ = try directory("deepseek_v3_fp8", in: folder)
    },
    .init("weights of experts that are divided by their sum", .unsupported, "norm_topk_prob") { folder in
      try FileManager.default.removeItem(atPath: folder.path("model"))
      let path = try directory("qwen2_moe", in: folder)
      let text = String(decoding: try TestFiles.read(path + "/config.json"), as: UTF8.self)
      try folder.write(
        text.replacing("\"norm_topk_prob\": false", with: "\"norm_topk_prob\": true"),
        to: "model/config.json")
    },
    .configuration(
      "wrong width", .malformed, "shape", replacing: "\"hidden_size\": 40", by: "\"hidden_size\": 48"),
    .configuration(
      "one layer too many", .malformed, "model.layers.2.", replacing: "\"num_hidden_layers\": 2",
      by: "\"num_hidden_layers\": 3"),
    .configuration(
      "a layer that is left over", .unsupported, "model.layers.1.", replacing: "\"num_hidden_layers\": 2",
      by: "\"num_hidden_layers\": 1"),
    .header(
      "missing tensor", .malformed, "model.norm.weight", replacing: "model.norm.weight",
      by: "model.form.weight"),
    .init("no tokenizer", .missing, "tokenizer.json") { folder in
      try FileManager.default.removeItem(atPath: folder.path("model/tokenizer.json"))
    },
    .init("a tokenizer of another kind", .unsupported, "tokenizer") { folder in
      try folder.write(
        TestFiles.read(TestFiles.golden("sentencepiece/unigram-new/tokenizer.json")),
        to: "model/tokenizer.json")
      try FileManager.default.removeItem(atPath: folder.path("model/tokenizer_config.json"))
    },
  ])
  func whatCannotBeConvertedIsRefused(refusal: Refusal) async throws {
    let folder = try TemporaryDirectory()
    try FileManager.default.copyItem(
      atPath: TestFiles.golden("rerankers/untied"), toPath: folder.path("model"))
    try refusal.spoil(folder)
    await #expect {
      try await ModelQuantizer(
        contentsOf: URL(fileURLWithPath: folder.path("model")), options: .init(scheme: .q8_0))
    } throws: { error in
      guard let error = error as? ModelFileError else { return false }
      return error.kind == refusal.kind && error.description.contains(refusal.message)
    }
  }
}
