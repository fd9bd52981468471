import SalanganeFiles

/// GLM-4-0414 and GLM-Z1 (Z.ai, 2025), dense.
///
/// GLM with sandwich norms: what attention and feed-forward network give is normalised before it is added.
/// In GGUF `post_attention_norm` is the attention's second norm and `ffn_norm` the feed-forward network's
/// first; transformers calls the latter `post_attention_layernorm`.
package struct GLM4: DecoderArchitecture {
  package static let names = ["glm4"]

  private static let tensorNames = GLM.currentNames.replacing([
    .postAttentionNorm: "post_self_attn_layernorm",
    .postFeedForwardNorm: "post_mlp_layernorm",
  ])

  package static func tensorNames(_ checkpoint: Checkpoint) -> DecoderTensorNames { tensorNames }

  package static func configuration(
    _ checkpoint: Checkpoint
  ) throws(ModelFileError) -> DecoderConfiguration {
    let values = checkpoint.hyperparameters
    let sections = HyperparameterKey(
      ["rope_scaling.mrope_section", "rope_parameters.mrope_section"], gguf: ["rope.dimension_sections"])
    if values.contains(sections) {
      throw values.failure(sections, "expected a text model, found positions of images", kind: .unsupported)
    }
    var configuration = try DecoderConfiguration(checkpoint, GLM.conventions)
    configuration.hasSandwichNorms = true
    if checkpoint.format == .gguf {
      configuration.readBiases(ofGGUF: checkpoint)
    } else {
      configuration.biases.queryKeyValue = try values.bool(
        HyperparameterKey("attention_bias"), default: true)
    }
    return configuration
  }
}
