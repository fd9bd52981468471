import SalanganeFiles

/// What a tokenizer.json says about splitting.
struct PreTokenizerPlan {
  /// The stages, in order.
  var stages: [any PreTokenizer] = []
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
    default:
      throw field.unsupported("expected a pre-tokenizer that is known here, found \"\(type)\"")
    }
  }
}
