import SalanganeFiles

/// What tokenizer.json files that were made of SentencePiece models have besides.
extension TokenizerJSON {
  /// Reads a unigram model: `vocab` is an array of pairs of a token and its score, in the order of ids.
  static func unigram(_ field: JSONField) throws(ModelFileError) -> LoadedModel {
    let entries = try field.required("vocab")
    guard entries.value.kind == .array else { throw entries.malformed("expected an array") }
    var vocabulary = Vocabulary(capacity: entries.value.count)
    var scores: [Double] = []
    scores.reserveCapacity(entries.value.count)
    var size = 0
    for entry in entries.value.elements {
      let index = scores.count
      var parts = entry.elements.makeIterator()
      guard entry.kind == .array, entry.count == 2, let token = parts.next(), token.kind == .string,
        let score = parts.next()?.double, score.isFinite
      else {
        throw ModelFileError(
          .malformed, file: entries.value.file, subject: "\(entries.path)[\(index)]",
          expectation: "expected a token and its score, a finite number")
      }
      try token.withUTF8 { (token) throws(ModelFileError) in
        size += token.count
        try vocabulary.add(
          token, id: Int32(index), file: entries.value.file, subject: "\(entries.path)[\(index)]")
      }
      scores.append(score)
    }
    guard !scores.isEmpty else { throw entries.malformed("expected at least one token") }
    guard size <= SentencePieceFile.largestVocabulary else {
      throw entries.unsupported("expected at most \(SentencePieceFile.largestVocabulary) bytes of tokens")
    }
    let unknown = Int32(try field.required("unk_id").int(0...scores.count - 1))
    let fallsBack = try field.bool("byte_fallback", default: false)
    let model = Unigram(
      vocabulary: vocabulary, matched: 0..<Int32(scores.count), scores: scores,
      lowest: scores.min() ?? 0, unknown: unknown, byteTokens: fallsBack ? ByteTokens(vocabulary) : nil,
      roundsSums: false)
    return LoadedModel(vocabulary: vocabulary, model: model, unknown: unknown)
  }

  /// Makes a BPE model that isn't byte-level of its parts.
  static func characterBPE(
    _ field: JSONField, _ reader: MergeReader, vocabulary: Vocabulary, unknown: Int32?,
    ignoresMerges: Bool
  ) throws(ModelFileError) -> CharacterBPE {
    var characters = ScalarTable()
    for id in 0..<Int32(vocabulary.size) {
      vocabulary.withToken(id) { token in
        guard !token.isEmpty, case let (scalar, length) = token.scalar(at: 0), length == token.count
        else { return }
        characters[scalar] = id
      }
    }
    let fallsBack = try field.bool("byte_fallback", default: false)
    let knowsMark = characters[CharacterBPE.spaceScalar] >= 0
    return CharacterBPE(
      merges: reader.table, characters: characters, fallback: .beforeMerging,
      byteTokens: fallsBack ? ByteTokens(vocabulary) : nil, unknown: unknown,
      fusesUnknown: try field.bool("fuse_unk", default: false),
      wholePieces: ignoresMerges ? vocabulary : nil, cutsBeforeSpaces: knowsMark && !reader.joinsSpaceMark)
  }

  // MARK: Metaspace

  /// Reads the pre-tokenizer `Metaspace`.
  static func addMetaspace(_ field: JSONField, to plan: inout PreTokenizerPlan) throws(ModelFileError) {
    var metaspace = try metaspace(field)
    if plan.stages.count == 1, plan.stages[0] is WhitespacePreTokenizer {
      plan.stages = []
      metaspace.splitsWords = true
    }
    guard plan.stages.isEmpty, plan.metaspace == nil else {
      throw field.unsupported("expected \"Metaspace\" first, or behind \"WhitespaceSplit\"")
    }
    let splits = try field.bool("split", default: true)
    guard splits || !metaspace.splitsWords else {
      throw field.unsupported("expected \"Metaspace\" behind \"WhitespaceSplit\" to split")
    }
    plan.metaspace = metaspace
    if splits { plan.stages.append(SpaceMarkPreTokenizer(mark: metaspace.replacement)) }
  }

  /// Reads what the pre-tokenizer and the decoder `Metaspace` have in common.
  private static func metaspace(_ field: JSONField) throws(ModelFileError) -> Metaspace {
    let replacement = try field.optional("replacement")?.utf8() ?? CharacterBPE.spaceMark
    guard !replacement.isEmpty else { throw field.malformed("expected a replacement that isn't empty") }
    var prepending = Metaspace.Prepending.always
    if let scheme = field.optional("prepend_scheme") {
      guard let known = Metaspace.Prepending(rawValue: try scheme.string()) else {
        throw scheme.malformed("expected always, first or never, found \"\(try scheme.string())\"")
      }
      prepending = known
    }
    // Files of older versions have this key instead.
    if try !field.bool("add_prefix_space", default: true) { prepending = .never }
    return Metaspace(replacement: replacement, prepending: prepending)
  }

  // MARK: Decoders

  /// Reads decoders that follow one another.
  static func sequenceDecoder(_ fields: [JSONField]) throws(ModelFileError) -> SequenceDecoder {
    var steps: [SequenceDecoder.Step] = []
    var isFused = false
    for field in fields {
      let type = try field.type()
      switch type {
      case "Fuse":
        isFused = true
      case "Strip":
        let content = try field.required("content").utf8()
        guard !content.isEmpty else { throw field.malformed("expected a content that isn't empty") }
        let start = try field.required("start").int(0...Int(Int32.max))
        let end = try field.required("stop").int(0...Int(Int32.max))
        if isFused {
          guard end == 0 else {
            throw field.unsupported("expected nothing to be stripped from the end of the text")
          }
          steps.append(.stripFirst(content: content, count: start))
        } else {
          steps.append(.strip(content: content, start: start, end: end))
        }
      case _ where isFused:
        throw field.unsupported("expected only \"Strip\" after the decoder \"Fuse\", found \"\(type)\"")
      case "Replace":
        guard let pattern = try field.required("pattern").object().optional("String"),
          case let bytes = try pattern.utf8(), !bytes.isEmpty
        else { throw field.unsupported("expected a plain pattern to replace, not empty") }
        steps.append(.replace(pattern: bytes, replacement: try field.required("content").utf8()))
      case "ByteFallback":
        steps.append(.bytes)
      case "Metaspace":
        let metaspace = try metaspace(field)
        steps.append(
          .spaces(mark: metaspace.replacement, dropsFirst: metaspace.prepending != .never))
      default:
        throw field.unsupported("expected a decoder that is known here in a sequence, found \"\(type)\"")
      }
    }
    return SequenceDecoder(steps: steps)
  }
}
