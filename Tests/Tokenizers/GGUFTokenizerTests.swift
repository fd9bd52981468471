import SalanganeFiles
import SalanganeTestSupport
import SalanganeTokenizers
import Testing

/// The keys of a GGUF vocabulary, to be written and spoilt.
struct GGUFVocabulary {
  var model = "gpt2"
  var tokens: [String] = []
  var types: [Int32] = []
  var merges: [String]?
  var values: [String: GGUFValue] = [:]

  /// Takes the vocabulary of a family's tokenizer.json, in the form in which converters write it.
  init(family: String) throws {
    let root = try TokenizerGoldens.directory(family).json("tokenizer.json").root
    let model = root["model"]!
    let added = root["added_tokens"]!.elements.map { ($0["id"]!.int!, $0) }
    let members = model["vocab"]!.members.map { ($0.key.string!, $0.value.int!) }
    let size = max(members.map(\.1).max()!, added.map(\.0).max()!) + 1
    tokens = Array(repeating: "", count: size)
    types = Array(repeating: 1, count: size)
    let isWordPiece = model["type"]!.string! == "WordPiece"
    for (token, id) in members {
      tokens[id] =
        !isWordPiece ? token : token.hasPrefix("##") ? String(token.dropFirst(2)) : "\u{2581}" + token
    }
    for (id, token) in added {
      tokens[id] = token["content"]!.string!
      types[id] = token["special"]!.bool! ? 3 : 4
    }
    if isWordPiece {
      self.model = "bert"
      values = [
        "unknown_token_id": .uint32(1), "seperator_token_id": .uint32(3), "padding_token_id": .uint32(0),
        "cls_token_id": .uint32(2), "mask_token_id": .uint32(4), "pre": .string("jina-v2-en"),
        "normalizer.lowercase": .bool(root["normalizer"]!["lowercase"]!.bool!),
      ]
      return
    }
    merges = model["merges"]!.elements.map { pair in
      pair.elements.map { $0.string! }.joined(separator: " ")
    }
    let begins = !["gpt-2", "qwen2", "qwen35"].contains(family)
    values = [
      "pre": .string(family), "add_bos_token": .bool(begins),
      "bos_token_id": .uint32(UInt32(members.count)), "eos_token_id": .uint32(UInt32(members.count + 1)),
    ]
  }

  func write(to path: String) throws {
    var writer = GGUFWriter()
    writer.set("general.architecture", .string("bert"))
    writer.set("tokenizer.ggml.model", .string(model))
    writer.set("tokenizer.ggml.tokens", .array(GGUFArray(tokens)))
    writer.set("tokenizer.ggml.token_type", .array(GGUFArray(types)))
    if let merges { writer.set("tokenizer.ggml.merges", .array(GGUFArray(merges))) }
    for (key, value) in values { writer.set("tokenizer.ggml." + key, value) }
    try writer.write(to: path) { _, _ in }
  }

  func load() throws -> any TextTokenizer {
    let directory = try TemporaryDirectory()
    try write(to: directory.path("vocabulary.gguf"))
    return try TokenizerLoader.load(path: directory.path("vocabulary.gguf"))
  }
}

@Suite struct GGUFTokenizerTests {
  @Test(arguments: TokenizerGoldens.families)
  func idsAreThoseOfTheJSON(family: String) throws {
    let goldens = try TokenizerGoldens.shared.get()
    let tokenizer = try GGUFVocabulary(family: family).load()
    let json = try TokenizerGoldens.tokenizer(family)
    for (text, expected) in zip(goldens.texts, goldens.ids(family)) {
      let ids = try tokenizer.encode(text, options: EncodingOptions(addsSpecialTokens: false)).ids
      #expect(TokenizerGoldens.compact(ids) == expected, "\(text.unicodeScalars.map(\.value))")
    }
    let special = try goldens.texts.map { try TokenizerGoldens.compact(tokenizer.encode($0).ids) }
    #expect(TokenizerGoldens.hash(special) == goldens.hash("special", family))
    #expect(tokenizer.vocabularySize == json.vocabularySize)
    for id in 0..<Int32(json.vocabularySize) {
      #expect(tokenizer.token(for: id) == json.token(for: id))
      #expect(tokenizer.isSpecial(id) == json.isSpecial(id))
      #expect(try tokenizer.decode([7, id]) == json.decode([7, id]))
    }
  }

