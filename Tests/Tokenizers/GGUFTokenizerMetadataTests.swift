import Foundation
import SalanganeFiles
import SalanganeTestSupport
import SalanganeTokenizers
import Testing

/// Tokenizers of directories, described as in GGUF files, and read again.
@Suite struct GGUFTokenizerMetadataTests {
  static func configuration(_ json: String = "{}") throws -> Hyperparameters {
    let text = #"{"model_type":"any","# + json.dropFirst()
    return try Hyperparameters(
      configuration: JSONDocument(Array(text.replacing(",}", with: "}").utf8), file: "config.json"))
  }

  /// The description of a directory's tokenizer.
  static func values(
    _ directory: ModelDirectory, size: Int? = nil, _ configuration: String = "{}",
    _ conventions: GGUFTokenizerMetadata.Conventions = .init()
  ) throws -> [String: GGUFValue] {
    let size = try size ?? TokenizerLoader.load(directory).vocabularySize
    let metadata = try GGUFTokenizerMetadata(
      directory, configuration: Self.configuration(configuration), size: size, conventions: conventions)
    return Dictionary(metadata.values.map { ($0.key, $0.value) }) { _, _ in
      Issue.record("a key twice")
      return .bool(false)
    }
  }

  /// The tokenizer that a description stands for.
  static func tokenizer(_ values: [String: GGUFValue]) throws -> any TextTokenizer {
    let folder = try TemporaryDirectory()
    var writer = GGUFWriter()
    writer.set("general.architecture", .string("any"))
    for (key, value) in values { writer.set(key, value) }
    try writer.write(to: folder.path("v.gguf")) { _, _ in }
    return try TokenizerLoader.load(path: folder.path("v.gguf"))
  }

  @Test(arguments: TokenizerGoldens.families)
  func bothKindsOfFileGiveTheSameIDs(family: String) throws {
    let goldens = try TokenizerGoldens.shared.get()
    let directory = try TokenizerGoldens.directory(family)
    let original = try TokenizerLoader.load(directory)
    // Three rows of the table have no token.
    let values = try Self.values(directory, size: original.vocabularySize + 3)
    let written = try Self.tokenizer(values)
    #expect(written.vocabularySize == original.vocabularySize + 3)
    #expect(written.token(for: Int32(original.vocabularySize + 1)) == "[PAD\(original.vocabularySize + 1)]")
    if !family.hasPrefix("bert") { #expect(values["tokenizer.ggml.pre"]?.string == family) }
    for text in goldens.texts {
      for options in [EncodingOptions(), .init(addsSpecialTokens: false, recognizesAddedTokens: false)] {
        let ids = try original.encode(text, options: options).ids
        #expect(try written.encode(text, options: options).ids == ids, "\(text)")
      }
    }
    #expect(written.specialTokens.unknown == original.specialTokens.unknown)
    #expect(written.specialTokens.padding == original.specialTokens.padding)
    #expect(written.specialTokens.mask == original.specialTokens.mask)
  }

  @Test func sentencePieceKeepsItsScores() throws {
    let folder = try TemporaryDirectory()
    let reference = try GGUFFile(path: TestFiles.golden("sentencepiece/bpe.gguf")).metadata
    let known = try #require(reference["tokenizer.ggml.scores"]?.array?.floats)
    let path = TestFiles.golden("sentencepiece/bpe/tokenizer.model")
    try folder.write(TestFiles.read(path), to: "tokenizer.model")
    try folder.write(
      #"{"tokenizer_class":"LlamaTokenizer","#
        + #""added_tokens_decoder":{"\#(known.count)":{"content":"<extra>","special":true}}}"#,
      to: "tokenizer_config.json")
    let directory = try ModelDirectory(path: folder.path)
    let original = try TokenizerLoader.load(directory)
    let values = try Self.values(directory)
    let scores = try #require(values["tokenizer.ggml.scores"]?.array?.floats)
    #expect(scores == known + [-1000])
    let types = try #require(values["tokenizer.ggml.token_type"]?.array?.ints)
    #expect(types == (try #require(reference["tokenizer.ggml.token_type"]?.array?.ints)) + [3])
    let written = try Self.tokenizer(values)
    let root = try JSONDocument(
      TestFiles.read(TestFiles.golden("sentencepiece/cases.json")), file: "cases.json"
    ).root
    // Around the tokens that users defined, such as runs of spaces, llama.cpp has rules of its own.
    let texts = try #require(root["texts"]).elements.compactMap(\.string).filter { text in
      !["->", "<", "  ", "\u{2581}", "\u{A0}", "\t"].contains { text.contains($0) }
    }
    #expect(texts.count > 20)
    for text in texts + ["a <extra> b"] {
      let ids = try original.encode(text, options: .init()).ids
      #expect(try written.encode(text, options: .init()).ids == ids, "\(text)")
    }
  }

