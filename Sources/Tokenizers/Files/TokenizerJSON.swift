import SalanganeFiles

/// Builds a tokenizer from a tokenizer.json, the file format of the tokenizers library.
struct TokenizerJSON {
  private let root: JSONField

  /// A model with what else depends on it.
  struct LoadedModel {
    var vocabulary: Vocabulary
    var model: any TokenModel
    var unknown: Int32?
  }

  init(_ document: JSONDocument) {
    root = JSONField(document)
  }

  /// - Parameters:
  ///   - names: The special tokens that other files of the directory name.
  ///   - bert: What `tokenizer_config.json` says about the normalizer of BERT.
  func tokenizer(
    names: SpecialTokenNames, bert: BertNormalizerKeys? = nil
  ) throws(ModelFileError) -> PipelineTokenizer {
    _ = try root.object()
    let model = try root.required("model").object()
    let split = try root.optional("pre_tokenizer").map(Self.preTokenizer) ?? PreTokenizerPlan()
    let loaded = try Self.model(model, split: split)
    let added = try addedTokens(loaded.vocabulary)
    var normalizers: [any Normalizer] = []
    if let field = root.optional("normalizer") {
      let normalizer = try Self.normalizer(field)
      if let bert, let stored = normalizer as? BertNormalizer {
        normalizers.append(try bert.applied(to: stored))
      } else {
        normalizers.append(normalizer)
      }
    }
    if split.prefixesSpace { normalizers.append(PrefixSpaceNormalizer()) }

    let known = KnownTokens(vocabulary: loaded.vocabulary, added: added)
    let postProcessor =
      try root.optional("post_processor").map { (field) throws(ModelFileError) in
        try Self.postProcessor(field, known: known)
      } ?? .none
    let decoder = try root.optional("decoder").map(Self.decoder) ?? SpaceJoiningDecoder()
    var special = names.resolve(known.id)
    special.unknown = special.unknown ?? loaded.unknown
    return PipelineTokenizer(
      vocabulary: loaded.vocabulary, addedTokens: added,
      normalizer: normalizers.count > 1 ? SequenceNormalizer(stages: normalizers) : normalizers.first,
      metaspace: split.metaspace, preTokenizer: split.preTokenizer, model: loaded.model,
      postProcessor: postProcessor,
      decoder: decoder, specialTokens: special)
  }

  /// Reads `added_tokens`.
  ///
  /// A token that the model has too must have the model's id; a further one has the id that the file says.
  private func addedTokens(_ vocabulary: Vocabulary) throws(ModelFileError) -> [AddedToken] {
    guard let fields = try root.optional("added_tokens")?.elements() else { return [] }
    let largest = largestTokenID(count: vocabulary.count + fields.count)
    var tokens: [AddedToken] = []
    var ids: Set<Int32> = []
    var contents: Set<[UInt8]> = []
    tokens.reserveCapacity(fields.count)
    for field in fields {
      _ = try field.object()
      let content = try field.required("content").utf8()
      let id = Int32(try field.required("id").int(0...largest))
      // The library leaves out tokens without content.
      if content.isEmpty { continue }
      let modelID = content.withUnsafeBufferPointer { vocabulary.id(of: $0) }
      guard modelID == nil || modelID == id else {
        throw field.malformed("expected the id \(modelID ?? 0) that the model gives the token, found \(id)")
      }
      guard modelID == id || !vocabulary.contains(id) else {
        let other = vocabulary.string(of: id) ?? ""
        throw field.malformed("expected an id of its own, found \(id) of the model's token \"\(other)\"")
      }
      guard ids.insert(id).inserted, contents.insert(content).inserted else {
        throw field.malformed("expected added tokens with distinct ids and contents")
      }
      tokens.append(
        AddedToken(
          content: content, id: id, singleWord: try field.bool("single_word", default: false),
          stripsLeft: try field.bool("lstrip", default: false),
          stripsRight: try field.bool("rstrip", default: false),
          isNormalized: try field.bool("normalized", default: false),
          isSpecial: try field.bool("special", default: false)))
    }
    return tokens
  }
}

/// The tokens of a model together with the added ones.
struct KnownTokens {
  private let vocabulary: Vocabulary
  private let added: [[UInt8]: Int32]
  /// One more than the largest id.
  let size: Int

  init(vocabulary: Vocabulary, added: [AddedToken]) {
    self.vocabulary = vocabulary
    self.added = Dictionary(added.map { ($0.content, $0.id) }) { first, _ in first }
    size = added.reduce(vocabulary.size) { max($0, Int($1.id) + 1) }
  }

  /// The id of a token, or nil if there is none.
  func id(of token: String) -> Int32? {
    added[Array(token.utf8)] ?? vocabulary.id(of: token)
  }

  /// The token with this id, an id that a file names.
  func id(_ field: JSONField) throws(ModelFileError) -> Int32 {
    Int32(try field.int(0...max(size - 1, 0)))
  }
}

/// The special tokens as `tokenizer_config.json` or `special_tokens_map.json` names them.
struct SpecialTokenNames {
  private var names: [String: String] = [:]

  /// Names nothing.
  init() {}

  /// Reads the names; where two documents name a token, the first counts.
  init(_ documents: [JSONDocument]) throws(ModelFileError) {
    for document in documents {
      let root = try JSONField(document).object()
      for part in ["bos", "eos", "unk", "pad", "cls", "sep", "mask"] where names[part] == nil {
        guard let field = root.optional("\(part)_token") else { continue }
        names[part] =
          field.value.kind == .object ? try field.required("content").string() : try field.string()
      }
    }
  }

  /// The name of a token, such as `cls`.
  subscript(_ part: String) -> String? { names[part] }

  /// Finds the ids; names that the vocabulary doesn't have are left out.
  func resolve(_ id: (String) -> Int32?) -> SpecialTokens {
    var tokens = SpecialTokens()
    tokens.beginningOfSequence = names["bos"].flatMap(id)
    tokens.endOfSequence = names["eos"].flatMap(id)
    tokens.unknown = names["unk"].flatMap(id)
    tokens.padding = names["pad"].flatMap(id)
    tokens.classification = names["cls"].flatMap(id)
    tokens.separator = names["sep"].flatMap(id)
    tokens.mask = names["mask"].flatMap(id)
    return tokens
  }
}
