/// The hyper-parameters whose meaning is the same in `config.json` and in GGUF metadata.
///
/// Names: transformers 5 and its older dialect; "GGUF" in ggml's documentation. What only one family has,
/// or has in a meaning of its own, is declared by its architecture: for latent attention, the numbers and
/// sizes of key and value heads in GGUF are those of the latents.
extension HyperparameterKey {
  // MARK: Sizes

  /// The width of the residual stream.
  public static let hiddenSize = HyperparameterKey(
    ["hidden_size", "n_embd", "d_model"], gguf: ["embedding_length"])
  /// The number of layers; in GGUF, layers for multi-token prediction are among them.
  public static let layerCount = HyperparameterKey(
    ["num_hidden_layers", "num_layers", "n_layer"], gguf: ["block_count"])
  /// The number of layers for multi-token prediction, which plain inference skips.
  public static let predictionLayerCount = HyperparameterKey(
    ["num_nextn_predict_layers", "num_mtp_layers", "mtp_num_hidden_layers"], gguf: ["nextn_predict_layers"])
  /// The number of query heads.
  public static let headCount = HyperparameterKey(
    ["num_attention_heads", "n_head"], gguf: ["attention.head_count"])
  /// The number of key and value heads.
  public static let keyValueHeadCount = HyperparameterKey(
    ["num_key_value_heads", "multi_query_group_num"], gguf: ["attention.head_count_kv"])
  /// The size of a query or key head.
  public static let headDimension = HyperparameterKey(
    ["head_dim", "kv_channels"], gguf: ["attention.key_length"])
  /// The size of a value head.
  public static let valueHeadDimension = HyperparameterKey(
    ["head_dim", "kv_channels"], gguf: ["attention.value_length"])
  /// The inner width of a dense feed-forward layer.
  public static let feedForwardSize = HyperparameterKey(
    ["intermediate_size", "ffn_hidden_size", "n_inner"], gguf: ["feed_forward_length"])
  /// The number of tokens in the vocabulary.
  public static let vocabularySize = HyperparameterKey(
    ["vocab_size", "padded_vocab_size"], gguf: ["vocab_size"])
  /// The number of token types of an encoder.
  public static let tokenTypeCount = HyperparameterKey(
    ["type_vocab_size"], gguf: ["tokenizer.ggml.token_type_count"])
  /// The longest sequence the model was made for, in tokens.
  public static let contextLength = HyperparameterKey(
    ["max_position_embeddings", "seq_length", "n_positions"], gguf: ["context_length"])

  // MARK: Norms and activations

  /// The epsilon of RMS norms.
  public static let rmsNormEpsilon = HyperparameterKey(
    ["rms_norm_eps", "layernorm_epsilon"], gguf: ["attention.layer_norm_rms_epsilon"])
  /// The epsilon of layer norms.
  public static let layerNormEpsilon = HyperparameterKey(
    ["layer_norm_eps", "layer_norm_epsilon", "norm_eps"], gguf: ["attention.layer_norm_epsilon"])
  /// The name of the activation function; GGUF doesn't store it.
  public static let activation = HyperparameterKey(["hidden_act", "hidden_activation", "activation_function"])
  /// Whether the output matrix is the embedding matrix; GGUF leaves the output tensor out instead.
  public static let tiesEmbeddings = HyperparameterKey("tie_word_embeddings")

  // MARK: Rotary positions

  /// The base of the rotary frequencies.
  public static let rotaryBase = rope(
    "rope_theta", or: ["rope_theta", "rotary_emb_base"], gguf: ["rope.freq_base"])
  /// The share of a head that is rotated; GGUF has `rotaryDimension` instead.
  public static let partialRotaryFactor = rope(
    "partial_rotary_factor", or: ["partial_rotary_factor", "rotary_pct"])
  /// How many values of a head are rotated; `config.json` has `partialRotaryFactor` instead.
  public static let rotaryDimension = HyperparameterKey.gguf("rope.dimension_count")
  /// The kind of frequency scaling: `linear`, `yarn`, `llama3` and others.
  public static let rotaryScalingType = HyperparameterKey(
    ["rope_scaling.rope_type", "rope_scaling.type", "rope_parameters.rope_type", "rope_parameters.type"],
    gguf: ["rope.scaling.type"])
  /// The factor by which the context was stretched.
  public static let rotaryScalingFactor = rope("factor", gguf: ["rope.scaling.factor"])
  /// The context length before it was stretched. Of this alone, transformers prefers the one at the top level.
  public static let rotaryOriginalContextLength = HyperparameterKey(
    ["original_max_position_embeddings"]
      + rope("original_max_position_embeddings").configuration,
    gguf: ["rope.scaling.original_context_length"])

  // MARK: Mixture of experts

  /// The number of routed experts in a layer.
  public static let expertCount = HyperparameterKey(
    ["num_experts", "n_routed_experts", "num_local_experts"], gguf: ["expert_count"])
  /// How many of them a token uses.
  public static let usedExpertCount = HyperparameterKey(
    ["num_experts_per_tok", "num_experts_per_token"], gguf: ["expert_used_count"])
  /// The inner width of a routed expert.
  public static let expertFeedForwardSize = HyperparameterKey(
    ["moe_intermediate_size"], gguf: ["expert_feed_forward_length"])
  /// The inner width of the shared expert.
  public static let sharedExpertFeedForwardSize = HyperparameterKey(
    ["shared_expert_intermediate_size"], gguf: ["expert_shared_feed_forward_length"])
  /// The number of shared experts.
  public static let sharedExpertCount = HyperparameterKey(["n_shared_experts"], gguf: ["expert_shared_count"])
  /// The number of dense layers before the first one with experts.
  public static let leadingDenseLayerCount = HyperparameterKey(
    ["first_k_dense_replace"], gguf: ["leading_dense_block_count"])
  /// Whether the weights of the experts used are divided by their sum.
  public static let normalizesExpertWeights = HyperparameterKey(
    ["norm_topk_prob"], gguf: ["expert_weights_norm"])
  /// The factor on the weights of the experts used.
  public static let expertWeightScale = HyperparameterKey(
    ["routed_scaling_factor"], gguf: ["expert_weights_scale"])
  /// The number of groups that experts are divided into.
  public static let expertGroupCount = HyperparameterKey(["n_group"], gguf: ["expert_group_count"])
  /// How many of these groups a token uses.
  public static let usedExpertGroupCount = HyperparameterKey(
    ["topk_group"], gguf: ["expert_group_used_count"])

  /// A name in the object that describes rotary positions, `rope_scaling` in older configurations.
  ///
  /// As in transformers, `rope_parameters` isn't looked at if there is a `rope_scaling`.
  ///
  /// - Parameter older: Names at the top level, which older configurations have for some.
  public static func rope(_ name: String, or older: [String] = [], gguf: [String] = []) -> HyperparameterKey {
    HyperparameterKey(["rope_scaling.\(name)", "rope_parameters.\(name)"] + older, gguf: gguf)
  }
}
