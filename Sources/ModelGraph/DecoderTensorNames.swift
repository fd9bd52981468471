import SalanganeFiles

/// The tensors of a decoder, by their names in GGUF.
package enum DecoderModule: String, Sendable, CaseIterable {
  case tokenEmbeddings = "token_embd"
  case outputNorm = "output_norm"
  case output = "output"
  case attentionNorm = "attn_norm"
  case query = "attn_q"
  case key = "attn_k"
  case value = "attn_v"
  case queryKeyValue = "attn_qkv"
  case queryNorm = "attn_q_norm"
  case keyNorm = "attn_k_norm"
  case attentionOutput = "attn_output"
  case queryDown = "attn_q_a"
  case queryDownNorm = "attn_q_a_norm"
  case queryUp = "attn_q_b"
  case keyValueDown = "attn_kv_a_mqa"
  case keyValueDownNorm = "attn_kv_a_norm"
  case keyUp = "attn_k_b"
  case valueUp = "attn_v_b"
  /// The weights of keys and values in one.
  case keyValueUp = "attn_kv_b"
  case postAttentionNorm = "post_attention_norm"
  case feedForwardNorm = "ffn_norm"
  case gate = "ffn_gate"
  case up = "ffn_up"
  /// Gate and up in one; GGUF has it as an `ffn_up` of twice the rows.
  case gateUp = "ffn_gate_up"
  case down = "ffn_down"
  case postFeedForwardNorm = "post_ffw_norm"
  case router = "ffn_gate_inp"
  case routerBias = "exp_probs_b"
  case expertGate = "ffn_gate_exps"
  case expertUp = "ffn_up_exps"
  /// Gate and up of all experts in one.
  case expertGateUp = "ffn_gate_up_exps"
  case expertDown = "ffn_down_exps"
  case sharedGate = "ffn_gate_shexp"
  case sharedUp = "ffn_up_shexp"
  case sharedDown = "ffn_down_shexp"
  /// What scales the shared expert.
  case sharedScale = "ffn_gate_inp_shexp"
}

/// What the tensors of a family are called in safetensors.
package struct DecoderTensorNames: Sendable {
  /// What comes before a layer's number, in the order in which it is looked for.
  package var layerPrefixes: [String]
  /// What comes before the names outside of layers.
  package var prefixes: [String]
  /// The names of modules; what a family doesn't have is left out. Experts' modules have a `#` in place of the
  /// expert's number.
  package var modules: [DecoderModule: String]
  /// Names that a family's GGUF files have in place of the usual ones.
  package var gguf: [DecoderModule: String] = [:]

  /// The names that transformers gives to Llama and all that followed it; embedders come without `model.`.
  package static let llama = DecoderTensorNames(
    layerPrefixes: ["model.layers.", "layers."], prefixes: ["model.", ""],
    modules: [
      .tokenEmbeddings: "embed_tokens",
      .outputNorm: "norm",
      .output: "lm_head",
      .attentionNorm: "input_layernorm",
      .query: "self_attn.q_proj",
      .key: "self_attn.k_proj",
      .value: "self_attn.v_proj",
      .queryNorm: "self_attn.q_norm",
      .keyNorm: "self_attn.k_norm",
      .attentionOutput: "self_attn.o_proj",
      .feedForwardNorm: "post_attention_layernorm",
      .gate: "mlp.gate_proj",
      .up: "mlp.up_proj",
      .down: "mlp.down_proj",
    ])

  /// Llama's names, with those of a mixture's modules.
  ///
  /// - Parameter shared: What the shared expert is called.
  package static func mixture(shared: String) -> DecoderTensorNames {
    llama.replacing([
      .router: "mlp.gate",
      .expertGate: "mlp.experts.#.gate_proj",
      .expertUp: "mlp.experts.#.up_proj",
      .expertGateUp: "mlp.experts.#.gate_up_proj",
      .expertDown: "mlp.experts.#.down_proj",
      .sharedGate: "mlp.\(shared).gate_proj",
      .sharedUp: "mlp.\(shared).up_proj",
      .sharedDown: "mlp.\(shared).down_proj",
      .sharedScale: "mlp.\(shared)_gate",
    ])
  }

  /// The names of DeepSeek's mixtures and of its attention over latents, and of the families that took them over.
  package static let deepSeek = mixture(shared: "shared_experts").replacing([
    .routerBias: "mlp.gate",
    .queryDown: "self_attn.q_a_proj",
    .queryDownNorm: "self_attn.q_a_layernorm",
    .queryUp: "self_attn.q_b_proj",
    .keyValueDown: "self_attn.kv_a_proj_with_mqa",
    .keyValueDownNorm: "self_attn.kv_a_layernorm",
    .keyValueUp: "self_attn.kv_b_proj",
  ])

  /// The same names but for some modules.
  package func replacing(_ modules: [DecoderModule: String]) -> DecoderTensorNames {
    var names = self
    names.modules.merge(modules) { $1 }
    return names
  }

  /// The same names without some modules.
  package func without(_ modules: [DecoderModule]) -> DecoderTensorNames {
    var names = self
    for module in modules { names.modules[module] = nil }
    return names
  }

  /// The names that a matrix of one expert may have, where experts have tensors of their own.
  package func names(
    _ module: DecoderModule, expert: Int, _ layer: Int, in format: Checkpoint.Format
  ) -> [String] {
    switch format {
    case .gguf:
      // As files had them before experts were stacked.
      return ["blk.\(layer).\(module.rawValue.replacing("_exps", with: "")).\(expert).weight"]
    case .safetensors:
      return names(module, "weight", layer, in: format).map { $0.replacing("#", with: "\(expert)") }
    }
  }

  /// The names that the tensor of all experts' matrices may have.
  package func stackedNames(
    _ module: DecoderModule, _ layer: Int, in format: Checkpoint.Format
  ) -> [String] {
    switch format {
    case .gguf: return names(module, "weight", layer, in: format)
    case .safetensors:
      return names(module, "", layer, in: format).map { String($0.replacing("#.", with: "").dropLast()) }
    }
  }

  /// The names that a tensor may have.
  ///
  /// - Parameters:
  ///   - module: What it belongs to.
  ///   - kind: `weight` or `bias`.
  ///   - layer: The layer's number; nil outside of layers.
  ///   - format: The format of the file.
  package func names(
    _ module: DecoderModule, _ kind: String = "weight", _ layer: Int?, in format: Checkpoint.Format
  ) -> [String] {
    switch format {
    case .gguf:
      let name = "\(gguf[module] ?? module.rawValue).\(kind)"
      return [layer.map { "blk.\($0).\(name)" } ?? name]
    case .safetensors:
      guard let name = modules[module] else { return [] }
      if let layer { return layerPrefixes.map { "\($0)\(layer).\(name).\(kind)" } }
      // The output matrix mostly stands outside of the model that the prefix is for.
      let prefixes = module == .output ? prefixes.reversed() : prefixes
      return prefixes.map { "\($0)\(name).\(kind)" }
    }
  }
}
