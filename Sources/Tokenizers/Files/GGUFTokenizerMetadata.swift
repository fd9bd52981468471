import SalanganeFiles

/// What a GGUF file says about the tokenizer of a model directory: keys and values, as llama.cpp's converter
/// writes them.
package struct GGUFTokenizerMetadata {
  /// What depends on the model's family.
  package struct Conventions: Sendable {
    /// The names for `tokenizer.ggml.pre` to choose from, the preferred ones first.
    package var splits: [String]
    /// Special tokens by their spelling, for those that no file names: `("eot", "<|user|>")`.
    package var spellings: [(part: String, token: String)]
    /// Special tokens by their spelling whatever the files name.
    package var fixed: [(part: String, token: String)]

    /// Creates conventions; the default is that of most families.
    package init(
      splits: [String] = [
        "gpt-2", "llama-bpe", "qwen2", "qwen35", "deepseek-llm", "deepseek-coder", "deepseek-v3",
      ], spellings: [(part: String, token: String)] = [], fixed: [(part: String, token: String)] = []
    ) {
      self.splits = splits
      self.spellings = spellings
      self.fixed = fixed
    }
  }

  /// The keys and values, in the order in which they are written.
  package private(set) var values: [(key: String, value: GGUFValue)] = []

  private let directory: ModelDirectory
  private let tokenizer: PipelineTokenizer
  private let size: Int
  private let conventions: Conventions

  /// Describes the tokenizer of a directory.
  ///
  /// - Parameters:
  ///   - directory: The directory, with `tokenizer.json`, `tokenizer.model` or `vocab.txt`.
  ///   - configuration: Names the special tokens that the tokenizer's files don't.
  ///   - size: The rows of the embedding table: as many tokens are written.
  ///   - conventions: What the model's family adds.
  /// - Throws: `ModelFileError`, `unsupported` for a tokenizer that the format has no place for.
  package init(
    _ directory: ModelDirectory, configuration: Hyperparameters, size: Int,
    conventions: Conventions = Conventions()
  ) throws(ModelFileError) {
    guard let tokenizer = try TokenizerLoader.load(directory) as? PipelineTokenizer else {
      preconditionFailure("all tokenizers are pipelines")
    }
    guard tokenizer.vocabularySize <= size else {
      throw ModelFileError(
        .malformed, file: directory.path,
        expectation:
          "expected a tokenizer with ids below the \(size) rows of the embedding table, found \(tokenizer.vocabularySize)"
      )
    }
    self.directory = directory
    self.tokenizer = tokenizer
    self.size = size
    self.conventions = conventions
    if tokenizer.model is WordPiece {
      try addWordPiece()
    } else if tokenizer.model is ByteLevelBPE {
      try addBytePairEncoding()
    } else if tokenizer.model is CharacterBPE {
      try addSentencePiece()
    } else {
      throw unsupported("expected BPE or WordPiece, found another kind of tokenizer")
    }
    try addSpecialTokens(configuration)
    try addChatTemplate()
  }

  private mutating func set(_ name: String, _ value: GGUFValue) {
    values.append(("tokenizer.ggml.\(name)", value))
  }

  private func unsupported(_ expectation: String) -> ModelFileError {
    ModelFileError(.unsupported, file: directory.path, subject: "tokenizer", expectation: expectation)
  }

  // MARK: Tokens

  /// Adds the tokens and their types, in the spelling that `spelled` gives to those of the text.
  private mutating func addTokens(
    _ spelled: (UTF8Text) -> [UInt8] = { Array($0) },
    type normalType: (Int32) -> GGUFTokenizer.TokenType = { _ in .normal }
  ) {
    var tokens: [String] = []
    var types: [Int32] = []
    tokens.reserveCapacity(size)
    types.reserveCapacity(size)
    for id in 0..<Int32(size) {
      let type: GGUFTokenizer.TokenType
      if let added = tokenizer.addedTokens[id] {
        tokens.append(String(decoding: added.content, as: UTF8.self))
        type = added.isSpecial || Self.looksSpecial(added.content) ? .control : .userDefined
      } else if let token = tokenizer.vocabulary.withToken(id, { spelled($0) }) {
        tokens.append(String(decoding: token, as: UTF8.self))
        type = normalType(id)
      } else {
        // Rows that no token uses.
        tokens.append("[PAD\(id)]")
        type = .unused
      }
      types.append(Int32(type.rawValue))
    }
    set("tokens", .array(GGUFArray(tokens)))
    set("token_type", .array(GGUFArray(types)))
  }

  /// Whether a token that isn't marked as special is one all the same: some files leave the mark out.
  private static func looksSpecial(_ token: [UInt8]) -> Bool {
    for (start, end) in [("<|", "|>"), ("<｜", "｜>"), ("<unused", ">")] {
      if token.starts(with: start.utf8), token.reversed().starts(with: end.utf8.reversed()) { return true }
    }
    return ["<pad>", "<mask>", "<2mass>", "[@BOS@]"].contains { token.elementsEqual($0.utf8) }
  }

  private mutating func addWordPiece() throws(ModelFileError) {
    guard let normalizer = tokenizer.normalizer as? BertNormalizer, normalizer.cleansText,
      normalizer.spacesIdeographs, normalizer.stripsAccents == normalizer.lowercases,
      tokenizer.preTokenizer is BertPreTokenizer
    else { throw unsupported("expected WordPiece with the normalisation of BERT, found another") }
    set("model", .string("bert"))
    set("pre", .string("bert-bge"))
    // The format marks the tokens that begin a word, where BERT's files mark the others.
    addTokens { token in
      token.starts(with: "##".utf8) ? Array(token.dropFirst(2)) : Array("\u{2581}".utf8) + token
    }
    set("normalizer.lowercase", .bool(normalizer.lowercases))
  }

  private mutating func addBytePairEncoding() throws(ModelFileError) {
    guard let document = try directory.optionalJSON("tokenizer.json") else {
      throw unsupported("expected a tokenizer.json")
    }
    set("model", .string("gpt2"))
    set("pre", .string(try splitName()))
    addTokens()
    let merges = try JSONField(document).required("model").required("merges")
    var texts: [String] = []
    texts.reserveCapacity(merges.value.count)
    for element in merges.value.elements {
      // Two strings, or one with a space between them; a space in a token would be the second.
      let parts = element.kind == .array ? element.elements.compactMap(\.string) : [element.string ?? ""]
      let isPair = parts.count == 2
      texts.append(parts.map { isPair ? Self.withoutSpaces($0) : $0 }.joined(separator: " "))
    }
    set("merges", .array(GGUFArray(texts)))
  }

  /// Adds BPE over characters, whose merges GGUF tells by the tokens' scores: only SentencePiece's own file has
  /// those.
  private mutating func addSentencePiece() throws(ModelFileError) {
    let name = "tokenizer.model"
    guard let bytes = try directory.optionalBytes(name, limit: 64 << 20) else {
      throw unsupported("expected a \(name) with scores for the merges of this tokenizer, found none")
    }
    let file = try SentencePieceFile(bytes, file: directory.path(of: name))
    guard file.kind == .bytePairEncoding, file.characterMap == nil, !file.removesExtraWhitespaces,
      file.fallsBackToBytes
    else {
      throw file.failure(
        .unsupported, nil, "expected BPE that falls back to bytes and changes no text but its spaces")
    }
    for id in file.types.indices {
      guard file.vocabulary.bytes(of: Int32(id)) == tokenizer.vocabulary.bytes(of: Int32(id)) else {
        throw file.failure(
          .malformed, "pieces[\(id)]", "expected the token that tokenizer.json has, found another")
      }
    }
    set("model", .string("llama"))
    set("pre", .string("default"))
    let types = file.types
    addTokens(type: { Int($0) < types.count ? types[Int($0)] : .normal })
    // Tokens that no merge makes: what llama.cpp's converter gives them.
    let scores = (0..<size).map { id -> Float in
      if id < file.scores.count { return file.scores[id] }
      return tokenizer.addedTokens[Int32(id)] == nil ? -10_000 : -1_000
    }
    set("scores", .array(GGUFArray(scores)))
    set("add_space_prefix", .bool(file.addsDummyPrefix))
  }

  /// A space in the alphabet of byte-level BPE.
  private static func withoutSpaces(_ token: String) -> String {
    token.utf8.contains(UInt8(ascii: " "))
      ? String(String.UnicodeScalarView(token.unicodeScalars.map { $0 == " " ? "\u{120}" : $0 })) : token
  }

  /// The name of the split that the tokenizer makes.
  private func splitName() throws(ModelFileError) -> String {
    guard tokenizer.normalizer == nil || tokenizer.normalizer is UnicodeNormalizer,
      tokenizer.metaspace == nil, let model = tokenizer.model as? ByteLevelBPE
    else { throw unsupported("expected no normalisation but NFC") }
    let pieces = Self.pieces(tokenizer.preTokenizer)
    for name in conventions.splits {
      guard let split = SplitPatterns.named(name), split.ignoresMerges == model.ignoresMerges else {
        continue
      }
      if Self.pieces(PreTokenizerPlan(stages: split.stages).preTokenizer) == pieces { return name }
    }
    throw unsupported(
      "expected text to be split, and merges to be ignored or not, as one of "
        + "\(conventions.splits.joined(separator: ", ")) does, found another way")
  }

  /// How a text is split in which all the known splits differ.
  private static func pieces(_ preTokenizer: (any PreTokenizer)?) -> [Range<Int>] {
    var text =
      "Don't you'LL we'Ve 'tis I'm  two  \n\n three\r\n\t 1234567 a1b22c333 x=y+1;  (foo)!?.. --> \"q\" #x _y_ "
      + "naïve Ångström Привет мир ελληνικά עברית العربية 你好世界，。！ ひらがなカタカナ한국어 ไทยภาษา हिन्दी e\u{301}\u{302} "
      + "Ⅷ²½٣४ 12\u{660}3 🐦\u{200D}🔥 ‘quote’ “x” ～！／ a\u{A0}b\u{3000}c \u{85}d\u{2028}e ʕʔ ⓐ ＡＢＣ１２３ $€^`|~<>{}[]  "
    var pieces: [Range<Int>] = []
    text.withUTF8 { utf8 in
      guard let preTokenizer else { return pieces.append(0..<utf8.count) }
      _ = preTokenizer.forEachPiece(in: utf8) { piece in
        pieces.append(piece)
        return true
      }
    }
    return pieces
  }

  // MARK: Special tokens

  /// The parts that special tokens play, and their names in GGUF.
  private static let parts = [
    ("bos", "bos_token_id"), ("eos", "eos_token_id"), ("unk", "unknown_token_id"),
    ("sep", "seperator_token_id"), ("pad", "padding_token_id"), ("mask", "mask_token_id"),
    ("eot", "eot_token_id"), ("eom", "eom_token_id"),
  ]

  private mutating func addSpecialTokens(_ configuration: Hyperparameters) throws(ModelFileError) {
    let known = tokenizer.specialTokens
    var ids: [String: Int32] = [:]
    ids["bos"] = known.beginningOfSequence ?? known.classification
    ids["eos"] = known.endOfSequence ?? known.separator
    ids["unk"] = known.unknown
    ids["sep"] = known.separator
    ids["pad"] = known.padding
    ids["mask"] = known.mask
    for part in ["bos", "eos", "unk", "sep", "pad", "mask"] where ids[part] == nil {
      let key = HyperparameterKey("\(part)_token_id")
      guard let id = try configuration.optionalInts(key, in: -1...(size - 1))?.first, id >= 0 else {
        continue
      }
      ids[part] = Int32(id)
    }
    for (part, token) in conventions.spellings where ids[part] == nil { ids[part] = tokenizer.id(for: token) }
    for (part, token) in conventions.fixed {
      if let id = tokenizer.id(for: token) { ids[part] = id }
    }
    let (begins, ends) = try addedTokens(&ids)
    for (part, name) in Self.parts {
      if let id = ids[part] { set(name, .uint32(UInt32(id))) }
    }
    set("add_bos_token", .bool(begins))
    set("add_eos_token", .bool(ends))
  }

  /// Whether the tokenizer puts tokens before a text and behind it, which are then BOS and EOS.
  private func addedTokens(_ ids: inout [String: Int32]) throws(ModelFileError) -> (begins: Bool, ends: Bool)
  {
    // Their chat templates write what comes first.
    let neverAdds = conventions.splits.allSatisfy { SplitPatterns.named($0)?.neverAddsTokens == true }
    if neverAdds { return (false, false) }
    var prefix: [Int32] = []
    var suffix: [Int32] = []
    var isBehind = false
    for part in tokenizer.postProcessor.single {
      switch part {
      case .special(let tokens, _):
        if isBehind { suffix += tokens } else { prefix += tokens }
      case .first, .second: isBehind = true
      }
    }
    guard prefix.count <= 1, suffix.count <= 1 else {
      throw unsupported(
        "expected at most one token before a text and one behind it, found \(prefix.count) and \(suffix.count)"
      )
    }
    if let first = prefix.first { ids["bos"] = first }
    if let last = suffix.first, last != ids["eos"] {
      // What ended a turn so far still does.
      if ids["eot"] == nil { ids["eot"] = ids["eos"] }
      ids["eos"] = last
    }
    return (!prefix.isEmpty, !suffix.isEmpty)
  }

  // MARK: Chat template

  private mutating func addChatTemplate() throws(ModelFileError) {
    if let text = try directory.optionalBytes("chat_template.jinja", limit: 16 << 20) {
      guard let template = String(validating: text, as: UTF8.self) else {
        throw ModelFileError(
          .malformed, file: directory.path(of: "chat_template.jinja"), expectation: "expected a text in UTF-8"
        )
      }
      return values.append(("tokenizer.chat_template", .string(template)))
    }
    for name in ["chat_template.json", "tokenizer_config.json"] {
      guard let field = try directory.optionalJSON(name).flatMap({ JSONField($0).optional("chat_template") })
      else { continue }
      if field.value.kind == .string {
        return values.append(("tokenizer.chat_template", .string(try field.string())))
      }
      // Older files have several: an array of names and templates.
      var others: [String] = []
      for element in try field.elements() {
        let name = try element.object().required("name").string()
        let template = try element.required("template").string()
        values.append(
          ("tokenizer.chat_template" + (name == "default" ? "" : ".\(name)"), .string(template)))
        if name != "default" { others.append(name) }
      }
      if !others.isEmpty { values.append(("tokenizer.chat_templates", .array(GGUFArray(others)))) }
      return
    }
  }
}
