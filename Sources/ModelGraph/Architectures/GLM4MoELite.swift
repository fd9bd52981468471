import SalanganeFiles

/// GLM-4.7-Flash (Z.ai, 2026): what DeepSeek-V3 computes, in another size.
///
/// GGUF files of it are called `deepseek2`: see `DeepSeekV2`.
package struct GLM4MoELite: DecoderArchitecture {
  package static let names = ["glm4_moe_lite"]

  package static func tensorNames(_ checkpoint: Checkpoint) -> DecoderTensorNames { .deepSeek }

  package static func configuration(
    _ checkpoint: Checkpoint
  ) throws(ModelFileError) -> DecoderConfiguration {
    var experts = MixtureConfiguration.Conventions.deepSeekV3
    experts.scale = 1.8
    return try DeepSeekV3.configuration(checkpoint, experts, leadingDenseLayers: 1)
  }
}
