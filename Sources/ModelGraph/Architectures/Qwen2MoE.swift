import SalanganeFiles

/// Qwen2's mixtures of experts (Yang et al., 2024): Qwen1.5-MoE-A2.7B, Qwen2-57B-A14B.
///
/// Qwen2's attention; a shared expert that is scaled by a gate. Weights aren't divided by their sum unless
/// `config.json` asks for it.
package struct Qwen2MoE: DecoderArchitecture {
  package static let names = ["qwen2_moe", "qwen2moe"]

  private static let tensorNames = DecoderTensorNames.mixture(shared: "shared_expert")

  package static func tensorNames(_ checkpoint: Checkpoint) -> DecoderTensorNames { tensorNames }

  package static func configuration(
    _ checkpoint: Checkpoint
  ) throws(ModelFileError) -> DecoderConfiguration {
    let values = checkpoint.hyperparameters
    var conventions = DecoderConfiguration.Conventions()
    conventions.hasExperts = true
    var configuration = try DecoderConfiguration(checkpoint, conventions)
    var mixture = try MixtureConfiguration(checkpoint, layers: configuration.layers)
    try mixture.readDenseLayers(ofQwen: values)
    let largest = 1 << 21
    mixture.sharedInnerSize =
      values.isGGUF && !values.contains(.sharedExpertFeedForwardSize)
      ? configuration.feedForwardSize
      : try values.int(.sharedExpertFeedForwardSize, in: 0...largest)
    mixture.gatesShared = true
    try configuration.set(mixture, values)
    if values.isGGUF {
      configuration.readBiases(ofGGUF: checkpoint)
    } else {
      configuration.biases.queryKeyValue = try values.bool(HyperparameterKey("qkv_bias"), default: true)
      try configuration.refuseWindows(values)
    }
    return configuration
  }
}
