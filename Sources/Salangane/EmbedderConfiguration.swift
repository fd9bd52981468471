import SalanganeFiles
import SalanganeModelGraph
import SalanganeTokenizers

/// What the files around a model say about how its embeddings are made.
struct EmbedderConfiguration: Sendable {
  /// How hidden states become one vector.
  var pooling = Pooling.mean
  /// Whether vectors are scaled to length 1.
  var normalizes = false
  /// The most tokens of a text, special tokens included; nil if only the position table limits it.
  var maximumLength: Int?
  /// What is put before a text, by name.
  var prompts: [String: String] = [:]
  /// The name of the prompt for texts without a role.
  var defaultPrompt: String?
  /// The file that asks for texts in lower case, whatever the tokenizer does; nil if none does.
  private var lowercasingFile: String?

  /// Reads what a checkpoint's files say.
  ///
  /// - Throws: `ModelFileError` for files that break their format, and for steps that we don't have.
  init(_ checkpoint: Checkpoint) throws(ModelFileError) {
    // Where no file says: sentence-transformers takes the last token of a causal model, and the mean of others.
    if case .decoder = try ArchitectureRegistry.architecture(for: checkpoint) { pooling = .last }
    if let directory = checkpoint.directory {
      try readModules(directory)
      try readTransformer(directory)
      maximumLength = try Self.maximumLength(checkpoint)
      try readPrompts(directory)
    } else {
      try readMetadata(checkpoint.hyperparameters)
    }
  }

  // MARK: GGUF

  /// llama.cpp's keys; its embeddings are normalised unless a caller says otherwise.
  private mutating func readMetadata(_ values: Hyperparameters) throws(ModelFileError) {
    normalizes = true
    let key = HyperparameterKey.gguf("pooling_type")
    switch try values.optionalInt(key) {
    case nil: break
    case 1: pooling = .mean
    case 2: pooling = .cls
    case 3: pooling = .last
    case let type?:
      throw values.failure(
        key, "expected 1 (mean), 2 (CLS) or 3 (last), found \(type)", kind: .unsupported)
    }
  }

  // MARK: sentence-transformers

  /// Reads the steps after the encoder.
  ///
  /// Without a `modules.json` vectors aren't normalised.
  private mutating func readModules(_ directory: ModelDirectory) throws(ModelFileError) {
    guard let document = try directory.optionalJSON("modules.json") else { return }
    let file = document.file
    guard document.root.kind == .array else {
      throw ModelFileError(.malformed, file: file, expectation: "expected an array of modules")
    }
    var pools = false
    for (index, module) in document.root.elements.enumerated() {
      guard let type = module["type"]?.string else {
        throw ModelFileError(
          .malformed, file: file, subject: "[\(index)].type", expectation: "expected a string")
      }
      // The packages of these classes have moved between versions; their names have not.
      switch type.split(separator: ".").last {
      case "Transformer": break
      case "Normalize": normalizes = true
      case "Pooling":
        guard let path = module["path"]?.string, !path.split(separator: "/").contains("..") else {
          throw ModelFileError(
            .malformed, file: file, subject: "[\(index)].path",
            expectation: "expected a path in the directory")
        }
        try readPooling(directory.json(path.isEmpty ? "config.json" : path + "/config.json"))
        pools = true
      default:
        throw ModelFileError(
          .unsupported, file: file, subject: "[\(index)].type",
          expectation: "expected Transformer, Pooling or Normalize, found \"\(type)\"")
      }
    }
    guard pools else {
      throw ModelFileError(.malformed, file: file, expectation: "expected a module of the type Pooling")
    }
  }

  /// Reads how texts become tokens, but for their length.
  private mutating func readTransformer(_ directory: ModelDirectory) throws(ModelFileError) {
    if let document = try directory.optionalJSONObject("sentence_bert_config.json") {
      if document.root["do_lower_case"]?.bool == true { lowercasingFile = document.file }
      let task = document.root["transformer_task"]?.string ?? "feature-extraction"
      guard task == "feature-extraction" else {
        throw ModelFileError(
          .unsupported, file: document.file, subject: "transformer_task",
          expectation: "expected \"feature-extraction\", found \"\(task)\"")
      }
      guard (document.root["processing_kwargs"]?.members.count ?? 0) == 0 else {
        throw ModelFileError(
          .unsupported, file: document.file, subject: "processing_kwargs",
          expectation: "expected nothing in it")
      }
    }
    if let document = try directory.optionalJSONObject("tokenizer_config.json"),
      document.root["truncation_side"]?.string == "left"
    {
      throw ModelFileError(
        .unsupported, file: document.file, subject: "truncation_side",
        expectation: "expected \"right\", found \"left\"")
    }
  }

  /// Checks that the tokenizer makes texts lower case if they are to be.
  ///
  /// - Throws: `ModelFileError` (`unsupported`) if it doesn't.
  func checkLetterCase(_ tokenizer: some TextTokenizer) throws {
    guard let file = lowercasingFile else { return }
    let letters = "THE QUICK BROWN FOX JUMPS OVER THE LAZY DOG ÄÉΣЯ"
    guard try tokenizer.encode(letters).ids == tokenizer.encode(letters.lowercased()).ids else {
      throw ModelFileError(
        .unsupported, file: file, subject: "do_lower_case",
        expectation: "expected false, since the tokenizer tells letters of either case apart, found true")
    }
  }

