import SalanganeFiles
import SalanganeTestSupport
import SalanganeTokenizers
import Testing

@Suite struct TokenizerTests {
  private static let plain = EncodingOptions(addsSpecialTokens: false)

  @Test(arguments: TokenizerGoldens.families)
  func idsAreThoseOfTheLibrary(family: String) throws {
    let goldens = try TokenizerGoldens.shared.get()
    let tokenizer = try TokenizerGoldens.tokenizer(family)
    try #require(goldens.texts.count >= 200)
    for (text, expected) in zip(goldens.texts, goldens.ids(family)) {
      let ids = try tokenizer.encode(text, options: Self.plain).ids
      #expect(TokenizerGoldens.compact(ids) == expected, "\(text.unicodeScalars.map(\.value))")
    }
    let special = try goldens.texts.map { try TokenizerGoldens.compact(tokenizer.encode($0).ids) }
    #expect(TokenizerGoldens.hash(special) == goldens.hash("special", family))
  }

  @Test(arguments: TokenizerGoldens.families)
  func pairsAreThoseOfTheLibrary(family: String) throws {
    let goldens = try TokenizerGoldens.shared.get()
    let tokenizer = try TokenizerGoldens.tokenizer(family)
    let pairs = try zip(goldens.texts, goldens.texts.dropFirst()).map { first, second in
      let pair = try tokenizer.encode(first, and: second, options: EncodingOptions())
      #expect(!pair.isTruncated)
      return TokenizerGoldens.compact(pair.ids + pair.typeIDs)
    }
    #expect(TokenizerGoldens.hash(pairs) == goldens.hash("pairs", family))

    let short = goldens.texts.filter { $0.unicodeScalars.count < 80 }
    var truncated: [String] = []
    for limit in [6, 9, 17] {
      for (first, second) in zip(short, short.dropFirst()) {
        let pair = try tokenizer.encode(
          first, and: second, options: EncodingOptions(maximumLength: limit))
        #expect(pair.ids.count <= limit)
        truncated.append(TokenizerGoldens.compact(pair.ids))
      }
    }
    #expect(TokenizerGoldens.hash(truncated) == goldens.hash("truncated", family))
  }

  @Test(arguments: TokenizerGoldens.families)
  func textsAreThoseOfTheLibrary(family: String) throws {
    let goldens = try TokenizerGoldens.shared.get()
    let tokenizer = try TokenizerGoldens.tokenizer(family)
    let ids = try goldens.texts.map { try tokenizer.encode($0, options: Self.plain).ids }
    for (kind, skips) in [("decoded", false), ("decodedText", true)] {
      let texts = try ids.map { try tokenizer.decode($0, skippingSpecialTokens: skips) }
      #expect(TokenizerGoldens.hash(texts) == goldens.hash(kind, family), "\(kind)")
      for (ids, text) in zip(ids, texts) {
        var stream = StreamingDetokenizer(tokenizer, skippingSpecialTokens: skips)
        var pieces = try ids.map { try stream.append($0) }
        pieces.append(stream.finish())
        #expect(Array(pieces.joined().utf8) == Array(text.utf8))
      }
    }
  }

