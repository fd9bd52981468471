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
  case postAttentionNorm = "post_attention_norm"
  case feedForwardNorm = "ffn_norm"
  case gate = "ffn_gate"
  case up = "ffn_up"
  /// Gate and up in one; GGUF has it as an `ffn_up` of twice the rows.
  case gateUp = "ffn_gate_up"
  case down = "ffn_down"
  case postFeedForwardNorm = "post_ffw_norm"
}

/// What the tensors of a family are called in safetensors.
package struct DecoderTensorNames: Sendable {
  /// What comes before a layer's number, in the order in which it is looked for.
  package var layerPrefixes: [String]
  /// What comes before the names outside of layers.
  package var prefixes: [String]
  /// The names of modules; what a family doesn't have is left out.
  package var modules: [DecoderModule: String]

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
      return [layer.map { "blk.\($0).\(module.rawValue).\(kind)" } ?? "\(module.rawValue).\(kind)"]
    case .safetensors:
      guard let name = modules[module] else { return [] }
      if let layer { return layerPrefixes.map { "\($0)\(layer).\(name).\(kind)" } }
      // The output matrix mostly stands outside of the model that the prefix is for.
      let prefixes = module == .output ? prefixes.reversed() : prefixes
      return prefixes.map { "\($0)\(name).\(kind)" }
    }
  }
}
