import SalanganeFiles

/// DeepSeek-V3, R1 and V3.1 (DeepSeek-AI, 2024 and 2025).
///
/// DeepSeek-V2 with another router: each expert is judged for itself, with a bias that balances them, and a group
/// by its two best experts. Layers for multi-token prediction, behind the others, are skipped. Published weights
/// are FP8 with a scale for each tile. GGUF: see `DeepSeekV2`.
package struct DeepSeekV3: DecoderArchitecture {
  package static let names = ["deepseek_v3"]

  package static func tensorNames(_ checkpoint: Checkpoint) -> DecoderTensorNames { .deepSeek }

  package static func configuration(
    _ checkpoint: Checkpoint
  ) throws(ModelFileError) -> DecoderConfiguration {
    var experts = MixtureConfiguration.Conventions.deepSeekV3
    experts.groupCount = 8
    experts.usedGroupCount = 4
    experts.scale = 2.5
    return try configuration(checkpoint, experts, leadingDenseLayers: 3)
  }

  /// Reads the hyper-parameters of V3, or of a family that took it over.
  ///
  /// - Parameters:
  ///   - experts: What the keys of the router mean.
  ///   - leading: How many layers are dense where the file doesn't say.
  static func configuration(
    _ checkpoint: Checkpoint, _ experts: MixtureConfiguration.Conventions, leadingDenseLayers leading: Int
  ) throws(ModelFileError) -> DecoderConfiguration {
    let values = checkpoint.hyperparameters
    var conventions = DeepSeekV2.latentConventions
    if try !values.bool(HyperparameterKey("rope_interleave"), default: true) {
      conventions.rotaryPairing = .halves
    }
    var configuration = try DecoderConfiguration(checkpoint, conventions)
    var mixture = try MixtureConfiguration(checkpoint, layers: configuration.layers, experts)
    mixture.hasBias = true
    try mixture.readDenseLayers(ofDeepSeek: values, leading: leading)
    try mixture.readSharedExperts(ofDeepSeek: values, default: 1)
    try configuration.set(mixture, values)
    try configuration.readLatentBiases(values)
    return configuration
  }
}
