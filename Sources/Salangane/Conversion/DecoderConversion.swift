import SalanganeFiles
import SalanganeModelGraph
import SalanganeTokenizers

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

extension ModelConverter {
  /// Converts a decoder.
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
    try converter.ignoreUnused(configuration)
    try converter.checkCompleteness()
    return converter
  }

  /// Leaves out what no inference needs: a tied output matrix, tables of angles, and layers for multi-token
  /// prediction.
  private mutating func ignoreUnused(_ configuration: DecoderConfiguration) throws(ModelFileError) {
    let predicted = try checkpoint.hyperparameters.int(.predictionLayerCount, in: 0...1024, default: 0)
    let layers = configuration.layers
    ignore { name in
      if name.hasSuffix("rotary_emb.inv_freq") || name.hasSuffix("rotary_pos_emb.inv_freq") { return true }
      if configuration.tiesEmbeddings, name == "lm_head.weight" { return true }
      guard predicted > 0, name.hasPrefix("model.layers.") else { return false }
      let number = Int(name.dropFirst("model.layers.".count).prefix { $0 != "." }) ?? 0
      return number >= layers && number < layers + predicted
    }
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
    set("block_count", configuration.layers)
    set("context_length", try values.int(family.contextLength, in: 1...(1 << 30)))
    set("embedding_length", configuration.hiddenSize)
    set("feed_forward_length", configuration.feedForwardSize * family.feedForwardFactor)
    set("attention.layer_norm_rms_epsilon", Double(configuration.normEpsilon))
    if let latent = configuration.latent {
      try setLatents(latent, configuration)
    } else {
      let shape = configuration.attention
      set("attention.head_count", shape.heads)
      set("attention.head_count_kv", shape.keyValueHeads)
      set("attention.key_length", shape.headDimension)
      set("attention.value_length", shape.headDimension)
    }
    set("rope.dimension_count", configuration.rotary.dimension)
    try setRotary(configuration)
    if let mixture = configuration.mixture, let form = family.mixture { try setMixture(mixture, form) }
    try setPooling()
  }

  /// Sets the rotary positions, or adds the divisors of their frequencies.
  private mutating func setRotary(_ configuration: DecoderConfiguration) throws(ModelFileError) {
    let values = checkpoint.hyperparameters
    let rotary = configuration.rotary
    let base = try values.optionalFloat(.rotaryBase) ?? 10_000
    // ChatGLM's own code has a ratio in place of a base.
    set("rope.freq_base", base * (try values.optionalFloat(HyperparameterKey("rope_ratio")) ?? 1))
    switch try values.optionalString(.rotaryScalingType) {
    case "linear":
      set("rope.scaling.type", .string("linear"))
      set("rope.scaling.factor", try values.float(.rotaryScalingFactor))
    case "yarn":
      try setYaRN(rotary, isLatent: configuration.latent != nil)
    case "llama3":
      let divisors = rotary.frequencies.enumerated().map { index, frequency in
        Float(pow(base, -2 * Double(index) / Double(rotary.dimension)) / frequency)
      }
      add("rope_freqs.weight", values: divisors)
    default:
      break
    }
  }

  private mutating func setYaRN(_ rotary: RotaryEmbedding, isLatent: Bool) throws(ModelFileError) {
    let values = checkpoint.hyperparameters
    let factor = try values.float(.rotaryScalingFactor)
    set("rope.scaling.type", .string("yarn"))
    set("rope.scaling.factor", factor)
    if let length = try values.optionalInt(.rotaryOriginalContextLength, in: 1...(1 << 30)) {
      set("rope.scaling.original_context_length", length)
    }
    for name in ["beta_fast", "beta_slow"] {
      if let value = try values.optionalFloat(.rope(name)) { set("rope.scaling.yarn_\(name)", value) }
    }
    // What readers of GGUF take the factor on cosines and sines for: with latents it is in the scores' scale.
    var expected = factor <= 1 ? 1 : 0.1 * log(factor) + 1
    let multiplier = try values.optionalFloat(.rope("mscale_all_dim")) ?? 0
    if isLatent, multiplier != 0 {
      set("rope.scaling.yarn_log_multiplier", 0.1 * multiplier)
      expected = 1
    }
    let truncates = try values.bool(.rope("truncate"), default: true)
    guard (rotary.attentionFactor - expected).magnitude < 1e-6, truncates else {
      throw values.failure(
        .rotaryScalingType,
        "expected YaRN with whole bounds and a factor of \(expected) on cosines and sines, as GGUF has it, "
          + "found \(truncates ? "\(rotary.attentionFactor)" : "other bounds")", kind: .unsupported)
    }
  }

  // MARK: Tensors

  private mutating func addTensors(
    _ configuration: DecoderConfiguration, _ names: DecoderTensorNames, _ family: DecoderFamily
  ) throws(ModelFileError) {
    let hidden = configuration.hiddenSize
    // GGUF's attention over latents rotates neighbours, too.
    let moves =
      family.movesRotaryFeatures
      || (configuration.latent != nil && configuration.rotaryPairing == .halves)
    func sources(_ module: DecoderModule) -> [String] { names.names(module, "weight", nil, in: .safetensors) }
    try add("token_embd.weight", from: sources(.tokenEmbeddings), shape: [nil, hidden])
    for layer in 0..<configuration.layers {
      for module in DecoderModule.allCases where names.modules[module] != nil {
        guard let part = LayerPart(module, configuration, layer: layer) else { continue }
        try add(part, module, layer, names, movesRotaryFeatures: moves)
      }
      if let latent = configuration.latent { try addExpansion(latent, layer, names) }
      if let mixture = configuration.mixture, mixture.isSparse[layer] {
        try addExperts(mixture, hidden: hidden, layer, names)
      }
    }
    try add("output_norm.weight", from: sources(.outputNorm), shape: [hidden])
    if !configuration.tiesEmbeddings {
      try add("output.weight", from: sources(.output), shape: [nil, hidden])
    }
  }

  private mutating func add(
    _ part: LayerPart, _ module: DecoderModule, _ layer: Int, _ names: DecoderTensorNames,
    movesRotaryFeatures: Bool
  ) throws(ModelFileError) {
    // Gate and up in one go by the name of the latter.
    let target = module == .gateUp ? DecoderModule.up : module
    func name(_ kind: String) -> String { names.names(target, kind, layer, in: .gguf)[0] }
    var moveRows: RowConversion?
    var moveValues: RowConversion?
    if movesRotaryFeatures, let order = part.rotaryOrder {
      moveRows = { SelectedRows($0, source: order) }
      moveValues = { ReorderedValues(rows: $0, source: order) }
    }
    let weights = names.names(module, "weight", layer, in: .safetensors)
    try add(name("weight"), from: weights, shape: part.shape, moveRows)
    if part.hasBias {
      let biases = names.names(module, "bias", layer, in: .safetensors)
      try add(name("bias"), from: biases, shape: [part.shape[0]], moveValues)
    }
  }
}
