import SalanganeFiles

/// DeepSeek-V2 and V2.5, with and without Lite (DeepSeek-AI, 2024): attention over latents, and mixtures of
/// experts in all layers but the first few.
///
/// Lite makes queries of the hidden state itself; the larger models limit the choice of experts to the groups
/// with the best of them. In GGUF, `deepseek2` stands for DeepSeek-V3 and GLM-4.7-Flash too: files that don't
/// name the router's gate have a bias if it is theirs.
package struct DeepSeekV2: DecoderArchitecture {
  package static let names = ["deepseek_v2", "deepseek2"]

  package static func tensorNames(_ checkpoint: Checkpoint) -> DecoderTensorNames { .deepSeek }

  package static func configuration(
    _ checkpoint: Checkpoint
  ) throws(ModelFileError) -> DecoderConfiguration {
    let values = checkpoint.hyperparameters
    var configuration = try DecoderConfiguration(checkpoint, latentConventions)
    if values.isGGUF {
      try readGGUF(&configuration, checkpoint)
      return configuration
    }
    // transformers doesn't normalise, whatever the file says; published files say that, too.
    guard try !values.bool(.normalizesExpertWeights, default: false) else {
      throw values.failure(.normalizesExpertWeights, "expected false, found true", kind: .unsupported)
    }
    guard try !values.bool(HyperparameterKey("mlp_bias"), default: false) else {
      throw values.failure(HyperparameterKey("mlp_bias"), "expected false, found true", kind: .unsupported)
    }
    var experts = MixtureConfiguration.Conventions()
    experts.scale = 1
    let method = HyperparameterKey("topk_method")
    switch try values.optionalString(method) ?? "greedy" {
    case "greedy": experts.hasGroups = false
    case "group_limited_greedy": experts.hasGroups = true
    case let name:
      throw values.failure(
        method, "expected \"greedy\" or \"group_limited_greedy\", found \"\(name)\"", kind: .unsupported)
    }
    var mixture = try MixtureConfiguration(checkpoint, layers: configuration.layers, experts)
    try mixture.readDenseLayers(ofDeepSeek: values, leading: 0)
    try mixture.readSharedExperts(ofDeepSeek: values, default: 2)
    try configuration.set(mixture, values)
    try configuration.readLatentBiases(values)
    return configuration
  }

  /// What all families with attention over latents have in common.
  static var latentConventions: DecoderConfiguration.Conventions {
    var conventions = DecoderConfiguration.Conventions()
    conventions.hasExperts = true
    conventions.hasLatents = true
    conventions.rotaryPairing = .neighbours
    return conventions
  }

  private static func readGGUF(
    _ configuration: inout DecoderConfiguration, _ checkpoint: Checkpoint
  ) throws(ModelFileError) {
    let values = checkpoint.hyperparameters
    let hasBias = (0..<configuration.layers).contains { checkpoint["blk.\($0).exp_probs_b.bias"] != nil }
    var experts = MixtureConfiguration.Conventions()
    experts.gate = hasBias ? .sigmoid : .softmax
    experts.hasGroups = true
    var mixture = try MixtureConfiguration(checkpoint, layers: configuration.layers, experts)
    mixture.hasBias = hasBias
    try mixture.readDenseLayers(ofDeepSeek: values, leading: 0)
    try mixture.readSharedExperts(ofDeepSeek: values, default: 0)
    try configuration.set(mixture, values)
  }
}

extension DecoderConfiguration {
  /// Reads whether the first products of attention over latents, and its last, have biases.
  ///
  /// - Throws: `ModelFileError` naming the key.
  mutating func readLatentBiases(_ values: Hyperparameters) throws(ModelFileError) {
    let key = HyperparameterKey("attention_bias")
    let hasBias = try values.bool(key, default: false)
    guard !hasBias || latent?.queryRank != nil else {
      throw values.failure(key, "expected false without q_lora_rank, found true", kind: .unsupported)
    }
    biases.queryKeyValue = hasBias
    biases.attentionOutput = hasBias
  }
}