  private mutating func readPooling(_ document: JSONDocument) throws(ModelFileError) {
    let root = document.root
    guard root.kind == .object else {
      throw ModelFileError(.malformed, file: document.file, expectation: "expected a JSON object")
    }
    if let value = root["include_prompt"], value.bool != true {
      throw ModelFileError(
        .unsupported, file: document.file, subject: "include_prompt", expectation: "expected true")
    }
    var modes: [String] = []
    if let mode = root["pooling_mode"] {
      // sentence-transformers 6: one name, or an array of them.
      let names = mode.kind == .array ? mode.elements.map(\.string) : [mode.string]
      modes = names.compactMap { $0 }
      guard modes.count == names.count else {
        throw ModelFileError(
          .malformed, file: document.file, subject: "pooling_mode", expectation: "expected a string")
      }
    } else {
      let flags = [
        ("pooling_mode_cls_token", "cls"), ("pooling_mode_mean_tokens", "mean"),
        ("pooling_mode_lasttoken", "lasttoken"), ("pooling_mode_max_tokens", "max"),
        ("pooling_mode_mean_sqrt_len_tokens", "mean_sqrt_len_tokens"),
        ("pooling_mode_weightedmean_tokens", "weightedmean"),
      ]
      for (key, name) in flags {
        guard let value = root[key] else { continue }
        guard let isOn = value.bool else {
          throw ModelFileError(
            .malformed, file: document.file, subject: key, expectation: "expected true or false")
        }
        if isOn { modes.append(name) }
      }
    }
    switch modes {
    case ["cls"]: pooling = .cls
    case ["mean"]: pooling = .mean
    case ["lasttoken"]: pooling = .last
    default:
      throw ModelFileError(
        modes.isEmpty ? .malformed : .unsupported, file: document.file, subject: "pooling_mode",
        expectation: "expected one of cls, mean and lasttoken, found \(modes.joined(separator: " + "))")
    }
  }

  /// A text's length limit: `max_seq_length`, or else the tokenizer's `model_max_length`.
  ///
  /// - Returns: nil if no file says, as in GGUF, where it is the model's own.
  static func maximumLength(_ checkpoint: Checkpoint) throws(ModelFileError) -> Int? {
    guard let directory = checkpoint.directory else { return nil }
    if let document = try directory.optionalJSONObject("sentence_bert_config.json"),
      let value = document.root["max_seq_length"], !value.isNull
    {
      guard let length = value.int, length > 0 else {
        throw ModelFileError(
          .malformed, file: document.file, subject: "max_seq_length",
          expectation: "expected an integer of at least 1")
      }
      return length
    }
    // Models without a limit carry a number like 1e30 here.
    if let document = try directory.optionalJSONObject("tokenizer_config.json"),
      let value = document.root["model_max_length"], let length = value.double
    {
      guard length >= 1 else {
        throw ModelFileError(
          .malformed, file: document.file, subject: "model_max_length",
          expectation: "expected a number of at least 1")
      }
      return length < 1e9 ? Int(length) : nil
    }
    return nil
  }

  private mutating func readPrompts(_ directory: ModelDirectory) throws(ModelFileError) {
    guard let document = try directory.optionalJSONObject("config_sentence_transformers.json") else { return }
    if let value = document.root["truncate_dim"], !value.isNull {
      throw ModelFileError(
        .unsupported, file: document.file, subject: "truncate_dim",
        expectation: "expected no number of features, which is an option of ours, found one")
    }
    if let values = document.root["prompts"], !values.isNull {
      guard values.kind == .object else {
        throw ModelFileError(
          .malformed, file: document.file, subject: "prompts", expectation: "expected a JSON object")
      }
      for (name, value) in values.members {
        guard let name = name.string, let prompt = value.string else {
          throw ModelFileError(
            .malformed, file: document.file, subject: "prompts.\(name.string ?? "")",
            expectation: "expected a string")
        }
        prompts[name] = prompt
      }
    }
    if let value = document.root["default_prompt_name"], !value.isNull {
      guard let name = value.string, prompts[name] != nil else {
        throw ModelFileError(
          .malformed, file: document.file, subject: "default_prompt_name",
          expectation: "expected the name of a prompt")
      }
      defaultPrompt = name
    }
  }

  // MARK: Prompts

  /// What goes before a text of this role; empty for nothing.
  ///
  /// - Throws: `EmbeddingError` if a prompt is asked for by a name that there isn't.
  func prompt(for role: EmbeddingRole) throws(EmbeddingError) -> String {
    switch role {
    case .text(let prompt): return prompt
    case .plain: return defaultPrompt.flatMap { prompts[$0] } ?? ""
    case .query: return prompts["query"] ?? ""
    case .document: return prompts["document"] ?? prompts["passage"] ?? prompts["corpus"] ?? ""
    case .prompt(let name):
      guard let prompt = prompts[name] else {
        let names = prompts.keys.sorted().map { "\"\($0)\"" }.joined(separator: ", ")
        throw .invalidOption(
          name: "prompt \"\(name)\"",
          expectation: names.isEmpty ? "no name, since the model has no prompts" : "one of \(names)")
      }
      return prompt
    }
  }
}
