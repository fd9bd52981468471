import SalanganeFiles
import SalanganeTestSupport
import SalanganeTokenizers
import Testing

/// Files that must be refused, and how.
struct MalformedTokenizer: Sendable, CustomTestStringConvertible {
  var testDescription: String
  var files: [String: String]
  var kind: ModelFileError.Kind = .malformed
  /// What the message must hold.
  var message: String
}

@Suite struct MalformedTokenizerTests {
  private static let vocabulary = #"{"[UNK]":0,"[CLS]":1,"[SEP]":2,"a":3}"#

  private static func json(
    _ description: String, _ text: String, kind: ModelFileError.Kind = .malformed, _ message: String
  ) -> MalformedTokenizer {
    MalformedTokenizer(
      testDescription: description, files: ["tokenizer.json": text], kind: kind, message: message)
  }

  private static func byteLevel(
    split: String = #"{"type":"ByteLevel","add_prefix_space":false,"use_regex":false}"#,
    vocabulary: String = #"{"a":0,"b":1,"ab":2}"#, merges: String = #"["a b"]"#, rest: String = ""
  ) -> String {
    """
    {"pre_tokenizer":\(split),"decoder":{"type":"ByteLevel"},
    "model":{"type":"BPE",\(rest)"vocab":\(vocabulary),"merges":\(merges)}}
    """
  }

