import SalanganeFiles

/// Builds a tokenizer from the keys `tokenizer.ggml.*` of a GGUF file.
struct GGUFTokenizer {
  let metadata: GGUFMetadata

  /// What a token is (`llama_token_type`).
  enum TokenType: Int {
    case normal = 1
    case unknown, control, userDefined, unused, byte
  }

  init(_ metadata: GGUFMetadata) {
    self.metadata = metadata
  }

  func tokenizer() throws(ModelFileError) -> PipelineTokenizer {
    let model = try string("model")
    switch model {
    case "bert": return try wordPiece()
    case "gpt2": return try byteLevelBPE()
    case "llama": return try sentencePieceBPE()
    case "t5": return try sentencePieceUnigram()
    case let other:
      throw failure(
        other == nil ? .malformed : .unsupported, "model",
        "expected one of the tokenizers bert, gpt2, llama, t5, found \"\(other ?? "none")\"")
    }
  }

  // MARK: Values

  /// The value of `tokenizer.ggml.NAME`.
  func value(_ name: String) -> GGUFValue? { metadata["tokenizer.ggml." + name] }

  func string(_ name: String) throws(ModelFileError) -> String? {
    guard let value = value(name) else { return nil }
    guard let string = value.string else { throw failure(.malformed, name, "expected a string") }
    return string
  }

  func bool(_ name: String) throws(ModelFileError) -> Bool? {
    guard let value = value(name) else { return nil }
    guard let bool = value.bool else { throw failure(.malformed, name, "expected a boolean") }
    return bool
  }

  /// An array of strings, which must be there.
  func strings(_ name: String) throws(ModelFileError) -> GGUFArray {
    guard let array = value(name)?.array, array.elementType == .string else {
      throw failure(.malformed, name, "expected an array of strings")
    }
    return array
  }

  /// The types of `count` tokens; all normal if the file doesn't say.
  func types(count: Int) throws(ModelFileError) -> [TokenType] {
    guard let value = value("token_type") else { return Array(repeating: .normal, count: count) }
    guard let ints = value.array?.ints, ints.count == count else {
      throw failure(.malformed, "token_type", "expected an array of \(count) integers, one for each token")
    }
    var types: [TokenType] = []
    types.reserveCapacity(count)
    for int in ints {
      // 0 is "undefined", which readers take for normal.
      guard let type = int == 0 ? .normal : TokenType(rawValue: int) else {
        throw failure(.malformed, "token_type", "expected types from 0 to 6, found \(int)")
      }
      types.append(type)
    }
    return types
  }

  /// The token id under the first of these keys that is there.
  func id(_ names: String..., in vocabulary: Vocabulary) throws(ModelFileError) -> Int32? {
    for name in names {
      guard let value = value(name) else { continue }
      guard let id = value.int, id >= 0, id < vocabulary.size else {
        throw failure(.malformed, name, "expected a token id below \(vocabulary.size)")
      }
      return Int32(id)
    }
    return nil
  }

  /// The special tokens that the file names.
  func specialTokens(in vocabulary: Vocabulary) throws(ModelFileError) -> SpecialTokens {
    var tokens = SpecialTokens()
    tokens.beginningOfSequence = try id("bos_token_id", in: vocabulary)
    tokens.endOfSequence = try id("eos_token_id", in: vocabulary)
    tokens.endOfTurn = try id("eot_token_id", in: vocabulary)
    tokens.endOfMessage = try id("eom_token_id", in: vocabulary)
    tokens.unknown = try id("unknown_token_id", in: vocabulary)
    tokens.padding = try id("padding_token_id", in: vocabulary)
    tokens.classification = try id("cls_token_id", in: vocabulary)
    // The misspelling is the format's own.
    tokens.separator = try id("seperator_token_id", "separator_token_id", in: vocabulary)
    tokens.mask = try id("mask_token_id", in: vocabulary)
    return tokens
  }

  /// Puts the BOS token before a text and the EOS token behind it, if asked for.
  func postProcessor(
    _ special: SpecialTokens, begins: Bool, ends: Bool
  ) throws(ModelFileError) -> PostProcessor {
    if begins, special.beginningOfSequence == nil {
      throw failure(.malformed, "bos_token_id", "expected the id of the token that begins a text")
    }
    if ends, special.endOfSequence == nil {
      throw failure(.malformed, "eos_token_id", "expected the id of the token that ends a text")
    }
    return .around(
      prefix: begins ? [special.beginningOfSequence].compactMap { $0 } : [],
      suffix: ends ? [special.endOfSequence].compactMap { $0 } : [])
  }

  // MARK: Tokens

  /// Reads the tokens.
  ///
  /// - Parameter spelling: Gives a token the form that other files have it in.
  func vocabulary(
    _ spelling: (UTF8Text, TokenType) -> [UInt8]?
  ) throws(ModelFileError) -> (vocabulary: Vocabulary, types: [TokenType]) {
    let tokens = try strings("tokens")
    guard tokens.count < Int(Int32.max) else {
      throw failure(.malformed, "tokens", "expected fewer tokens, found \(tokens.count)")
    }
    let types = try types(count: tokens.count)
    var vocabulary = Vocabulary(capacity: tokens.count)
    var id: Int32 = 0
    try tokens.forEachUTF8 { (token) throws(ModelFileError) in
      guard token.isASCII || String(validating: token, as: UTF8.self) != nil else {
        throw failure(.malformed, "tokens", "expected tokens in UTF-8, found other bytes as token \(id)")
      }
      if let spelled = spelling(token, types[Int(id)]) {
        try spelled.withUnsafeBufferPointer { (spelled) throws(ModelFileError) in
          try vocabulary.add(spelled, id: id, file: metadata.path, subject: "tokenizer.ggml.tokens")
        }
      } else {
        try vocabulary.add(token, id: id, file: metadata.path, subject: "tokenizer.ggml.tokens")
      }
      id += 1
    }
    return (vocabulary, types)
  }

  /// The tokens that are looked for in the text itself: control tokens, and those that users defined.
  ///
  /// The format has no place for the other properties of added tokens, such as `lstrip`.
  func addedTokens(_ vocabulary: Vocabulary, _ types: [TokenType]) -> [AddedToken] {
    var tokens: [AddedToken] = []
    for (id, type) in types.enumerated() {
      guard type == .control || type == .unknown || type == .userDefined else { continue }
      guard let content = vocabulary.bytes(of: Int32(id)), !content.isEmpty else { continue }
      tokens.append(AddedToken(content: content, id: Int32(id), isSpecial: type != .userDefined))
    }
    return tokens
  }

  func failure(_ kind: ModelFileError.Kind, _ name: String, _ expectation: String) -> ModelFileError {
    ModelFileError(
      kind, file: metadata.path, subject: "tokenizer.ggml.\(name)", expectation: expectation)
  }
}
