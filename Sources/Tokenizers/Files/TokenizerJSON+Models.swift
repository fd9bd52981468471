import SalanganeFiles

extension TokenizerJSON {
  /// Reads the model.
  static func model(_ field: JSONField, split: PreTokenizerPlan) throws(ModelFileError) -> LoadedModel {
    // Files of older versions of the library don't say what they are.
    let guess = field.optional("merges") == nil ? "WordPiece" : "BPE"
    let type = try field.optional("type")?.string() ?? guess
    switch type {
    case "WordPiece": return try wordPiece(field)
    case "BPE": return try bytePairEncoding(field, split: split)
    case "Unigram": return try unigram(field)
    default: throw field.unsupported("expected a model that is known here, found \"\(type)\"")
    }
  }

  private static func wordPiece(_ field: JSONField) throws(ModelFileError) -> LoadedModel {
    let vocabulary = try Vocabulary(field.required("vocab"))
    let name = try field.required("unk_token")
    let unknown = try vocabulary.id(of: name.string(), named: name)
    let prefix = try field.optional("continuing_subword_prefix")?.utf8() ?? Array("##".utf8)
    let longest = try field.optional("max_input_chars_per_word")?.int(0...Int(Int32.max)) ?? 100
    let model = WordPiece(vocabulary: vocabulary, unknown: unknown, prefix: prefix, longestWord: longest)
    return LoadedModel(vocabulary: vocabulary, model: model, unknown: unknown)
  }

  private static func bytePairEncoding(
    _ field: JSONField, split: PreTokenizerPlan
  ) throws(ModelFileError) -> LoadedModel {
    for key in ["continuing_subword_prefix", "end_of_word_suffix"] {
      if let affix = field.optional(key), try !affix.utf8().isEmpty {
        throw affix.unsupported("expected BPE without affixes")
      }
    }
    if let dropout = field.optional("dropout"), dropout.value.double != 0 {
      throw dropout.unsupported("expected merges without dropout")
    }
    let vocabulary = try Vocabulary(field.required("vocab"))
    let unknown = try field.optional("unk_token").map { (name) throws(ModelFileError) in
      try vocabulary.id(of: name.string(), named: name)
    }
    let merges = try field.required("merges")
    guard merges.value.kind == .array else { throw merges.malformed("expected an array") }
    var reader = MergeReader(
      vocabulary, count: merges.value.count, file: merges.value.file, subject: merges.path)
    for element in merges.value.elements { try add(element, to: &reader, of: merges) }
    let ignoresMerges = try field.bool("ignore_merges", default: false)
    guard split.isByteLevel else {
      let model = try characterBPE(
        field, reader, vocabulary: vocabulary, unknown: unknown, ignoresMerges: ignoresMerges)
      return LoadedModel(vocabulary: vocabulary, model: model, unknown: unknown)
    }
    let model = reader.model(
      wholePieces: ignoresMerges ? vocabulary : nil, unknown: unknown,
      fusesUnknown: try field.bool("fuse_unk", default: false))
    return LoadedModel(vocabulary: vocabulary, model: model, unknown: unknown)
  }

  /// Adds a merge, which is two strings or, in older files, one with a space.
  private static func add(
    _ element: JSONValue, to reader: inout MergeReader, of merges: JSONField
  ) throws(ModelFileError) {
    if element.kind == .array, element.count == 2 {
      var parts = element.elements.makeIterator()
      let (first, second) = (parts.next(), parts.next())
      let added: Void?? = try first?.withUTF8 { (first) throws(ModelFileError) -> Void? in
        try second?.withUTF8 { (second) throws(ModelFileError) in try reader.add(first, second) }
      }
      if case .some(.some) = added { return }
    } else {
      let added: Void? = try element.withUTF8 { (text) throws(ModelFileError) in try reader.add(text) }
      if added != nil { return }
    }
    throw merges.malformed("expected merges of two strings each")
  }
}
