import SalanganeFiles

/// What a tokenizer.json says about splitting.
struct PreTokenizerPlan {
  /// The stages, in order.
  var stages: [any PreTokenizer] = []
  /// How spaces are made visible, if they are.
  var metaspace: Metaspace?
  /// Whether a text gets a space at its beginning.
  var prefixesSpace = false
  /// Whether the pieces reach the model in the alphabet of byte-level BPE.
  var isByteLevel = false

  /// All stages in one, or nil if nothing is split.
  var preTokenizer: (any PreTokenizer)? {
    stages.count > 1 ? SequencePreTokenizer(stages: stages) : stages.first
  }
}

extension TokenizerJSON {
  /// Reads a pre-tokenizer.
  static func preTokenizer(_ field: JSONField) throws(ModelFileError) -> PreTokenizerPlan {
    var plan = PreTokenizerPlan()
    try add(field, to: &plan)
    return plan
  }

  private static func add(_ field: JSONField, to plan: inout PreTokenizerPlan) throws(ModelFileError) {
    guard !plan.isByteLevel else {
      throw field.unsupported("expected nothing after the pre-tokenizer \"ByteLevel\"")
    }
    let type = try field.type()
    switch type {
    case "Sequence":
      for element in try field.required("pretokenizers").elements() { try add(element, to: &plan) }
    case "BertPreTokenizer":
      plan.stages.append(BertPreTokenizer())
    case "Split":
      plan.stages.append(try split(field))
    case "Digits":
      let individually = try field.bool("individual_digits", default: false)
      plan.stages.append(
        RunPreTokenizer(members: ScalarClass(properties: .numeric), longest: individually ? 1 : .max))
    case "WhitespaceSplit":
      plan.stages.append(WhitespacePreTokenizer())
    case "Metaspace":
      try addMetaspace(field, to: &plan)
    case "ByteLevel":
      guard plan.metaspace == nil else {
        throw field.unsupported("expected no pre-tokenizer \"ByteLevel\" after \"Metaspace\"")
      }
      if try field.bool("add_prefix_space", default: true) {
        // After another split, every piece would get a space of its own.
        guard plan.stages.isEmpty else {
          throw field.unsupported("expected \"add_prefix_space\" to be false after another pre-tokenizer")
        }
        plan.prefixesSpace = true
      }
      if try field.bool("use_regex", default: true) { plan.stages.append(GPT2PreTokenizer()) }
      plan.isByteLevel = true
    default:
      throw field.unsupported("expected a pre-tokenizer that is known here, found \"\(type)\"")
    }
  }

  /// Reads a split at the matches of a pattern.
  private static func split(_ field: JSONField) throws(ModelFileError) -> any PreTokenizer {
    let behavior = try field.required("behavior").string()
    guard behavior == "Isolated", try !field.bool("invert", default: false) else {
      throw field.unsupported("expected a split that isolates its matches, found \"\(behavior)\" or inverted")
    }
    guard let pattern = try field.required("pattern").object().optional("Regex") else {
      throw field.unsupported("expected a regular expression to split at, found a plain pattern")
    }
    let text = try pattern.string()
    guard let preTokenizer = SplitPatterns.preTokenizer(for: text) else {
      throw pattern.unsupported(
        "expected the split pattern of one of \(SplitPatterns.names.joined(separator: ", ")), found \(text)")
    }
    return preTokenizer
  }
}
