import SalanganeFiles

/// GLM-4.5, 4.6 and 4.7 (Z.ai, 2025), and their Air models: mixtures of experts.
///
/// Features half of the rotated part apart are rotated, unlike in GLM-4; there are no sandwich norms, and GGUF
/// calls the feed-forward network's norm `post_attention_norm`. Larger models normalise query and key heads. The
/// router is DeepSeek-V3's. Layers for multi-token prediction, behind the others, are skipped.
package struct GLM4MoE: DecoderArchitecture {
  package static let names = ["glm4_moe", "glm4moe"]

  private static let tensorNames: DecoderTensorNames = {
    var names = DecoderTensorNames.deepSeek
    names.gguf[.feedForwardNorm] = "post_attention_norm"
    return names
  }()

  package static func tensorNames(_ checkpoint: Checkpoint) -> DecoderTensorNames { tensorNames }

  package static func configuration(
    _ checkpoint: Checkpoint
  ) throws(ModelFileError) -> DecoderConfiguration {
    let values = checkpoint.hyperparameters
    var conventions = DecoderConfiguration.Conventions()
    conventions.hasExperts = true
    conventions.partialRotaryFactor = 0.5
    var configuration = try DecoderConfiguration(checkpoint, conventions)
    var mixture = try MixtureConfiguration(checkpoint, layers: configuration.layers, .deepSeekV3)
    mixture.hasBias = true
    try mixture.readDenseLayers(ofDeepSeek: values, leading: 1)
    try mixture.readSharedExperts(ofDeepSeek: values, default: 1)
    try configuration.set(mixture, values)
    if values.isGGUF {
      configuration.readBiases(ofGGUF: checkpoint)
      configuration.normalizesHeads = checkpoint["blk.0.attn_q_norm.weight"] != nil
    } else {
      configuration.biases.queryKeyValue = try values.bool(
        HyperparameterKey("attention_bias"), default: false)
      configuration.normalizesHeads = try values.bool(HyperparameterKey("use_qk_norm"), default: false)
    }
    return configuration
  }
}
