import SalanganeFiles

/// GLM-4-9B and ChatGLM2/3 (Team GLM, 2024), in the layout of their own code (`chatglm`) and in that of
/// transformers (`glm`).
///
/// Neighbouring features of the first half of a head are rotated; gate and up are one product, the gate
/// first; queries, keys and values have a bias.
package struct GLM: DecoderArchitecture {
  package static let names = ["glm", "chatglm"]

  /// The names that transformers gives.
  static let currentNames = DecoderTensorNames.llama
    .replacing([.gateUp: "mlp.gate_up_proj"]).without([.gate, .up, .queryNorm, .keyNorm])

  /// The names in the layout of the models' own code.
  private static let legacyNames = DecoderTensorNames(
    layerPrefixes: ["transformer.encoder.layers."], prefixes: ["transformer."],
    modules: [
      .tokenEmbeddings: "embedding.word_embeddings",
      .outputNorm: "encoder.final_layernorm",
      .output: "output_layer",
      .attentionNorm: "input_layernorm",
      .queryKeyValue: "self_attention.query_key_value",
      .attentionOutput: "self_attention.dense",
      .feedForwardNorm: "post_attention_layernorm",
      .gateUp: "mlp.dense_h_to_4h",
      .down: "mlp.dense_4h_to_h",
    ])

  package static func tensorNames(_ checkpoint: Checkpoint) -> DecoderTensorNames {
    checkpoint.architecture == "chatglm" ? legacyNames : currentNames
  }

  package static func configuration(
    _ checkpoint: Checkpoint
  ) throws(ModelFileError) -> DecoderConfiguration {
    let values = checkpoint.hyperparameters
    if checkpoint.format == .safetensors, checkpoint.architecture == "chatglm" {
      return try legacyConfiguration(checkpoint)
    }
    var configuration = try DecoderConfiguration(checkpoint, conventions)
    if checkpoint.format == .gguf {
      configuration.readBiases(ofGGUF: checkpoint)
    } else {
      configuration.biases.queryKeyValue = try values.bool(
        HyperparameterKey("attention_bias"), default: true)
    }
    return configuration
  }

  /// What GLM-4-0414 shares.
  static var conventions: DecoderConfiguration.Conventions {
    var conventions = DecoderConfiguration.Conventions()
    conventions.rotaryPairing = .neighbours
    conventions.partialRotaryFactor = 0.5
    return conventions
  }

  private static func legacyConfiguration(
    _ checkpoint: Checkpoint
  ) throws(ModelFileError) -> DecoderConfiguration {
    let values = checkpoint.hyperparameters
    for (name, expected) in [
      ("rmsnorm", true), ("post_layer_norm", true),
      ("apply_residual_connection_post_layernorm", false), ("add_bias_linear", false),
    ] {
      guard try values.bool(HyperparameterKey(name), default: expected) == expected else {
        throw values.failure(
          HyperparameterKey(name), "expected \(expected), found \(!expected)", kind: .unsupported)
      }
    }
    var conventions = Self.conventions
    conventions.vocabularySize = HyperparameterKey(["padded_vocab_size", "vocab_size"])
    let ratio = try values.float(HyperparameterKey("rope_ratio"), in: 1e-3...1e9, default: 1)
    conventions.rotaryBase = 10_000 * ratio
    var configuration = try DecoderConfiguration(checkpoint, conventions)
    if try !values.bool(HyperparameterKey("multi_query_attention"), default: false) {
      let shape = configuration.attention
      configuration.attention = .init(
        heads: shape.heads, keyValueHeads: shape.heads, headDimension: shape.headDimension)
    }
    configuration.biases.queryKeyValue = try values.bool(HyperparameterKey("add_qkv_bias"), default: false)
    return configuration
  }
}
