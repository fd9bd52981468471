import SalanganeFiles

/// DeepSeekMoE (Dai et al., 2024), DeepSeek's first mixture of experts; its dense models are Llamas.
///
/// Llama's attention, with the rows of queries and keys in GGUF's order for Llama; small routed experts and
/// shared ones, in all layers but the first few.
package struct DeepSeek: DecoderArchitecture {
  package static let names = ["deepseek"]

  package static func tensorNames(_ checkpoint: Checkpoint) -> DecoderTensorNames { .deepSeek }

  package static func configuration(
    _ checkpoint: Checkpoint
  ) throws(ModelFileError) -> DecoderConfiguration {
    let values = checkpoint.hyperparameters
    var conventions = DecoderConfiguration.Conventions()
    conventions.hasExperts = true
    conventions.rotaryPairing = values.isGGUF ? .neighbours : .halves
    var configuration = try DecoderConfiguration(checkpoint, conventions)
    var mixture = try MixtureConfiguration(checkpoint, layers: configuration.layers)
    try mixture.readDenseLayers(ofDeepSeek: values, leading: 0)
    try mixture.readSharedExperts(ofDeepSeek: values, default: 0)
    try configuration.set(mixture, values)
    if values.isGGUF {
      configuration.readBiases(ofGGUF: checkpoint)
    } else {
      let hasBias = try values.bool(HyperparameterKey("attention_bias"), default: false)
      configuration.biases = .init(queryKeyValue: hasBias, attentionOutput: hasBias)
    }
    return configuration
  }
}