  @Test(arguments: TokenizerGoldens.families)
  func truncationKeepsTheBeginning(family: String) throws {
    let tokenizer = try TokenizerGoldens.tokenizer(family)
    let text = String(repeating: "the swiftlet finds its way ", count: 200)
    let bare = try tokenizer.encode(text, options: Self.plain).ids
    let added = try tokenizer.encode("").ids
    for length in [added.count, added.count + 1, added.count + 20, bare.count + added.count] {
      let result = try tokenizer.encode(text, options: EncodingOptions(maximumLength: length))
      #expect(result.ids.count == length)
      #expect(result.typeIDs.count == length)
      #expect(result.isTruncated == (length < bare.count + added.count))
      let kept = result.ids.drop { added.contains($0) }.prefix(length - added.count)
      #expect(Array(kept) == Array(bare.prefix(length - added.count)))
    }
    if !added.isEmpty {
      let short = EncodingOptions(maximumLength: added.count - 1)
      #expect(
        throws: TokenizerError.maximumLengthTooSmall(added.count - 1, specialTokens: added.count)
      ) {
        try tokenizer.encode(text, options: short)
      }
    }
  }

  @Test func literalTextHasNoAddedTokens() throws {
    for (family, name) in [("bert-uncased", "[SEP]"), ("qwen2", "<think>"), ("llama-bpe", "<|end|>")] {
      let tokenizer = try TokenizerGoldens.tokenizer(family)
      let id = try #require(tokenizer.id(for: name))
      let text = "x \(name) y"
      let literal = EncodingOptions(addsSpecialTokens: false, recognizesAddedTokens: false)
      #expect(try tokenizer.encode(text, options: Self.plain).ids.contains(id))
      #expect(try !tokenizer.encode(text, options: literal).ids.contains(id))
    }
  }

  @Test func vocabularyIsKeyedByBytes() throws {
    let vocabulary =
      ###"{"[UNK]":0,"[CLS]":1,"[SEP]":2,"\u00e9":3,"e\u0301":4,"##\u00e9":5,"\u00e5":6,"\u212b":7}"###
    let directory = try TemporaryDirectory()
    try directory.write(wordPieceJSON(vocabulary: vocabulary, normalizer: "null"), to: "tokenizer.json")
    let tokenizer = try TokenizerLoader.load(path: directory.path)
    #expect(tokenizer.id(for: "\u{E9}") == 3)
    #expect(tokenizer.id(for: "e\u{301}") == 4)
    #expect(tokenizer.id(for: "\u{E5}") == 6)
    #expect(tokenizer.id(for: "\u{212B}") == 7)
    #expect(Array(tokenizer.token(for: 4)!.utf8) == Array("e\u{301}".utf8))
    let ids = try tokenizer.encode("\u{E9} e\u{301} \u{E9}\u{E9}", options: Self.plain).ids
    #expect(ids == [3, 4, 3, 5])
    #expect(tokenizer.token(for: 8) == nil)
    #expect(tokenizer.token(for: -1) == nil)
    #expect(tokenizer.id(for: "e") == nil)
    #expect(tokenizer.vocabularySize == 8)
  }

  @Test(arguments: [Int32.min, -1, 5000, .max]) func unknownIDsAreErrors(id: Int32) throws {
    for family in ["bert-uncased", "qwen2"] {
      let tokenizer = try TokenizerGoldens.tokenizer(family)
      let error = TokenizerError.unknownID(id, vocabularySize: tokenizer.vocabularySize)
      #expect(throws: error) { try tokenizer.decode([5, id]) }
      var stream = StreamingDetokenizer(tokenizer)
      #expect(throws: error) { try stream.append(id) }
    }
  }

  @Test func streamingNeverSplitsCharacters() throws {
    let tokenizer = try TokenizerGoldens.tokenizer("gpt-2")
    func ids(_ bytes: [UInt8]) throws -> [Int32] {
      // Every byte has a token: the letter itself, or one of U+0100 and following.
      try bytes.map { byte in
        var text: [UInt8] = []
        for id in 0..<Int32(256) {
          text.removeAll()
          try tokenizer.appendText(of: id, isFirst: true, to: &text)
          if text == [byte] { return id }
        }
        throw TokenizerError.unknownID(-1, vocabularySize: 0)
      }
    }
    var stream = StreamingDetokenizer(tokenizer)
    let family = "\u{1F468}\u{200D}\u{1F469}é中"
    let pieces = try ids(Array(family.utf8)).map { try stream.append($0) }
    #expect(pieces.filter { !$0.isEmpty } == family.unicodeScalars.map { String($0) })
    #expect(stream.finish() == "")

    var random = SplitMix64(seed: 7)
    let interesting: [UInt8] = [
      0x41, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC2, 0xE0, 0xE1, 0xED, 0xF0, 0xF4, 0xF5,
    ]
    for _ in 0..<300 {
      let bytes = (0..<8).map { _ in interesting[Int(random.next() % UInt64(interesting.count))] }
      let tokens = try ids(bytes)
      var stream = StreamingDetokenizer(tokenizer)
      let text = try tokens.map { try stream.append($0) }.joined() + stream.finish()
      #expect(Array(text.utf8) == Array(String(decoding: bytes, as: UTF8.self).utf8), "\(bytes)")
    }
  }

  /// A quadratic merge of 120,000 letters would take hours.
  @Test(.timeLimit(.minutes(10)))
  func longPiecesAreMergedInGoodTime() throws {
    let tokenizer = try TokenizerGoldens.tokenizer("qwen2")
    let text = String(repeating: "the", count: 40_000)
    #expect(try tokenizer.decode(tokenizer.encode(text, options: Self.plain).ids) == text)
  }

  @Test func specialTokensAreFound() throws {
    let directory = try TemporaryDirectory()
    let source = try TokenizerGoldens.directory("bert-uncased")
    try directory.write(source.bytes("tokenizer.json"), to: "tokenizer.json")
    try directory.write(
      #"{"cls_token":"[CLS]","sep_token":{"content":"[SEP]"},"bos_token":null,"eos_token":"<none>"}"#,
      to: "tokenizer_config.json")
    try directory.write(#"{"pad_token":"[PAD]","cls_token":"[MASK]"}"#, to: "special_tokens_map.json")
    let special = try TokenizerLoader.load(path: directory.path).specialTokens
    #expect(special.classification == 2)
    #expect(special.separator == 3)
    #expect(special.padding == 0)
    #expect(special.unknown == 1)
    #expect(special.beginningOfSequence == nil)
    #expect(special.endOfSequence == nil)
  }
}

/// A small WordPiece tokenizer.json.
func wordPieceJSON(
  vocabulary: String, normalizer: String = #"{"type":"BertNormalizer"}"#, added: String = "[]",
  postProcessor: String = "null", rest: String = ""
) -> String {
  """
  {"added_tokens":\(added),"normalizer":\(normalizer),"pre_tokenizer":{"type":"BertPreTokenizer"},
  "post_processor":\(postProcessor),"decoder":{"type":"WordPiece","prefix":"##","cleanup":true},
  "model":{"type":"WordPiece","unk_token":"[UNK]",\(rest)"vocab":\(vocabulary)}}
  """
}
