import SalanganeFiles

/// Finds and reads the files of a tokenizer.
///
/// Every way ends with a look at `ReadInterruption`, since some of what was built may have been cut short.
public enum TokenizerLoader {
  /// Loads the tokenizer of a model.
  ///
  /// - Parameter path: A GGUF file, which may hold a vocabulary only, or a directory with a
  ///   `tokenizer.json`, a `tokenizer.model` or a `vocab.txt`; a safetensors file stands for its directory.
  /// - Throws: `ModelFileError`: `missing`, `unreadable`, `malformed`, or `unsupported` for a kind of
  ///   tokenizer that isn't known here.
  public static func load(path: String) throws(ModelFileError) -> any TextTokenizer {
    switch try ModelLocation(path: path) {
    case .directory(let directory), .safetensors(_, let directory): return try load(directory)
    case .gguf(let path): return try load(GGUFFile(path: path).metadata)
    }
  }

  /// Loads the tokenizer of a model directory: from `tokenizer.json`, or else from
  /// `tokenizer.model` (SentencePiece) or `vocab.txt` (WordPiece).
  ///
  /// `tokenizer_config.json` and `special_tokens_map.json` name the special tokens. The sections
  /// `truncation` and `padding` of a tokenizer.json are not applied: callers choose their lengths.
  ///
  /// - Throws: `ModelFileError`, as `load(path:)` does.
  public static func load(_ directory: ModelDirectory) throws(ModelFileError) -> any TextTokenizer {
    let tokenizer = try read(directory)
    try ReadInterruption.check(file: directory.path)
    return tokenizer
  }

  private static func read(_ directory: ModelDirectory) throws(ModelFileError) -> any TextTokenizer {
    let configuration = try directory.optionalJSON("tokenizer_config.json")
    let map = try directory.optionalJSON("special_tokens_map.json")
    let names = try SpecialTokenNames([configuration, map].compactMap { $0 })
    if let document = try directory.optionalJSON("tokenizer.json") {
      return try TokenizerJSON(document).tokenizer(
        names: names, bert: configuration.flatMap { BertNormalizerKeys(JSONField($0)) })
    }
    let sentencePiece = "tokenizer.model"
    if let bytes = try directory.optionalBytes(sentencePiece, limit: 64 << 20) {
      let file = try SentencePieceFile(bytes, file: directory.path(of: sentencePiece))
      return try file.tokenizer(names: names, configuration: configuration.map(JSONField.init))
    }
    if let text = try directory.optionalBytes("vocab.txt") {
      let file = directory.path(of: "vocab.txt")
      return try VocabularyText(text, file: file, configuration: configuration).tokenizer(names: names)
    }
    throw ModelFileError(
      .missing, file: directory.path,
      expectation: "expected a tokenizer.json, tokenizer.model or vocab.txt in it")
  }

  /// Loads the tokenizer that the metadata of a GGUF file describes.
  ///
  /// - Throws: `ModelFileError`, as `load(path:)` does.
  public static func load(_ metadata: GGUFMetadata) throws(ModelFileError) -> any TextTokenizer {
    let tokenizer = try GGUFTokenizer(metadata).tokenizer()
    try ReadInterruption.check(file: metadata.path)
    return tokenizer
  }
}
