import SalanganeFiles
import SalanganeModelGraph
import SalanganeTokenizers

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// How the dense decoders of a family are written in GGUF.
struct DecoderFamily {
  /// `general.architecture`.
  let architecture: String
  /// The keys of the context length in `config.json`.
  var contextLength = HyperparameterKey.contextLength
  /// What the feed-forward size is multiplied by.
  var feedForwardFactor = 1
  /// Whether rows of queries and keys are reordered, so that features that are rotated together are neighbours.
  var movesRotaryFeatures = false
  /// What the tokenizer's description needs besides the files.
  var tokenizer = GGUFTokenizerMetadata.Conventions()

  /// The values of `model_type` that are converted.
  static let modelTypes = ["qwen", "qwen2", "qwen3", "llama", "glm", "chatglm", "glm4"]

  /// The family of a `model_type`, or nil for one that isn't converted.
  init?(_ modelType: String) {
    switch modelType {
    case "qwen":
      architecture = "qwen"
      contextLength = HyperparameterKey(["seq_length", "max_position_embeddings"])
      feedForwardFactor = 2
    case "qwen2", "qwen3":
      architecture = modelType
    case "llama":
      architecture = "llama"
      movesRotaryFeatures = true
    case "glm", "chatglm":
      architecture = "chatglm"
      tokenizer = Self.glmTokenizer
    case "glm4":
      architecture = "glm4"
      tokenizer = Self.glmTokenizer
      tokenizer.spellings.append(("bos", "<|endoftext|>"))
    default:
      return nil
    }
  }

  private static let glmTokenizer = GGUFTokenizerMetadata.Conventions(
    splits: ["glm4", "chatglm-bpe"], spellings: [("eos", "<|endoftext|>"), ("unk", "<|endoftext|>")],
    fixed: [("eot", "<|user|>")])
}

extension ModelConverter {
  /// Converts a dense decoder.
  ///
  /// - Returns: The metadata and tensors.
  /// - Throws: `ModelFileError` for a model that isn't what its architecture expects, or that GGUF can't hold.
  static func decoder(
    _ checkpoint: Checkpoint, _ directory: ModelDirectory, _ family: DecoderFamily
  ) throws(ModelFileError) -> ModelConverter {
    let architecture = try ArchitectureRegistry.decoder(for: checkpoint)
    let configuration = try architecture.configuration(checkpoint)
    var converter = ModelConverter(checkpoint, directory, architecture: family.architecture)
    try converter.setHyperparameters(configuration, family)
    try converter.addTensors(configuration, architecture.tensorNames(checkpoint), family)
    let table = converter.tensors.first { $0.name == "token_embd.weight" }
    let rows = table?.shape[0] ?? configuration.vocabularySize
    converter.set("vocab_size", rows)
    try converter.setTokenizer(size: rows, family.tokenizer)
    converter.ignore { name in
      let isHead = configuration.tiesEmbeddings && name == "lm_head.weight"
      return isHead || name.hasSuffix("rotary_emb.inv_freq") || name.hasSuffix("rotary_pos_emb.inv_freq")
    }
    try converter.checkCompleteness()
    return converter
  }

  // MARK: Hyper-parameters

  private mutating func setHyperparameters(
    _ configuration: DecoderConfiguration, _ family: DecoderFamily
  ) throws(ModelFileError) {
    let values = checkpoint.hyperparameters
    if let width = configuration.windows.lazy.compactMap({ $0 }).first {
      throw values.failure(
        HyperparameterKey("sliding_window"),
        "expected layers that see all positions, as GGUF's \(architecture) has them, found a window of \(width)",
        kind: .unsupported)
    }
    let shape = configuration.attention
    set("block_count", configuration.layers)
    set("context_length", try values.int(family.contextLength, in: 1...(1 << 30)))
    set("embedding_length", configuration.hiddenSize)
    set("feed_forward_length", configuration.feedForwardSize * family.feedForwardFactor)
    set("attention.head_count", shape.heads)
    set("attention.head_count_kv", shape.keyValueHeads)
    set("attention.key_length", shape.headDimension)
    set("attention.value_length", shape.headDimension)
    set("attention.layer_norm_rms_epsilon", Double(configuration.normEpsilon))
    set("rope.dimension_count", configuration.rotary.dimension)
    try setRotary(configuration.rotary)
    try setPooling()
  }

  /// Sets the rotary positions, or adds the divisors of their frequencies.
  private mutating func setRotary(_ rotary: RotaryEmbedding) throws(ModelFileError) {
    let values = checkpoint.hyperparameters
    // The first pair turns by 1, the second by 1 / base^(2 / dimension), before any scaling.
    let base = try values.optionalFloat(.rotaryBase) ?? 10_000
    let ratio = try values.optionalFloat(HyperparameterKey("rope_ratio")) ?? 1
    set("rope.freq_base", base * ratio)
    switch try values.optionalString(.rotaryScalingType) {
    case "linear":
      set("rope.scaling.type", .string("linear"))
      set("rope.scaling.factor", try values.float(.rotaryScalingFactor))
    case "yarn":
      try setYaRN(rotary)
    case "llama3":
      let dimension = rotary.dimension
      let divisors = rotary.frequencies.enumerated().map { index, frequency in
        Float(pow(base, -2 * Double(index) / Double(dimension)) / frequency)
      }
      add("rope_freqs.weight", values: divisors)
    default:
      break
    }
  }

