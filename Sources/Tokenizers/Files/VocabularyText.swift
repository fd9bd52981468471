import SalanganeFiles

/// Builds a WordPiece tokenizer from a vocab.txt and what `tokenizer_config.json` says about it.
struct VocabularyText {
  private let text: [UInt8]
  private let file: String
  private let configuration: JSONField?

  init(_ text: [UInt8], file: String, configuration: JSONDocument?) {
    self.text = text
    self.file = file
    self.configuration = configuration.map(JSONField.init)
  }

  func tokenizer(names: SpecialTokenNames) throws(ModelFileError) -> PipelineTokenizer {
    let vocabulary = try vocabulary()
    let unknown = try required("unk", "[UNK]", names, vocabulary)
    let classification = try required("cls", "[CLS]", names, vocabulary)
    let separator = try required("sep", "[SEP]", names, vocabulary)
    var special = SpecialTokens()
    special.unknown = unknown
    special.classification = classification
    special.separator = separator
    special.padding = vocabulary.id(of: names["pad"] ?? "[PAD]")
    special.mask = vocabulary.id(of: names["mask"] ?? "[MASK]")
    var ids: Set<Int32> = [unknown, classification, separator]
    ids.formUnion([special.padding, special.mask].compactMap { $0 })
    let added = ids.map { id in
      AddedToken(content: vocabulary.bytes(of: id) ?? [], id: id, isSpecial: true)
    }
    let lowercases = try configuration?.bool("do_lower_case", default: true) ?? true
    let prefix = Array("##".utf8)
    return PipelineTokenizer(
      vocabulary: vocabulary, addedTokens: added,
      normalizer: BertNormalizer(
        cleansText: true,
        spacesIdeographs: try configuration?.bool("tokenize_chinese_chars", default: true) ?? true,
        stripsAccents: try configuration?.bool("strip_accents", default: lowercases) ?? lowercases,
        lowercases: lowercases),
      preTokenizer: BertPreTokenizer(),
      model: WordPiece(vocabulary: vocabulary, unknown: unknown, prefix: prefix, longestWord: 100),
      postProcessor: .bert(classification: classification, separator: separator),
      decoder: WordPieceDecoder(prefix: prefix, cleansUp: true), specialTokens: special)
  }

  /// Reads one token a line.
  ///
  /// White space at the end of a line is dropped, as the tokenizers library does. An empty line leaves its
  /// id without a token.
  private func vocabulary() throws(ModelFileError) -> Vocabulary {
    guard let valid = String(validating: text, as: UTF8.self), !valid.isEmpty else {
      throw ModelFileError(.malformed, file: file, expectation: "expected one token a line, in UTF-8")
    }
    var lines = 1
    for byte in text where byte == UInt8(ascii: "\n") { lines += 1 }
    var vocabulary = Vocabulary(capacity: lines)
    try text.withUnsafeBufferPointer { (text) throws(ModelFileError) in
      var start = 0
      var id: Int32 = 0
      while start < text.count {
        let end = text[start...].firstIndex(of: UInt8(ascii: "\n")) ?? text.count
        let line = text.slice(start..<end)
        let token = line.slice(0..<line.skippingWhitespace(backFrom: line.count))
        if !token.isEmpty {
          try vocabulary.add(token, id: id, file: file, subject: "line \(id + 1)")
        }
        start = end + 1
        id += 1
      }
    }
    return vocabulary
  }

  private func required(
    _ part: String, _ standard: String, _ names: SpecialTokenNames, _ vocabulary: Vocabulary
  ) throws(ModelFileError) -> Int32 {
    let name = names[part] ?? standard
    guard let id = vocabulary.id(of: name) else {
      throw ModelFileError(
        .malformed, file: file, subject: "\(part)_token",
        expectation: "expected a line with the token \"\(name)\"")
    }
    return id
  }
}
