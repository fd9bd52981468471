import SalanganeFiles

extension SentencePieceFile {
  /// Builds the tokenizer.
  ///
  /// - Parameters:
  ///   - names: The special tokens that other files of the directory name.
  ///   - configuration: The contents of `tokenizer_config.json`, which says whether BOS and EOS are added
  ///     and which tokens the model itself doesn't have.
  func tokenizer(
    names: SpecialTokenNames, configuration: JSONField?
  ) throws(ModelFileError) -> PipelineTokenizer {
    guard !putsSpacesBehind else {
      throw failure(.unsupported, "trainer_spec, field 24", "expected spaces before words, found them behind")
    }
    let unknown = try unknownToken()
    let byteTokens = try byteTokens()
    let userDefinedIDs = ids(of: .userDefined)
    let userDefined = userDefinedIDs.isEmpty ? nil : TokenTrie(vocabulary, ids: userDefinedIDs)
    let model: any TokenModel =
      switch kind {
      case .unigram: unigram(unknown: unknown, byteTokens: byteTokens)
      case .bytePairEncoding: try bpe(unknown: unknown, byteTokens: byteTokens, userDefined: userDefined)
      case .word, .character:
        throw failure(
          .unsupported, "trainer_spec, field 3",
          "expected a unigram or BPE model, found type \(kind.rawValue)")
      }
    let added = try addedTokens(configuration)
    let special = specialTokens(names, unknown: unknown, added)
    return PipelineTokenizer(
      vocabulary: vocabulary, addedTokens: added,
      normalizer: SentencePieceNormalizer(
        characterMap: characterMap, addsDummyPrefix: addsDummyPrefix,
        removesExtraWhitespaces: removesExtraWhitespaces, escapesWhitespaces: escapesWhitespaces,
        userDefined: userDefined),
      preTokenizer: nil, model: model, postProcessor: try postProcessor(special, configuration),
      decoder: SentencePieceDecoder(
        dropsFirstSpace: addsDummyPrefix || removesExtraWhitespaces, hasByteTokens: fallsBackToBytes,
        unknown: (vocabulary.bytes(of: unknown) ?? [], unknownSurface)),
      specialTokens: special)
  }

  // MARK: Models

  private func unigram(unknown: Int32, byteTokens: ByteTokens?) -> Unigram {
    let normal = ids(of: .normal).map { scores[Int($0)] }
    let userDefined = ids(of: .userDefined)
    // What SentencePiece 0.2.3 adds for each byte was found by experiment: 0.1, all scores being negative.
    let greatest = max(Double(normal.max() ?? 0), 0.1)
    return Unigram(
      vocabulary: vocabulary, matched: ids(of: .normal) + userDefined, scores: scores.map(Double.init),
      lowest: Double(normal.min() ?? 0), unknown: unknown, byteTokens: byteTokens, roundsSums: true,
      userDefined: userDefined.isEmpty ? nil : (Set(userDefined), greatest))
  }

  private func bpe(
    unknown: Int32, byteTokens: ByteTokens?, userDefined: TokenTrie?
  ) throws(ModelFileError) -> CharacterBPE {
    let merges: ScoredMerges
    let types = types
    do throws(ScoredMerges.Failure) {
      // Text that user-defined tokens match never reaches the merges.
      merges = try ScoredMerges(vocabulary, scores: scores, watched: Set(ids(of: .unused))) { id in
        types[Int(id)] == .normal || types[Int(id)] == .unused
      }
    } catch {
      throw failure(.unsupported, "pieces", "expected pieces that merge in fewer ways")
    }
    if let unused = merges.reachable.min() {
      let name = vocabulary.string(of: unused) ?? ""
      throw failure(
        .unsupported, "pieces[\(unused)]",
        "expected BPE whose merges are all in use, found unused \"\(name)\"")
    }
    return CharacterBPE(
      merges: merges.table, characters: merges.characters, fallback: .afterMerging, byteTokens: byteTokens,
      unknown: unknown, userDefined: userDefined, cutsBeforeSpaces: merges.cutsBeforeSpaces)
  }

  // MARK: Tokens

  private func ids(of type: GGUFTokenizer.TokenType) -> [Int32] {
    types.indices.filter { types[$0] == type }.map { Int32($0) }
  }