  private static func split(_ pattern: String, behavior: String = "Isolated") -> String {
    byteLevel(split: #"{"type":"Split","pattern":\#(pattern),"behavior":"\#(behavior)"}"#)
  }

  private static func added(_ tokens: String) -> String {
    wordPieceJSON(vocabulary: vocabulary, added: tokens)
  }

  private static func template(
    single: String = #"[{"Sequence":{"id":"A","type_id":0}}]"#,
    pair: String = #"[{"Sequence":{"id":"A","type_id":0}},{"Sequence":{"id":"B","type_id":1}}]"#,
    tokens: String = "{}"
  ) -> String {
    wordPieceJSON(
      vocabulary: vocabulary,
      postProcessor:
        #"{"type":"TemplateProcessing","single":\#(single),"pair":\#(pair),"special_tokens":\#(tokens)}"#)
  }

  static let jsonFiles: [MalformedTokenizer] = [
    json("no object", "[]", "expected an object"),
    json("no model", "{}", #"expected a key "model""#),
    json("unknown model", #"{"model":{"type":"WordLevel","vocab":{}}}"#, kind: .unsupported, #""WordLevel""#),
    json("vocabulary of another type", wordPieceJSON(vocabulary: "[]"), "model.vocab: expected an object"),
    json("id as a string", wordPieceJSON(vocabulary: #"{"[UNK]":"0"}"#), "expected an id from 0"),
    json("negative id", wordPieceJSON(vocabulary: #"{"[UNK]":-1}"#), "expected an id from 0"),
    json("id with a fraction", wordPieceJSON(vocabulary: #"{"[UNK]":0.5}"#), "expected an id from 0"),
    json("huge id", wordPieceJSON(vocabulary: #"{"[UNK]":2000000000}"#), "expected an id from 0 to 65538"),
    json("id beyond 64 bits", wordPieceJSON(vocabulary: #"{"[UNK]":1e30}"#), "expected an id from 0"),
    json("duplicate id", wordPieceJSON(vocabulary: #"{"[UNK]":0,"b":0}"#), "expected one token of id 0"),
    json("duplicate token", wordPieceJSON(vocabulary: #"{"[UNK]":0,"b":1,"b":2}"#), "only once"),
    json("no unknown token", wordPieceJSON(vocabulary: #"{"a":0}"#), "model.unk_token"),
    json(
      "unknown token of another type",
      #"{"model":{"type":"WordPiece","unk_token":1,"vocab":{"a":0}}}"#, "model.unk_token: expected a string"),
    json(
      "word length of another type",
      wordPieceJSON(vocabulary: vocabulary, rest: #""max_input_chars_per_word":-1,"#),
      "max_input_chars_per_word: expected an integer"),
    json(
      "unknown normalizer", wordPieceJSON(vocabulary: vocabulary, normalizer: #"{"type":"Spell"}"#),
      kind: .unsupported, #"normalizer: expected a normalizer that is known here, found "Spell""#),
    json(
      "normalizer without type", wordPieceJSON(vocabulary: vocabulary, normalizer: "{}"),
      #"normalizer: expected a key "type""#),
    json(
      "empty pattern",
      wordPieceJSON(
        vocabulary: vocabulary,
        normalizer: #"{"type":"Replace","pattern":{"String":""},"content":""}"#), "isn't empty"),
    json(
      "flag of another type",
      wordPieceJSON(vocabulary: vocabulary, normalizer: #"{"type":"BertNormalizer","lowercase":1}"#),
      "normalizer.lowercase: expected true or false"),
    json("added token without id", added(#"[{"content":"x"}]"#), #"added_tokens[0]: expected a key "id""#),
    json("added token with a huge id", added(#"[{"content":"x","id":99999999}]"#), "added_tokens[0].id"),
    json("added token with another id", added(#"[{"content":"a","id":4}]"#), "expected the id 3"),
    json("added token with the id of another", added(#"[{"content":"x","id":3}]"#), "an id of its own"),
    json(
      "added tokens with one id", added(#"[{"content":"x","id":4},{"content":"y","id":4}]"#), "distinct"),
    json(
      "added tokens with one content", added(#"[{"content":"x","id":4},{"content":"x","id":5}]"#),
      "distinct"),
    json("template without text", template(single: "[]"), "the sequence A in it"),
    json("template with B alone", template(pair: "[]"), "the sequences A and B"),
    json(
      "template with C", template(single: #"[{"Sequence":{"id":"C","type_id":0}}]"#),
      "expected the sequence A or B"),
    json(
      "template with an unknown token",
      template(single: #"[{"SpecialToken":{"id":"x","type_id":0}},{"Sequence":{"id":"A","type_id":0}}]"#),
      #"expected a key "x""#),
    json(
      "template with an id out of range",
      template(
        single: #"[{"SpecialToken":{"id":"x","type_id":0}},{"Sequence":{"id":"A","type_id":0}}]"#,
        tokens: #"{"x":{"ids":[4]}}"#), "expected an integer from 0 to 3"),
    json(
      "separator out of range",
      wordPieceJSON(
        vocabulary: vocabulary,
        postProcessor: #"{"type":"BertProcessing","sep":["[SEP]",77],"cls":["[CLS]",1]}"#),
      "post_processor.sep[1]"),
    json(
      "merge of an unknown token", byteLevel(merges: #"["a c"]"#), #"model.merges[0]: expected "c""#),
    json("merge into an unknown token", byteLevel(merges: #"["b a"]"#), #"expected "ba" to be a token"#),
    json("duplicate merge", byteLevel(merges: #"["a b","a b"]"#), "expected distinct merges"),
    json("merge of one token", byteLevel(merges: #"["ab"]"#), "two tokens with one space"),
    json("merge of three tokens", byteLevel(merges: #"["a b a"]"#), "two tokens with one space"),
    json("merge of numbers", byteLevel(merges: "[[1,2]]"), "merges of two strings each"),
    json("merges of another type", byteLevel(merges: "{}"), "model.merges: expected an array"),
    json(
      "unknown split pattern", split(#"{"Regex":"(?<=x)y"}"#), kind: .unsupported,
      "pre_tokenizer.pattern.Regex: expected the split pattern of one of "
        + "\(SplitPatterns.names.joined(separator: ", ")), found (?<=x)y"),
    json(
      "possessive split pattern", split(#"{"Regex":"[a-z]++"}"#), kind: .unsupported, "[a-z]++"),
    json("plain split pattern", split(#"{"String":" "}"#), kind: .unsupported, "a plain pattern"),
    json(
      "removing split", split(#"{"Regex":"\\p{N}"}"#, behavior: "Removed"), kind: .unsupported, #""Removed""#),
    json("dropout", byteLevel(rest: #""dropout":0.1,"#), kind: .unsupported, "dropout"),
    json(
      "bytes after spaces",
      byteLevel(
        split: #"{"type":"Sequence","pretokenizers":[{"type":"Metaspace"},{"type":"ByteLevel"}]}"#),
      kind: .unsupported, "expected no pre-tokenizer"),
    MalformedTokenizer(
      testDescription: "neither file", files: ["config.json": "{}"], kind: .missing,
      message: "expected a tokenizer.json, tokenizer.model or vocab.txt"),
    MalformedTokenizer(
      testDescription: "empty vocab.txt", files: ["vocab.txt": ""], message: "one token a line"),
    MalformedTokenizer(
      testDescription: "duplicate line", files: ["vocab.txt": "[UNK]\n[CLS]\n[SEP]\na\na\n"],
      message: "line 5"),
    MalformedTokenizer(
      testDescription: "no separator", files: ["vocab.txt": "[UNK]\n[CLS]\n"], message: "sep_token"),
    MalformedTokenizer(
      testDescription: "configuration of another type",
      files: ["vocab.txt": "[UNK]\n[CLS]\n[SEP]\n", "tokenizer_config.json": #"{"do_lower_case":"yes"}"#],
      message: "do_lower_case: expected true or false"),
    MalformedTokenizer(
      testDescription: "special token of another type",
      files: ["vocab.txt": "[UNK]\n[CLS]\n[SEP]\n", "tokenizer_config.json": #"{"cls_token":5}"#],
      message: "cls_token: expected a string"),
  ]

  @Test(arguments: jsonFiles) func filesAreRefused(file: MalformedTokenizer) throws {
    let directory = try TemporaryDirectory()
    for (name, text) in file.files { try directory.write(text, to: name) }
    expectRefusal(file.kind, file.message) { try TokenizerLoader.load(path: directory.path) }
  }

  private func expectRefusal(
    _ kind: ModelFileError.Kind, _ message: String, _ body: () throws -> any TextTokenizer
  ) {
    do {
      _ = try body()
      Issue.record("expected an error with \(message)")
    } catch let error as ModelFileError {
      #expect(error.kind == kind, "\(error)")
      #expect(error.description.contains(message), "\(error)")
      #expect(!error.description.contains("\n"))
    } catch {
      Issue.record(error)
    }
  }

  /// A way to spoil a GGUF vocabulary.
  struct Spoiling: Sendable, CustomTestStringConvertible {
    var testDescription: String
    var family = "qwen2"
    var kind: ModelFileError.Kind = .malformed
    var message: String
    var spoil: @Sendable (inout GGUFVocabulary) -> Void
  }

  static let ggufFiles: [Spoiling] = [
    Spoiling(testDescription: "unknown model", kind: .unsupported, message: #"found "rwkv""#) {
      $0.model = "rwkv"
    },
    Spoiling(testDescription: "unknown pre-tokenizer", kind: .unsupported, message: #"glm5, found "x""#) {
      $0.values["pre"] = .string("x")
    },
    Spoiling(testDescription: "no pre-tokenizer", kind: .unsupported, message: #"found "none""#) {
      $0.values["pre"] = nil
    },
    Spoiling(testDescription: "pre-tokenizer of another type", message: "pre: expected a string") {
      $0.values["pre"] = .uint32(1)
    },
    Spoiling(testDescription: "no merges", message: "merges: expected an array of strings") {
      $0.merges = nil
    },
    Spoiling(testDescription: "merge of an unknown token", message: "merges[180]") {
      $0.merges?.append("a \u{4E2D}")
    },
    Spoiling(testDescription: "too few types", message: "token_type: expected an array of") {
      $0.types.removeLast()
    },
    Spoiling(testDescription: "unknown type", message: "expected types from 0 to 6, found 9") {
      $0.types[5] = 9
    },
    Spoiling(testDescription: "duplicate token", message: "only once") { $0.tokens[9] = $0.tokens[8] },
    Spoiling(testDescription: "special id out of range", message: "eos_token_id: expected a token id") {
      $0.values["eos_token_id"] = .uint32(1 << 31)
    },
    Spoiling(testDescription: "negative special id", message: "padding_token_id: expected a token id") {
      $0.values["padding_token_id"] = .int32(-1)
    },
    Spoiling(testDescription: "flag of another type", message: "add_bos_token: expected a boolean") {
      $0.values["add_bos_token"] = .uint32(1)
    },
    Spoiling(testDescription: "beginning without its token", message: "bos_token_id: expected the id") {
      $0.values["add_bos_token"] = .bool(true)
      $0.values["bos_token_id"] = nil
    },
    Spoiling(
      testDescription: "no unknown token", family: "bert-uncased", message: "unknown_token_id: expected"
    ) {
      $0.values["unknown_token_id"] = nil
      $0.tokens[1] = "[?]"
    },
  ]

  @Test(arguments: ggufFiles) func vocabulariesAreRefused(spoiling: Spoiling) throws {
    var file = try GGUFVocabulary(family: spoiling.family)
    spoiling.spoil(&file)
    expectRefusal(spoiling.kind, spoiling.message) { try file.load() }
  }

  /// Whatever single byte of a file is changed: an error or a tokenizer, but no trap.
  @Test(arguments: ["bert-uncased", "llama-bpe"]) func changedBytesDoNoHarm(family: String) throws {
    let source = try TokenizerGoldens.directory(family).bytes("tokenizer.json")
    let directory = try TemporaryDirectory()
    var random = SplitMix64(seed: 11)
    let replacements = Array("0\"{}[],:a\\".utf8)
    for _ in 0..<150 {
      var bytes = source
      let place = Int(random.next() % UInt64(bytes.count))
      bytes[place] = replacements[Int(random.next() % UInt64(replacements.count))]
      try directory.write(bytes, to: "tokenizer.json")
      do {
        let tokenizer = try TokenizerLoader.load(path: directory.path)
        let ids = try tokenizer.encode("The swiftlet's way, [SEP] <|end|> 1234 éé 中文").ids
        _ = try tokenizer.decode(ids)
      } catch is ModelFileError {}
    }
  }
}
