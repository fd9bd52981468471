import SalanganeFiles
import SalanganeModelGraph
import SalanganeTensors

extension ModelConverter {
  // MARK: Mixtures of experts

  /// Sets the hyper-parameters of mixtures of experts.
  ///
  /// - Throws: `ModelFileError` of the kind `unsupported` for what GGUF has no key for.
  mutating func setMixture(
    _ mixture: MixtureConfiguration, _ form: DecoderFamily.Mixture
  ) throws(ModelFileError) {
    func refuse(_ key: HyperparameterKey, _ expectation: String) -> ModelFileError {
      checkpoint.hyperparameters.failure(
        key, "expected \(expectation), as GGUF's \(architecture) has it, found another", kind: .unsupported)
    }
    let dense = mixture.isSparse.prefix { !$0 }.count
    guard mixture.isSparse.dropFirst(dense).allSatisfy({ $0 }), dense == 0 || form.hasDenseLayers else {
      let places = form.hasDenseLayers ? "in all layers behind some dense ones" : "in all layers"
      throw refuse(form.hasDenseLayers ? "moe_layer_freq" : "decoder_sparse_step", "experts \(places)")
    }
    if let normalizes = form.normalizes, normalizes != mixture.normalizes {
      throw refuse(.normalizesExpertWeights, "\(normalizes)")
    }
    set("expert_count", mixture.experts)
    set("expert_used_count", mixture.used)
    set("expert_feed_forward_length", mixture.innerSize)
    if form.countsSharedExperts {
      set("expert_shared_count", mixture.sharedInnerSize / mixture.innerSize)
    } else if mixture.sharedInnerSize > 0 {
      set("expert_shared_feed_forward_length", mixture.sharedInnerSize)
    }
    if form.hasDenseLayers { set("leading_dense_block_count", dense) }
    guard form.hasRouterKeys else {
      guard mixture.gate == .softmax, mixture.scale == 1, mixture.groups == nil else {
        throw refuse("scoring_func", "a router with softmax, and without groups or a scale")
      }
      return
    }
    set("expert_gating_func", mixture.gate == .softmax ? 1 : 2)
    set("expert_weights_scale", Double(mixture.scale))
    set("expert_weights_norm", .bool(mixture.normalizes))
    set("expert_group_count", mixture.groups?.count ?? 1)
    set("expert_group_used_count", mixture.groups?.used ?? 1)
  }

  /// Adds the routed experts of a layer, each kind of matrix in one tensor, and the router's bias.
  ///
  /// - Throws: `ModelFileError` for tensors that are missing or not as expected.
  mutating func addExperts(
    _ mixture: MixtureConfiguration, hidden: Int, _ layer: Int, _ names: DecoderTensorNames
  ) throws(ModelFileError) {
    let inner = mixture.innerSize
    let count = mixture.experts
    let fused = names.stackedNames(.expertGateUp, layer, in: .safetensors)
    let isFused = name(among: fused) != nil
    for (module, rows, columns) in [
      (DecoderModule.expertGate, inner, hidden), (.expertUp, inner, hidden), (.expertDown, hidden, inner),
    ] {
      let target = names.names(module, "weight", layer, in: .gguf)[0]
      let stacked = names.stackedNames(module, layer, in: .safetensors)
      if isFused, module != .expertDown {
        // The gate's rows come first.
        let first = module == .expertGate ? 0 : inner
        try add(
          target, from: fused, shape: [count, 2 * inner, hidden],
          { rows in
            SelectedRows(rows, count: count * inner) { row in row / inner * 2 * inner + first + row % inner }
          }, as: [count, inner, hidden])
      } else if name(among: stacked) != nil {
        try add(target, from: stacked, shape: [count, rows, columns])
      } else {
        try add(
          target,
          stacking: (0..<count).map { names.names(module, expert: $0, layer, in: .safetensors) },
          shape: [rows, columns])
      }
    }
    if mixture.hasBias {
      try add(
        names.names(.routerBias, "bias", layer, in: .gguf)[0],
        from: names.names(.routerBias, "e_score_correction_bias", layer, in: .safetensors), shape: [count])
    }
  }

  // MARK: Attention over latents

  /// Sets the hyper-parameters of attention over latents: that of many heads over one key, the latent.
  ///
  /// - Throws: `ModelFileError` of the kind `unsupported` for what GGUF has no form for.
  mutating func setLatents(
    _ latent: LatentConfiguration, _ configuration: DecoderConfiguration
  ) throws(ModelFileError) {
    let values = checkpoint.hyperparameters
    guard !configuration.biases.queryKeyValue, !configuration.biases.attentionOutput else {
      throw values.failure(
        "attention_bias", "expected false, as GGUF's \(architecture) has it, found true", kind: .unsupported)
    }
    set("attention.head_count", latent.heads)
    set("attention.head_count_kv", 1)
    set("attention.key_length", latent.latentDimension)
    set("attention.value_length", latent.rank)
    set("attention.key_length_mla", latent.queryDimension)
    set("attention.value_length_mla", latent.valueDimension)
    set("attention.kv_lora_rank", latent.rank)
    if let rank = latent.queryRank { set("attention.q_lora_rank", rank) }
  }

  /// Adds the weights that make keys and values of latents: those of keys transposed, as they are applied to
  /// queries.
  ///
  /// - Throws: `ModelFileError` for a tensor that is missing or not as expected.
  mutating func addExpansion(
    _ latent: LatentConfiguration, _ layer: Int, _ names: DecoderTensorNames
  ) throws(ModelFileError) {
    let sources = names.names(.keyValueUp, "weight", layer, in: .safetensors)
    let (heads, own, size, rank) = (
      latent.heads, latent.ownDimension, latent.valueDimension, latent.rank
    )
    let shape = [heads * (own + size), rank]
    try add(
      names.names(.keyUp, "weight", layer, in: .gguf)[0], from: sources, shape: shape,
      { TransposedRows($0, stride: own + size, columns: own) }, as: [heads, rank, own])
    try add(
      names.names(.valueUp, "weight", layer, in: .gguf)[0], from: sources, shape: shape,
      { rows in
        SelectedRows(rows, count: heads * size) { row in row / size * (own + size) + own + row % size }
      }, as: [heads, size, rank])
  }
}