  /// Converters before 2024 left all tokens in brackets as they were, and marked some as normal.
  @Test func olderConvertersAreUnderstood() throws {
    let goldens = try TokenizerGoldens.shared.get()
    var file = try GGUFVocabulary(family: "bert-uncased")
    file.types[1] = 1
    file.types[2] = 1
    let unused = file.tokens.count
    file.tokens.append("[unused7]")
    file.types.append(1)
    let tokenizer = try file.load()
    for (text, expected) in zip(goldens.texts, goldens.ids("bert-uncased")) {
      let ids = try tokenizer.encode(text, options: EncodingOptions(addsSpecialTokens: false)).ids
      #expect(TokenizerGoldens.compact(ids) == expected)
    }
    #expect(tokenizer.id(for: "[unused7]") == Int32(unused))
    #expect(tokenizer.isSpecial(2))
    #expect(!tokenizer.isSpecial(Int32(unused)))
  }

  @Test func textFileGivesTheSameIDs() throws {
    let goldens = try TokenizerGoldens.shared.get()
    let directory = try TemporaryDirectory()
    let source = try TokenizerGoldens.directory("bert-uncased")
    try directory.write(source.bytes("vocab.txt"), to: "vocab.txt")
    for configuration in [nil, "{}", #"{"do_lower_case":true,"strip_accents":null,"cls_token":"[CLS]"}"#] {
      if let configuration { try directory.write(configuration, to: "tokenizer_config.json") }
      let tokenizer = try TokenizerLoader.load(path: directory.path)
      for (text, expected) in zip(goldens.texts, goldens.ids("bert-uncased")) {
        let ids = try tokenizer.encode(text, options: EncodingOptions(addsSpecialTokens: false)).ids
        #expect(TokenizerGoldens.compact(ids) == expected)
      }
      #expect(try tokenizer.encode("a").ids.first == 2)
    }
    // Cased texts come out otherwise, and so do lines that end like those of other systems.
    try directory.write(#"{"do_lower_case":false}"#, to: "tokenizer_config.json")
    let cased = try TokenizerLoader.load(path: directory.path)
    #expect(try cased.encode("THE", options: EncodingOptions(addsSpecialTokens: false)).ids == [1])
    let text = String(decoding: try source.bytes("vocab.txt"), as: UTF8.self)
    try directory.write(
      text.split(separator: "\n", omittingEmptySubsequences: false).joined(separator: "\r\n") + "\r\n\r\n",
      to: "vocab.txt")
    #expect(try TokenizerLoader.load(path: directory.path).id(for: "the") == cased.id(for: "the"))
  }

  @Test func endingsAreAddedWhereTheFileAsks() throws {
    var file = try GGUFVocabulary(family: "qwen2")
    let begin = try #require(file.values["bos_token_id"]?.int)
    func ids() throws -> [Int32] { try file.load().encode("").ids }
    #expect(try ids() == [])
    file.values["add_eos_token"] = .bool(true)
    #expect(try ids() == [Int32(begin + 1)])
    file.values["add_bos_token"] = .bool(true)
    #expect(try ids() == [Int32(begin), Int32(begin + 1)])
    file.values["pre"] = .string("glm4")
    #expect(try ids() == [])
    file.values["pre"] = .string("llama-bpe")
    file.values["add_bos_token"] = nil
    file.values["add_eos_token"] = nil
    #expect(try ids() == [Int32(begin)])
  }
}
