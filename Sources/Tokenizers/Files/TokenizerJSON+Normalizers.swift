import SalanganeFiles

extension TokenizerJSON {
  /// Reads a normalizer.
  static func normalizer(_ field: JSONField) throws(ModelFileError) -> any Normalizer {
    let type = try field.type()
    if let form = UnicodeNormalizer.Form(rawValue: type) { return UnicodeNormalizer(form: form) }
    switch type {
    case "Sequence":
      var stages: [any Normalizer] = []
      for element in try field.required("normalizers").elements() {
        stages.append(try normalizer(element))
      }
      return SequenceNormalizer(stages: stages)
    case "BertNormalizer":
      let lowercases = try field.bool("lowercase", default: true)
      return BertNormalizer(
        cleansText: try field.bool("clean_text", default: true),
        spacesIdeographs: try field.bool("handle_chinese_chars", default: true),
        stripsAccents: try field.bool("strip_accents", default: lowercases), lowercases: lowercases)
    case "Lowercase":
      return LowercaseNormalizer()
    case "StripAccents":
      return CombiningMarkRemover()
    case "Strip":
      return WhitespaceTrimmer(
        left: try field.bool("strip_left", default: true),
        right: try field.bool("strip_right", default: true))
    case "Prepend":
      return PrependNormalizer(prefix: try field.required("prepend").utf8())
    case "Replace":
      let patterns = try field.required("pattern").object()
      // The one regular expression that published files have, but for the splits.
      if try patterns.optional("Regex")?.string() == " {2,}" {
        return SpaceRunReplacer(replacement: try field.required("content").utf8())
      }
      guard let pattern = patterns.optional("String") else {
        throw field.unsupported("expected a plain pattern to replace, found a regular expression")
      }
      guard case let bytes = try pattern.utf8(), !bytes.isEmpty else {
        throw pattern.malformed("expected a pattern that isn't empty")
      }
      return ReplaceNormalizer(pattern: bytes, replacement: try field.required("content").utf8())
    case "Precompiled":
      let map = try field.required("precompiled_charsmap")
      guard let bytes = Base64.decode(try map.utf8()) else {
        throw map.malformed("expected bytes in Base64")
      }
      return try bytes.withUnsafeBufferPointer { (bytes) throws(ModelFileError) in
        PrecompiledNormalizer(
          characterMap: try CharacterMap(bytes, file: map.value.file, subject: map.path))
      }
    default:
      throw field.unsupported("expected a normalizer that is known here, found \"\(type)\"")
    }
  }
}

/// The keys of `tokenizer_config.json` about the normalizer of BERT, which transformers prefers to those of
/// tokenizer.json.
struct BertNormalizerKeys {
  private let configuration: JSONField

  /// - Returns: nil for the configuration of a tokenizer that isn't BERT's, which is used as it is.
  init?(_ configuration: JSONField) {
    let name = configuration.optional("tokenizer_class")?.value.string ?? "BertTokenizer"
    guard ["BertTokenizer", "BertTokenizerFast"].contains(name) else { return nil }
    self.configuration = configuration
  }

  /// The normalizer with what is said otherwise.
  func applied(to stored: BertNormalizer) throws(ModelFileError) -> BertNormalizer {
    var normalizer = stored
    if let field = configuration.optional("do_lower_case") {
      normalizer.lowercases = try field.bool()
      normalizer.stripsAccents = normalizer.lowercases
    }
    if let field = configuration.optional("strip_accents") { normalizer.stripsAccents = try field.bool() }
    if let field = configuration.optional("tokenize_chinese_chars") {
      normalizer.spacesIdeographs = try field.bool()
    }
    return normalizer
  }
}
