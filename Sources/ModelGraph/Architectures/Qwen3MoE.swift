import SalanganeFiles

/// Qwen3's mixtures of experts (Yang et al., 2025): Qwen3-30B-A3B, Qwen3-235B-A22B, Qwen3-Coder.
///
/// Qwen3's attention; no shared expert. GGUF doesn't say that weights are divided by their sum: published models
/// all do so.
package struct Qwen3MoE: DecoderArchitecture {
  package static let names = ["qwen3_moe", "qwen3moe"]

  private static let tensorNames = DecoderTensorNames.mixture(shared: "shared_expert")

  package static func tensorNames(_ checkpoint: Checkpoint) -> DecoderTensorNames { tensorNames }

  package static func configuration(
    _ checkpoint: Checkpoint
  ) throws(ModelFileError) -> DecoderConfiguration {
    let values = checkpoint.hyperparameters
    var conventions = DecoderConfiguration.Conventions()
    conventions.hasExperts = true
    var configuration = try DecoderConfiguration(checkpoint, conventions)
    configuration.normalizesHeads = true
    var experts = MixtureConfiguration.Conventions()
    experts.normalizes = values.isGGUF
    var mixture = try MixtureConfiguration(checkpoint, layers: configuration.layers, experts)
    try mixture.readDenseLayers(ofQwen: values)
    try configuration.set(mixture, values)
    if values.isGGUF {
      configuration.readBiases(ofGGUF: checkpoint)
    } else {
      let hasBias = try values.bool(HyperparameterKey("attention_bias"), default: false)
      configuration.biases = .init(queryKeyValue: hasBias, attentionOutput: hasBias)
      // Here a window holds for all layers.
      if try values.bool(HyperparameterKey("use_sliding_window"), default: false),
        let width = try values.optionalInt(HyperparameterKey("sliding_window"), in: 1...Int.max)
      {
        configuration.windows = configuration.windows.map { _ in width }
      }
    }
    return configuration
  }
}