  private func unknownToken() throws(ModelFileError) -> Int32 {
    let unknown = ids(of: .unknown)
    guard unknown.count == 1 else {
      throw failure(.malformed, "pieces", "expected one unknown piece, found \(unknown.count)")
    }
    return unknown[0]
  }

  private func byteTokens() throws(ModelFileError) -> ByteTokens? {
    let pieces = ids(of: .byte)
    guard fallsBackToBytes else {
      if let first = pieces.first {
        throw failure(.malformed, "pieces[\(first)]", "expected no bytes in a model without byte_fallback")
      }
      return nil
    }
    let tokens = ByteTokens(vocabulary)
    if let missing = tokens.firstMissing {
      let name = String(decoding: ByteTokens.spelling(missing), as: UTF8.self)
      throw failure(.malformed, "pieces", "expected all 256 bytes for byte_fallback, found no \(name)")
    }
    return tokens
  }

  /// The control tokens, and those that `tokenizer_config.json` adds.
  private func addedTokens(_ configuration: JSONField?) throws(ModelFileError) -> [AddedToken] {
    var tokens: [Int32: AddedToken] = [:]
    for id in ids(of: .control) {
      tokens[id] = AddedToken(content: vocabulary.bytes(of: id) ?? [], id: id, isSpecial: true)
    }
    guard let field = try configuration?.optional("added_tokens_decoder")?.object() else {
      return Array(tokens.values)
    }
    let largest = largestTokenID(count: vocabulary.count + field.value.count)
    for (key, value) in field.value.members {
      let entry = try JSONField(value, path: "\(field.path).\(key.string ?? "")").object()
      guard let id = key.string.flatMap({ Int32($0) }), id >= 0, id <= largest else {
        throw entry.malformed("expected a token id from 0 to \(largest) as key")
      }
      let content = try entry.required("content").utf8()
      if content.isEmpty { continue }
      let known = content.withUnsafeBufferPointer { vocabulary.id(of: $0) }
      guard known == id || known == nil && !vocabulary.contains(id) else {
        throw entry.malformed("expected the token that the model has for this id, or one of its own")
      }
      // The model sees to the unknown token and to what users defined.
      if known != nil, types[Int(id)] == .unknown || types[Int(id)] == .userDefined { continue }
      tokens[id] = AddedToken(
        content: content, id: id, singleWord: try entry.bool("single_word", default: false),
        stripsLeft: try entry.bool("lstrip", default: false),
        stripsRight: try entry.bool("rstrip", default: false),
        isNormalized: try entry.bool("normalized", default: false),
        isSpecial: try entry.bool("special", default: false))
    }
    return Array(tokens.values)
  }

  private func specialTokens(
    _ names: SpecialTokenNames, unknown: Int32, _ added: [AddedToken]
  ) -> SpecialTokens {
    let known = KnownTokens(vocabulary: vocabulary, added: added)
    var special = names.resolve(known.id)
    func control(_ piece: [UInt8]) -> Int32? {
      let id = piece.withUnsafeBufferPointer { vocabulary.id(of: $0) }
      return id.flatMap { types[Int($0)] == .control ? $0 : nil }
    }
    special.unknown = unknown
    special.beginningOfSequence = special.beginningOfSequence ?? control(beginningOfSequence)
    special.endOfSequence = special.endOfSequence ?? control(endOfSequence)
    special.padding = special.padding ?? control(padding)
    return special
  }

  /// Adds BOS and EOS as `tokenizer_config.json` says; Llama's tokenizers add BOS if it says nothing, and
  /// SentencePiece itself adds neither.
  private func postProcessor(
    _ special: SpecialTokens, _ configuration: JSONField?
  ) throws(ModelFileError) -> PostProcessor {
    guard let configuration else { return .none }
    let isLlama = try configuration.optional("tokenizer_class")?.string().contains("Llama") ?? false
    let begins = try configuration.bool("add_bos_token", default: isLlama)
    let ends = try configuration.bool("add_eos_token", default: false)
    if begins, special.beginningOfSequence == nil {
      throw configuration.malformed("expected a token that begins a text, for \"add_bos_token\"")
    }
    if ends, special.endOfSequence == nil {
      throw configuration.malformed("expected a token that ends a text, for \"add_eos_token\"")
    }
    return .around(
      prefix: begins ? [special.beginningOfSequence].compactMap { $0 } : [],
      suffix: ends ? [special.endOfSequence].compactMap { $0 } : [])
  }
}
