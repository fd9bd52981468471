import SalanganeFiles

/// Llama 2 and 3 (Touvron et al., 2023; Grattafiori et al., 2024), and the models of that shape: Yi,
/// DeepSeek-LLM, DeepSeek-Coder, DeepSeek-R1-Distill-Llama.
///
/// GGUF files have the rows of queries and keys in another order, so that features that are rotated together
/// are neighbours.
package struct Llama: DecoderArchitecture {
  package static let names = ["llama"]

  package static func tensorNames(_ checkpoint: Checkpoint) -> DecoderTensorNames { .llama }

  package static func configuration(
    _ checkpoint: Checkpoint
  ) throws(ModelFileError) -> DecoderConfiguration {
    var conventions = DecoderConfiguration.Conventions()
    conventions.rotaryPairing = checkpoint.format == .gguf ? .neighbours : .halves
    var configuration = try DecoderConfiguration(checkpoint, conventions)
    if checkpoint.format == .gguf {
      configuration.readBiases(ofGGUF: checkpoint)
    } else {
      let attention = try checkpoint.hyperparameters.bool(HyperparameterKey("attention_bias"), default: false)
      configuration.biases = .init(
        queryKeyValue: attention, attentionOutput: attention,
        feedForward: try checkpoint.hyperparameters.bool(HyperparameterKey("mlp_bias"), default: false))
    }
    return configuration
  }
}
