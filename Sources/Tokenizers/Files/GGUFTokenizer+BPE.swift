import SalanganeFiles

extension GGUFTokenizer {
  /// Builds the byte-level BPE tokenizer of GPT-2 and its followers.
  func byteLevelBPE() throws(ModelFileError) -> PipelineTokenizer {
    let name = try string("pre")
    guard let split = name.flatMap(SplitPatterns.named) else {
      let known = SplitPatterns.names.joined(separator: ", ")
      throw failure(
        .unsupported, "pre", "expected one of the pre-tokenizers \(known), found \"\(name ?? "none")\"")
    }
    let (vocabulary, types) = try vocabulary { _, _ in nil }
    let special = try specialTokens(in: vocabulary)
    let added = addedTokens(vocabulary, types)
    let merges = try strings("merges")
    var reader = MergeReader(
      vocabulary, count: merges.count, file: metadata.path, subject: "tokenizer.ggml.merges")
    try merges.forEachUTF8 { (text) throws(ModelFileError) in try reader.add(text) }
    return PipelineTokenizer(
      vocabulary: vocabulary, addedTokens: added,
      normalizer: split.normalizes ? UnicodeNormalizer(form: .nfc) : nil,
      preTokenizer: PreTokenizerPlan(stages: split.stages).preTokenizer,
      model: reader.model(wholePieces: split.ignoresMerges ? vocabulary : nil),
      postProcessor: try postProcessor(special, split: split), decoder: ByteLevelDecoder(),
      specialTokens: special)
  }

  /// Adds the BOS and EOS tokens that the file asks for.
  private func postProcessor(
    _ special: SpecialTokens, split: SplitPatterns.Named
  ) throws(ModelFileError) -> PostProcessor {
    let begins = try bool("add_bos_token") ?? split.addsBeginning
    let ends = try bool("add_eos_token") ?? false
    if split.neverAddsTokens { return .none }
    return try postProcessor(special, begins: begins, ends: ends)
  }
}
