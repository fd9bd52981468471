import SalanganeFiles

/// Qwen, the first of its name (Bai et al., 2023).
///
/// One biased product gives queries, keys and values. `w1` is the feed-forward network's up projection and `w2`
/// its gate, and the files give twice their width. Beyond `seq_length` the original changes its rotary base
/// and scales its queries by the length: that is where our context ends.
package struct Qwen: DecoderArchitecture {
  package static let names = ["qwen"]

  private static let tensorNames = DecoderTensorNames(
    layerPrefixes: ["transformer.h."], prefixes: ["transformer.", ""],
    modules: [
      .tokenEmbeddings: "wte",
      .outputNorm: "ln_f",
      .output: "lm_head",
      .attentionNorm: "ln_1",
      .queryKeyValue: "attn.c_attn",
      .attentionOutput: "attn.c_proj",
      .feedForwardNorm: "ln_2",
      .gate: "mlp.w2",
      .up: "mlp.w1",
      .down: "mlp.c_proj",
    ])

  package static func tensorNames(_ checkpoint: Checkpoint) -> DecoderTensorNames { tensorNames }

  package static func configuration(
    _ checkpoint: Checkpoint
  ) throws(ModelFileError) -> DecoderConfiguration {
    var conventions = DecoderConfiguration.Conventions()
    conventions.contextLength = HyperparameterKey(
      ["seq_length", "max_position_embeddings"], gguf: ["context_length"])
    conventions.normEpsilon = HyperparameterKey(
      ["layer_norm_epsilon"], gguf: ["attention.layer_norm_rms_epsilon", "attention.layer_norm_epsilon"])
    conventions.partialRotaryFactor = 1
    conventions.feedForwardDivisor = 2
    var configuration = try DecoderConfiguration(checkpoint, conventions)
    configuration.biases.queryKeyValue = true
    if checkpoint.format == .gguf {
      configuration.readBiases(ofGGUF: checkpoint)
    } else if try !checkpoint.hyperparameters.bool(HyperparameterKey("no_bias"), default: true) {
      configuration.biases = .init(queryKeyValue: true, attentionOutput: true, feedForward: true)
    }
    return configuration
  }
}
