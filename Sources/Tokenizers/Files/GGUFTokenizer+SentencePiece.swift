import SalanganeFiles

extension GGUFTokenizer {
  /// Builds the tokenizer of Llama 2 and its kin: BPE whose merges come from scores.
  func sentencePieceBPE() throws(ModelFileError) -> PipelineTokenizer {
    let (vocabulary, types) = try vocabulary { _, _ in nil }
    let scores = try scores(count: types.count)
    let special = try sentencePieceTokens(in: vocabulary, types)
    let merges: ScoredMerges
    do throws(ScoredMerges.Failure) {
      merges = try ScoredMerges(vocabulary, scores: scores) { _ in true }
    } catch {
      throw failure(.unsupported, "tokens", "expected tokens that merge in fewer ways")
    }
    let prefixesSpace = try bool("add_space_prefix") ?? true
    return PipelineTokenizer(
      vocabulary: vocabulary, addedTokens: sentencePieceAddedTokens(vocabulary, types),
      normalizer: SentencePieceNormalizer(
        characterMap: nil, addsDummyPrefix: prefixesSpace, removesExtraWhitespaces: false),
      preTokenizer: nil,
      model: CharacterBPE(
        merges: merges.table, characters: merges.characters, fallback: .afterMerging,
        byteTokens: ByteTokens(vocabulary), unknown: special.unknown,
        cutsBeforeSpaces: merges.cutsBeforeSpaces),
      postProcessor: try postProcessor(
        special, begins: bool("add_bos_token") ?? true, ends: bool("add_eos_token") ?? false),
      decoder: SentencePieceDecoder(dropsFirstSpace: prefixesSpace, hasByteTokens: true),
      specialTokens: special)
  }

  /// Builds the tokenizer of T5, XLM-RoBERTa and their kin: a unigram model.
  func sentencePieceUnigram() throws(ModelFileError) -> PipelineTokenizer {
    let (vocabulary, types) = try vocabulary { _, _ in nil }
    let scores = try scores(count: types.count)
    let special = try sentencePieceTokens(in: vocabulary, types)
    guard let unknown = special.unknown else {
      throw failure(.malformed, "unknown_token_id", "expected the id of the unknown token")
    }
    var size = 0
    for id in 0..<Int32(types.count) { size += vocabulary.withToken(id) { $0.count } ?? 0 }
    guard size <= SentencePieceFile.largestVocabulary else {
      throw failure(
        .unsupported, "tokens", "expected at most \(SentencePieceFile.largestVocabulary) bytes of tokens")
    }
    var weights = scores.map(Double.init)
    for (id, type) in types.enumerated() where type == .userDefined { weights[id] = 0 }
    let matched = types.indices.filter { [.normal, .userDefined, .unused].contains(types[$0]) }
    let lowest = types.indices.lazy.filter { types[$0] == .normal }.map { scores[$0] }.min() ?? 0
    let prefixesSpace = try bool("add_space_prefix") ?? false
    let userDefined = types.indices.filter { types[$0] == .userDefined }.map { Int32($0) }
    return PipelineTokenizer(
      vocabulary: vocabulary, addedTokens: sentencePieceAddedTokens(vocabulary, types),
      normalizer: SentencePieceNormalizer(
        characterMap: try characterMap(), addsDummyPrefix: prefixesSpace,
        removesExtraWhitespaces: try bool("remove_extra_whitespaces") ?? false,
        userDefined: userDefined.isEmpty ? nil : TokenTrie(vocabulary, ids: userDefined)),
      preTokenizer: nil,
      model: Unigram(
        vocabulary: vocabulary, matched: matched.map { Int32($0) }, scores: weights,
        lowest: Double(lowest), unknown: unknown, byteTokens: nil, roundsSums: false),
      postProcessor: try postProcessor(
        special, begins: bool("add_bos_token") ?? false, ends: bool("add_eos_token") ?? true),
      decoder: SentencePieceDecoder(dropsFirstSpace: prefixesSpace, hasByteTokens: true),
      specialTokens: special)
  }

  /// The special tokens, with the unknown one told by its type if no key names it.
  private func sentencePieceTokens(
    in vocabulary: Vocabulary, _ types: [TokenType]
  ) throws(ModelFileError) -> SpecialTokens {
    var special = try specialTokens(in: vocabulary)
    if special.unknown == nil { special.unknown = types.firstIndex(of: .unknown).map { Int32($0) } }
    return special
  }

  /// The tokens that are looked for in the text itself.
  ///
  /// Those that users defined are runs of spaces and the like: text, whatever becomes of added tokens.
  private func sentencePieceAddedTokens(_ vocabulary: Vocabulary, _ types: [TokenType]) -> [AddedToken] {
    addedTokens(vocabulary, types).map { token in
      var token = token
      token.isPlainText = types[Int(token.id)] == .userDefined
      return token
    }
  }

  private func scores(count: Int) throws(ModelFileError) -> [Float] {
    guard let scores = value("scores")?.array?.floats, scores.count == count else {
      throw failure(.malformed, "scores", "expected an array of \(count) float32, one for each token")
    }
    if let index = scores.firstIndex(where: { !$0.isFinite }) {
      throw failure(.malformed, "scores", "expected finite scores, found \(scores[index]) for token \(index)")
    }
    return scores
  }

  private func characterMap() throws(ModelFileError) -> CharacterMap? {
    guard let value = value("precompiled_charsmap") else { return nil }
    guard let array = value.array, array.elementType == .uint8 || array.elementType == .int8,
      let ints = array.ints
    else { throw failure(.malformed, "precompiled_charsmap", "expected an array of bytes") }
    if ints.isEmpty { return nil }
    let bytes = ints.map { UInt8(truncatingIfNeeded: $0) }
    return try bytes.withUnsafeBufferPointer { (bytes) throws(ModelFileError) in
      try CharacterMap(bytes, file: metadata.path, subject: "tokenizer.ggml.precompiled_charsmap")
    }
  }
}
