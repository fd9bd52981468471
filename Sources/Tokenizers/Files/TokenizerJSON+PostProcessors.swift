import SalanganeFiles

extension TokenizerJSON {
  /// Reads a post-processor.
  static func postProcessor(
    _ field: JSONField, known: KnownTokens
  ) throws(ModelFileError) -> PostProcessor {
    let type = try field.type()
    switch type {
    case "ByteLevel":
      // It only moves offsets.
      return .none
    case "BertProcessing":
      return .bert(
        classification: try namedToken(field.required("cls"), known),
        separator: try namedToken(field.required("sep"), known))
    case "RobertaProcessing":
      return .roberta(
        classification: try namedToken(field.required("cls"), known),
        separator: try namedToken(field.required("sep"), known))
    case "TemplateProcessing":
      return try template(field, known: known)
    case "Sequence":
      var result: PostProcessor?
      for element in try field.required("processors").elements() where try element.type() != "ByteLevel" {
        guard result == nil else {
          throw field.unsupported("expected one post-processor that adds tokens, found several")
        }
        result = try postProcessor(element, known: known)
      }
      return result ?? .none
    default:
      throw field.unsupported("expected a post-processor that is known here, found \"\(type)\"")
    }
  }

  /// A pair of a token and its id.
  private static func namedToken(_ field: JSONField, _ known: KnownTokens) throws(ModelFileError) -> Int32 {
    let parts = try field.elements()
    guard parts.count == 2 else { throw field.malformed("expected a token and its id") }
    _ = try parts[0].string()
    return try known.id(parts[1])
  }

  private static func template(
    _ field: JSONField, known: KnownTokens
  ) throws(ModelFileError) -> PostProcessor {
    let tokens = try field.required("special_tokens").object()
    let single = try templateParts(field.required("single"), tokens: tokens, known: known)
    let pair = try templateParts(field.required("pair"), tokens: tokens, known: known)
    guard hasText(single, first: 1...Int.max, second: 0...0) else {
      throw field.malformed("expected a template for one text with the sequence A in it, and no B")
    }
    guard hasText(pair, first: 1...Int.max, second: 1...Int.max) else {
      throw field.malformed("expected a template for two texts with the sequences A and B in it")
    }
    return PostProcessor(single: single, pair: pair)
  }

  private static func hasText(
    _ parts: [PostProcessor.Part], first: ClosedRange<Int>, second: ClosedRange<Int>
  ) -> Bool {
    var counts = (first: 0, second: 0)
    for part in parts {
      switch part {
      case .first: counts.first += 1
      case .second: counts.second += 1
      case .special: break
      }
    }
    return first.contains(counts.first) && second.contains(counts.second)
  }

  private static func templateParts(
    _ field: JSONField, tokens: JSONField, known: KnownTokens
  ) throws(ModelFileError) -> [PostProcessor.Part] {
    var parts: [PostProcessor.Part] = []
    for element in try field.elements() {
      if let sequence = try element.object().optional("Sequence") {
        let typeID = Int32(try sequence.required("type_id").int(0...255))
        let name = try sequence.required("id").string()
        switch name {
        case "A": parts.append(.first(typeID: typeID))
        case "B": parts.append(.second(typeID: typeID))
        default: throw sequence.malformed("expected the sequence A or B, found \"\(name)\"")
        }
      } else {
        let special = try element.required("SpecialToken")
        let typeID = Int32(try special.required("type_id").int(0...255))
        let entry = try tokens.required(special.required("id").string())
        var ids: [Int32] = []
        for id in try entry.required("ids").elements() { ids.append(try known.id(id)) }
        parts.append(.special(ids, typeID: typeID))
      }
    }
    return parts
  }

  /// Reads a decoder.
  static func decoder(_ field: JSONField) throws(ModelFileError) -> any TokenDecoder {
    let type = try field.type()
    switch type {
    case "WordPiece":
      return WordPieceDecoder(
        prefix: try field.optional("prefix")?.utf8() ?? Array("##".utf8),
        cleansUp: try field.bool("cleanup", default: true))
    case "ByteLevel":
      return ByteLevelDecoder()
    case "Sequence":
      let parts = try field.required("decoders").elements()
      return parts.count == 1 ? try decoder(parts[0]) : try sequenceDecoder(parts)
    case "Replace", "ByteFallback", "Fuse", "Strip", "Metaspace":
      return try sequenceDecoder([field])
    default:
      throw field.unsupported("expected a decoder that is known here, found \"\(type)\"")
    }
  }
}
