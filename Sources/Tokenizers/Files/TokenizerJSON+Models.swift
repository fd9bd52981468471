import SalanganeFiles

extension TokenizerJSON {
  /// Reads the model.
  static func model(_ field: JSONField, split: PreTokenizerPlan) throws(ModelFileError) -> LoadedModel {
    // Files of older versions of the library don't say what they are.
    let guess = field.optional("merges") == nil ? "WordPiece" : "BPE"
    let type = try field.optional("type")?.string() ?? guess
    switch type {
    case "WordPiece": return try wordPiece(field)
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
}
