import SalanganeFiles

/// Qwen3 (Yang et al., 2025), dense: also Qwen3-Embedding and Qwen3-Reranker, whose files leave out the
/// prefix `model.`.
///
/// Query and key heads are normalised before they are rotated; heads times their size needn't be the hidden
/// size.
package struct Qwen3: DecoderArchitecture {
  package static let names = ["qwen3"]

  package static func tensorNames(_ checkpoint: Checkpoint) -> DecoderTensorNames { .llama }

  package static func configuration(
    _ checkpoint: Checkpoint
  ) throws(ModelFileError) -> DecoderConfiguration {
    var configuration = try DecoderConfiguration(checkpoint)
    configuration.normalizesHeads = true
    if checkpoint.format == .gguf {
      configuration.readBiases(ofGGUF: checkpoint)
    } else {
      let hasBias = try checkpoint.hyperparameters.bool(HyperparameterKey("attention_bias"), default: false)
      configuration.biases = .init(queryKeyValue: hasBias, attentionOutput: hasBias)
      try configuration.readWindows(checkpoint.hyperparameters)
    }
    return configuration
  }
}
