import SalanganeFiles

extension GGUFTokenizer {
  /// Builds the WordPiece tokenizer of BERT models.
  func wordPiece() throws(ModelFileError) -> PipelineTokenizer {
    let (vocabulary, types) = try vocabulary(Self.publishedSpelling)
    var special = try specialTokens(in: vocabulary)
    special.unknown = special.unknown ?? vocabulary.id(of: "[UNK]")
    special.classification =
      special.classification ?? special.beginningOfSequence ?? vocabulary.id(of: "[CLS]")
    special.separator = special.separator ?? special.endOfSequence ?? vocabulary.id(of: "[SEP]")
    guard let unknown = special.unknown else {
      throw failure(.malformed, "unknown_token_id", "expected the id of the unknown token")
    }
    guard let classification = special.classification else {
      throw failure(.malformed, "cls_token_id", "expected the id of the token that begins a text")
    }
    guard let separator = special.separator else {
      throw failure(.malformed, "seperator_token_id", "expected the id of the token that ends a text")
    }
    var added = addedTokens(vocabulary, types)
    // Older converters marked only some of the special tokens as such.
    let named = [unknown, classification, separator, special.padding, special.mask].compactMap { $0 }
    for id in Set(named) where types[Int(id)] == .normal {
      added.append(AddedToken(content: vocabulary.bytes(of: id) ?? [], id: id, isSpecial: true))
    }
    let lowercases = try bool("normalizer.lowercase") ?? true
    let begins = try bool("add_bos_token") ?? true
    // Readers differ in which of these keys speaks of the last token.
    let (endsSequence, separates) = (try bool("add_eos_token"), try bool("add_sep_token"))
    let ends = endsSequence ?? separates ?? true
    let prefix = Array("##".utf8)
    return PipelineTokenizer(
      vocabulary: vocabulary, addedTokens: added,
      normalizer: BertNormalizer(
        cleansText: true, spacesIdeographs: true, stripsAccents: lowercases, lowercases: lowercases),
      preTokenizer: BertPreTokenizer(),
      model: WordPiece(vocabulary: vocabulary, unknown: unknown, prefix: prefix, longestWord: 100),
      postProcessor: .bert(
        classification: begins ? classification : nil, separator: ends ? separator : nil),
      decoder: WordPieceDecoder(prefix: prefix, cleansUp: true), specialTokens: special)
  }

  /// A token in BERT's own spelling, or nil if it is spelled so already.
  ///
  /// The format marks the tokens that begin a word, with U+2581, where BERT's own files mark the others,
  /// with `##`. Tokens that no text contains are left as they are: control tokens, and with older
  /// converters all in brackets.
  private static func publishedSpelling(_ token: UTF8Text, _ type: TokenType) -> [UInt8]? {
    guard type == .normal || type == .unused || type == .byte else { return nil }
    let mark: [UInt8] = [0xE2, 0x96, 0x81]
    if token.starts(with: mark) { return Array(token[mark.count...]) }
    let isBracketed =
      token.count > 2 && token.first == UInt8(ascii: "[") && token.last == UInt8(ascii: "]")
    return isBracketed ? nil : Array("##".utf8) + token
  }
}
