import SalanganeFiles

extension ModelShape {
  /// Sets the keys of a GGUF file that has this shape, in the names of GGUF's specification and, for the
  /// newer ones, of llama.cpp's converter.
  ///
  /// - Parameter scheme: How the weights are quantised.
  func setMetadata(of writer: inout GGUFWriter, scheme: QuantizationScheme) {
    writer.set("general.architecture", .string(architecture))
    writer.set("general.type", .string("model"))
    writer.set("general.name", .string("\(name), random weights"))
    writer.set("general.quantization_version", .uint32(2))
    writer.set("general.file_type", .uint32(scheme.fileType))
    func set(_ key: String, _ number: Int) {
      writer.set("\(architecture).\(key)", .uint32(UInt32(number)))
    }
    func set(_ key: String, _ number: Float) { writer.set("\(architecture).\(key)", .float32(number)) }
    set("block_count", layerCount)
    set("context_length", contextLength)
    set("embedding_length", hiddenSize)
    set("feed_forward_length", feedForwardSize)
    set("vocab_size", vocabulary.size)
    set("rope.freq_base", rotaryBase)
    set("attention.layer_norm_rms_epsilon", normEpsilon)
    switch attention {
    case .grouped(let heads, let keyValueHeads, let headDimension, _):
      set("attention.head_count", heads)
      set("attention.head_count_kv", keyValueHeads)
      set("attention.key_length", headDimension)
      set("attention.value_length", headDimension)
      set("rope.dimension_count", headDimension)
    case .latent(let heads, let queryRank, let keyValueRank, let plain, let rotary, let value, let yarn):
      set("attention.head_count", heads)
      // Keys and values are stored as what all heads share: one latent, and one rotary key behind it.
      set("attention.head_count_kv", 1)
      set("attention.key_length", keyValueRank + rotary)
      set("attention.value_length", keyValueRank)
      set("attention.key_length_mla", plain + rotary)
      set("attention.value_length_mla", value)
      set("attention.kv_lora_rank", keyValueRank)
      // llama.cpp takes the key for granted in all models but one, which it knows by its number of layers.
      if queryRank > 0 || layerCount != publishedLayerCount { set("attention.q_lora_rank", queryRank) }
      set("rope.dimension_count", rotary)
      if let yarn {
        writer.set("\(architecture).rope.scaling.type", .string("yarn"))
        set("rope.scaling.factor", yarn.factor)
        set("rope.scaling.original_context_length", yarn.originalContextLength)
        set("rope.scaling.yarn_log_multiplier", 0.1 * yarn.magnitudeScale)
      }
    }
    if let experts {
      set("expert_count", experts.count)
      set("expert_used_count", experts.usedCount)
      set("expert_feed_forward_length", experts.feedForwardSize)
      // `llama_expert_gating_func_type`: 1 is a softmax, 2 a sigmoid.
      set("expert_gating_func", experts.isSigmoid ? 2 : 1)
      set("expert_weights_scale", experts.weightScale)
      writer.set("\(architecture).expert_weights_norm", .bool(experts.normalizesWeights))
      if experts.sharedCount > 0 { set("expert_shared_count", experts.sharedCount) }
      if architecture == "deepseek2" {
        set("leading_dense_block_count", experts.leadingDenseLayers)
        set("expert_group_count", 1)
        set("expert_group_used_count", 1)
      }
    }
    vocabulary.setMetadata(of: &writer)
  }
}