  /// A byte-level tokenizer of five tokens and four added ones.
  static func directory(
    _ folder: TemporaryDirectory, postProcessor: String = "null", configuration: String = "{}",
    normalizer: String = "null", split: String = #"\\p{N}"#, ignoresMerges: Bool = false
  ) throws -> ModelDirectory {
    let pattern =
      #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|"# + split
      + #"| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"#
    try folder.write(
      #"""
      {"added_tokens":[{"id":5,"content":"<|user|>","special":true},{"id":6,"content":"<|endoftext|>","special":true},
       {"id":7,"content":"<think>","special":false},{"id":8,"content":"<|odd|>","special":false}],
       "normalizer":\#(normalizer),"post_processor":\#(postProcessor),"decoder":{"type":"ByteLevel"},
       "pre_tokenizer":{"type":"Sequence","pretokenizers":[
        {"type":"Split","pattern":{"Regex":"\#(pattern)"},"behavior":"Isolated"},
        {"type":"ByteLevel","add_prefix_space":false,"use_regex":false}]},
       "model":{"type":"BPE","ignore_merges":\#(ignoresMerges),"vocab":{"a":0,"b":1,"c":2,"ab":3,"abc":4},
        "merges":["a b",["ab","c"]]}}
      """#, to: "tokenizer.json")
    try folder.write(configuration, to: "tokenizer_config.json")
    return try ModelDirectory(path: folder.path)
  }

  /// A post-processor that puts tokens around a text.
  static func template(_ before: [String], _ after: [String]) -> String {
    let ids = ["<|user|>": 5, "<|endoftext|>": 6, "<think>": 7]
    let special = { (name: String) in #"{"SpecialToken":{"id":"\#(name)","type_id":0}}"# }
    let parts = before.map(special) + [#"{"Sequence":{"id":"A","type_id":0}}"#] + after.map(special)
    let pair = parts + [#"{"Sequence":{"id":"B","type_id":0}}"#]
    let tokens = Set(before + after).map {
      #""\#($0)":{"id":"\#($0)","ids":[\#(ids[$0]!)],"tokens":["\#($0)"]}"#
    }
    return #"{"type":"TemplateProcessing","single":[\#(parts.joined(separator: ","))],"#
      + #""pair":[\#(pair.joined(separator: ","))],"special_tokens":{\#(tokens.joined(separator: ","))}}"#
  }

  @Test func tokensTypesAndMerges() throws {
    let folder = try TemporaryDirectory()
    let values = try Self.values(Self.directory(folder), size: 11)
    #expect(
      values["tokenizer.ggml.tokens"]?.array?.strings == [
        "a", "b", "c", "ab", "abc", "<|user|>", "<|endoftext|>", "<think>", "<|odd|>", "[PAD9]", "[PAD10]",
      ])
    // A token in the shape of a special one is one, whatever the file says.
    #expect(values["tokenizer.ggml.token_type"]?.array?.ints == [1, 1, 1, 1, 1, 3, 3, 4, 3, 5, 5])
    #expect(values["tokenizer.ggml.merges"]?.array?.strings == ["a b", "ab c"])
    #expect(values["tokenizer.ggml.model"]?.string == "gpt2")
    #expect(values["tokenizer.ggml.pre"]?.string == "qwen2")
    #expect(values["tokenizer.ggml.add_bos_token"]?.bool == false)
    #expect(values["tokenizer.ggml.add_eos_token"]?.bool == false)
    #expect(values["tokenizer.chat_template"] == nil)
  }

  /// Which special tokens come out of which files.
  struct SpecialCase: CustomTestStringConvertible, Sendable {
    var testDescription: String { "\(before) \(after) \(tokenizer) \(model)" }
    var before: [String] = []
    var after: [String] = []
    var tokenizer = "{}"
    var model = "{}"
    var expected: [String: Int]
    var begins = false
    var ends = false
  }

  @Test(arguments: [
    SpecialCase(expected: [:]),
    .init(tokenizer: #"{"eos_token":"<|user|>"}"#, expected: ["eos": 5]),
    .init(
      tokenizer: #"{"eos_token":{"content":"<|user|>"},"pad_token":"<|endoftext|>"}"#,
      expected: ["eos": 5, "padding": 6]),
    // The configuration of the model names what the tokenizer's doesn't; of several the first counts.
    .init(
      tokenizer: #"{"eos_token":"<|user|>"}"#,
      model: #"{"bos_token_id":6,"eos_token_id":7,"pad_token_id":-1}"#,
      expected: ["eos": 5, "bos": 6]),
    .init(model: #"{"eos_token_id":[6,5]}"#, expected: ["eos": 6]),
    .init(before: ["<|user|>"], expected: ["bos": 5], begins: true),
    // As Qwen3-Embedding: what is put behind a text ends it, and what ended it so far ends a turn.
    .init(
      after: ["<|endoftext|>"], tokenizer: #"{"eos_token":"<|user|>"}"#, expected: ["eos": 6, "eot": 5],
      ends: true),
    .init(
      before: ["<|user|>"], after: ["<|endoftext|>"],
      tokenizer: #"{"bos_token":"<|user|>","eos_token":"<|endoftext|>"}"#, expected: ["bos": 5, "eos": 6],
      begins: true, ends: true),
  ])
  func specialTokens(special: SpecialCase) throws {
    let folder = try TemporaryDirectory()
    let directory = try Self.directory(
      folder, postProcessor: Self.template(special.before, special.after), configuration: special.tokenizer)
    let values = try Self.values(directory, special.model)
    let ids = values.filter { $0.key.hasSuffix("_token_id") }.map { ($0.key, $0.value.int) }
    let expected = special.expected.map { ("tokenizer.ggml.\($0.key)_token_id", Optional($0.value)) }
    #expect(Dictionary(uniqueKeysWithValues: ids) == Dictionary(uniqueKeysWithValues: expected))
    #expect(values["tokenizer.ggml.add_bos_token"]?.bool == special.begins)
    #expect(values["tokenizer.ggml.add_eos_token"]?.bool == special.ends)
    let original = try TokenizerLoader.load(directory)
    let written = try Self.tokenizer(values)
    #expect(
      try written.encode("abcab<think>", options: .init()).ids
        == original.encode("abcab<think>", options: .init()).ids)
  }

  @Test func familiesWhoseTemplatesBeginTheText() throws {
    let conventions = GGUFTokenizerMetadata.Conventions(
      splits: ["glm4", "chatglm-bpe"], spellings: [("bos", "<|endoftext|>"), ("eos", "<think>")],
      fixed: [("eot", "<|user|>"), ("eom", "<|nowhere|>")])
    for ignoresMerges in [true, false] {
      let folder = try TemporaryDirectory()
      let directory = try Self.directory(
        folder, postProcessor: Self.template(["<|endoftext|>", "<think>"], []),
        configuration: #"{"eos_token":"<|endoftext|>"}"#, split: #"\\p{N}{1,3}"#,
        ignoresMerges: ignoresMerges)
      let values = try Self.values(directory, "{}", conventions)
      #expect(values["tokenizer.ggml.pre"]?.string == (ignoresMerges ? "glm4" : "chatglm-bpe"))
      #expect(values["tokenizer.ggml.add_bos_token"]?.bool == false)
      #expect(values["tokenizer.ggml.bos_token_id"]?.int == 6)
      #expect(values["tokenizer.ggml.eos_token_id"]?.int == 6)
      #expect(values["tokenizer.ggml.eot_token_id"]?.int == 5)
      #expect(values["tokenizer.ggml.eom_token_id"] == nil)
    }
  }

  @Test func chatTemplates() throws {
    let folder = try TemporaryDirectory()
    let several = #"{"chat_template":[{"name":"default","template":"D"},{"name":"rag","template":"R"}]}"#
    let directory = try Self.directory(folder, configuration: several)
    var values = try Self.values(directory)
    #expect(values["tokenizer.chat_template"]?.string == "D")
    #expect(values["tokenizer.chat_template.rag"]?.string == "R")
    #expect(values["tokenizer.chat_templates"]?.array?.strings == ["rag"])
    try folder.write(#"{"chat_template":"J"}"#, to: "chat_template.json")
    #expect(try Self.values(directory)["tokenizer.chat_template"]?.string == "J")
    try folder.write("{% raw %}", to: "chat_template.jinja")
    values = try Self.values(directory)
    #expect(values["tokenizer.chat_template"]?.string == "{% raw %}")
    #expect(values["tokenizer.chat_templates"] == nil)
    try folder.write([0xFF], to: "chat_template.jinja")
    #expect(throws: ModelFileError.self) { try Self.values(directory) }
  }

  @Test func whatTheFormatHasNoPlaceForIsRefused() throws {
    func kind(_ directory: ModelDirectory, size: Int? = nil) throws -> ModelFileError.Kind? {
      do {
        _ = try Self.values(directory, size: size)
        return nil
      } catch let error as ModelFileError { return error.kind }
    }
    let folder = try TemporaryDirectory()
    #expect(try kind(Self.directory(folder)) == nil)
    #expect(try kind(Self.directory(folder), size: 8) == .malformed)
    #expect(try kind(Self.directory(folder, split: #"\\p{N}{1,3}"#)) == .unsupported)
    #expect(try kind(Self.directory(folder, ignoresMerges: true)) == .unsupported)
    #expect(try kind(Self.directory(folder, normalizer: #"{"type":"Lowercase"}"#)) == .unsupported)
    #expect(
      try kind(Self.directory(folder, postProcessor: Self.template(["<|user|>", "<think>"], [])))
        == .unsupported)
    for name in ["bpe-metaspace", "unigram-new"] {
      #expect(
        try kind(ModelDirectory(path: TestFiles.golden("sentencepiece/\(name)"))) == .unsupported)
    }
    for name in ["unigram", "bpe-unknown"] {
      #expect(
        try kind(ModelDirectory(path: TestFiles.golden("sentencepiece/\(name)"))) == .unsupported)
    }
  }
}