  private mutating func setYaRN(_ rotary: RotaryEmbedding) throws(ModelFileError) {
    let values = checkpoint.hyperparameters
    let factor = try values.float(.rotaryScalingFactor)
    set("rope.scaling.type", .string("yarn"))
    set("rope.scaling.factor", factor)
    if let length = try values.optionalInt(.rotaryOriginalContextLength, in: 1...(1 << 30)) {
      set("rope.scaling.original_context_length", length)
    }
    for (name, key) in [("yarn_beta_fast", "beta_fast"), ("yarn_beta_slow", "beta_slow")] {
      if let value = try values.optionalFloat(.rope(key)) { set("rope.scaling.\(name)", value) }
    }
    let sharpening = factor <= 1 ? 1 : 0.1 * log(factor) + 1
    let truncates = HyperparameterKey.rope("truncate")
    guard (rotary.attentionFactor - sharpening).magnitude < 1e-6, try values.bool(truncates, default: true)
    else {
      throw values.failure(
        .rotaryScalingType,
        "expected YaRN with whole bounds and a factor of \(sharpening) on the attention, "
          + "as GGUF has it, found another", kind: .unsupported)
    }
  }

  // MARK: Tensors

  private mutating func addTensors(
    _ configuration: DecoderConfiguration, _ names: DecoderTensorNames, _ family: DecoderFamily
  ) throws(ModelFileError) {
    let hidden = configuration.hiddenSize
    func sources(_ module: DecoderModule, _ kind: String, _ layer: Int?) -> [String] {
      names.names(module, kind, layer, in: .safetensors)
    }
    try add("token_embd.weight", from: sources(.tokenEmbeddings, "weight", nil), shape: [nil, hidden])
    for layer in 0..<configuration.layers {
      for module in DecoderModule.allCases where names.modules[module] != nil {
        guard let part = LayerPart(module, configuration) else { continue }
        // Gate and up in one go by the name of the latter.
        let target = "blk.\(layer).\(module == .gateUp ? DecoderModule.up.rawValue : module.rawValue)"
        let order = family.movesRotaryFeatures ? part.rotaryOrder : nil
        var moveRows: RowConversion?
        var moveValues: RowConversion?
        if let order {
          moveRows = { ReorderedRows(rows: $0, source: order) }
          moveValues = { ReorderedValues(rows: $0, source: order) }
        }
        try add("\(target).weight", from: sources(module, "weight", layer), shape: part.shape, moveRows)
        if part.hasBias {
          try add(
            "\(target).bias", from: sources(module, "bias", layer), shape: [part.shape[0]], moveValues)
        }
      }
    }
    try add("output_norm.weight", from: sources(.outputNorm, "weight", nil), shape: [hidden])
    if !configuration.tiesEmbeddings {
      try add("output.weight", from: sources(.output, "weight", nil), shape: [nil, hidden])
    }
  }
}

/// What a module of a layer looks like.
private struct LayerPart {
  /// The shape of its weight.
  let shape: [Int]
  /// Whether it has a bias.
  var hasBias = false
  /// Where the row of each feature of queries and keys comes from, if neighbours are to be rotated.
  var rotaryOrder: (@Sendable (Int) -> Int)?

  /// Describes a module; nil for one that isn't part of a layer, or not of this model's.
  init?(_ module: DecoderModule, _ configuration: DecoderConfiguration) {
    let hidden = configuration.hiddenSize
    let inner = configuration.feedForwardSize
    let attention = configuration.attention
    let head = attention.headDimension
    let keys = attention.keyValueHeads * head
    switch module {
    case .attentionNorm, .feedForwardNorm:
      shape = [hidden]
    case .postAttentionNorm, .postFeedForwardNorm:
      guard configuration.hasSandwichNorms else { return nil }
      shape = [hidden]
    case .queryNorm, .keyNorm:
      guard configuration.normalizesHeads else { return nil }
      shape = [head]
    case .query, .key, .value, .queryKeyValue:
      let rows =
        [DecoderModule.query: attention.heads * head, .queryKeyValue: attention.features][module] ?? keys
      shape = [rows, hidden]
      hasBias = configuration.biases.queryKeyValue
      if module != .value { rotaryOrder = Self.rotaryOrder(head: head, rows: attention.heads * head + keys) }
    case .attentionOutput:
      shape = [hidden, attention.heads * head]
      hasBias = configuration.biases.attentionOutput
    case .gate, .up, .gateUp:
      shape = [module == .gateUp ? 2 * inner : inner, hidden]
      hasBias = configuration.biases.feedForward
    case .down:
      shape = [hidden, inner]
      hasBias = configuration.biases.feedForward
    case .tokenEmbeddings, .outputNorm, .output:
      return nil
    case .queryDown, .queryDownNorm, .queryUp, .keyValueDown, .keyValueDownNorm, .keyUp, .valueUp, .keyValueUp,
      .router, .routerBias, .expertGate, .expertUp, .expertGateUp, .expertDown, .sharedGate, .sharedUp,
      .sharedDown, .sharedScale:
      // Latents and mixtures of experts: no family that is converted has them.
      return nil
    }
  }

  /// Features `i` and `i + head / 2` of a head become neighbours.
  private static func rotaryOrder(head: Int, rows: Int) -> @Sendable (Int) -> Int {
    { row in
      let feature = row % head
      return row < rows ? row - feature + feature / 2 + (feature % 2) * (head / 2) : row
    }
  }
}
