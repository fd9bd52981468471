import Foundation
import SalanganeFiles
import SalanganeModelGraph
import SalanganeTensors
import SalanganeTestSupport
import Testing

/// Files that aren't what they say, and inputs that don't fit.
@Suite struct DecoderErrorTests {
  /// A change to a golden's `config.json`, and the error that it must lead to.
  struct Change: CustomTestStringConvertible, Sendable {
    let golden: String
    /// Merged into the configuration; `null` takes a key away.
    let changes: String
    let kind: ModelFileError.Kind
    let subject: String

    init(_ golden: String, _ changes: String, _ kind: ModelFileError.Kind, _ subject: String) {
      self.golden = golden
      self.changes = changes
      self.kind = kind
      self.subject = subject
    }

    var testDescription: String { "\(golden): \(changes)" }
  }

  static let changes = [
    Change("qwen3", #"{"num_attention_heads": 5}"#, .malformed, "num_key_value_heads"),
    Change("qwen3", #"{"num_hidden_layers": 1025}"#, .malformed, "num_hidden_layers"),
    Change("qwen3", #"{"num_hidden_layers": 0}"#, .malformed, "num_hidden_layers"),
    Change("qwen3", #"{"num_hidden_layers": 4}"#, .malformed, "model.layers.3.input_layernorm.weight"),
    Change("qwen3", #"{"num_hidden_layers": 1e30}"#, .malformed, "num_hidden_layers"),
    Change("qwen3", #"{"vocab_size": 130}"#, .malformed, "model.embed_tokens.weight"),
    Change("qwen3", #"{"vocab_size": -1}"#, .malformed, "vocab_size"),
    Change("qwen3", #"{"head_dim": 19}"#, .malformed, "head_dim"),
    Change("qwen3", #"{"head_dim": 22}"#, .malformed, "model.layers.0.self_attn.q_proj.weight"),
    Change("qwen3", #"{"partial_rotary_factor": 1.5}"#, .malformed, "partial_rotary_factor"),
    Change("qwen3", #"{"partial_rotary_factor": 0.5}"#, .unsupported, "partial_rotary_factor"),
    Change("glm", #"{"partial_rotary_factor": 0}"#, .malformed, "partial_rotary_factor"),
    Change("qwen2", #"{"is_causal": false}"#, .unsupported, "is_causal"),
    Change("qwen3", #"{"intermediate_size": 53}"#, .malformed, "model.layers.0.mlp.gate_proj.weight"),
    Change("qwen3", #"{"rms_norm_eps": null}"#, .malformed, "rms_norm_eps"),
    Change("qwen3", #"{"rms_norm_eps": "small"}"#, .malformed, "rms_norm_eps"),
    Change("qwen3", #"{"max_position_embeddings": null}"#, .malformed, "max_position_embeddings"),
    Change("qwen3", #"{"tie_word_embeddings": false}"#, .malformed, "lm_head.weight"),
    Change("qwen3", #"{"hidden_act": "gelu"}"#, .unsupported, "hidden_act"),
    Change("qwen3", #"{"num_experts": 8}"#, .unsupported, "num_experts"),
    Change("llama3", #"{"num_local_experts": 8}"#, .unsupported, "num_local_experts"),
    Change("qwen3", #"{"model_type": "mamba"}"#, .unsupported, "model_type"),
    Change(
      "qwen3", #"{"quantization_config": {"quant_method": "awq"}}"#, .unsupported,
      "quantization_config.quant_method"),
    Change(
      "qwen3", #"{"rope_parameters": {"rope_type": "longrope"}}"#, .unsupported, "rope_parameters.rope_type"),
    Change("qwen3", #"{"rope_scaling": {"type": "yarn"}}"#, .malformed, "rope_scaling.factor"),
    Change(
      "qwen3", #"{"rope_scaling": {"type": "linear", "factor": 0}}"#, .malformed, "rope_scaling.factor"),
    Change(
      "llama3",
      #"{"rope_scaling": {"rope_type": "llama3", "factor": 8, "low_freq_factor": 4, "high_freq_factor": 4}}"#,
      .malformed, "rope_scaling.high_freq_factor"),
    Change(
      "qwen2_swa", #"{"layer_types": ["full_attention"]}"#, .malformed, "layer_types"),
    Change(
      "qwen2_swa", #"{"layer_types": ["full_attention", "odd", "full_attention"]}"#, .unsupported,
      "layer_types"),
    Change(
      "qwen2", #"{"num_attention_heads": 7, "num_key_value_heads": 7}"#, .malformed, "num_attention_heads"),
    Change("qwen", #"{"intermediate_size": 81}"#, .malformed, "intermediate_size"),
    Change("qwen", #"{"no_bias": false}"#, .malformed, "transformer.h.0.attn.c_proj.bias"),
    Change("chatglm", #"{"add_bias_linear": true}"#, .unsupported, "add_bias_linear"),
    Change("chatglm", #"{"rmsnorm": false}"#, .unsupported, "rmsnorm"),
    Change(
      "glm4", #"{"rope_scaling": {"mrope_section": [2, 1, 1]}}"#, .unsupported, "rope_scaling.mrope_section"),
    Change(
      "qwen3_fp8", #"{"quantization_config": {"quant_method": "fp8", "weight_block_size": [32, 32]}}"#,
      .malformed, "model.layers.0.self_attn.q_proj.weight_scale_inv"),
    Change(
      "qwen3_fp8", #"{"quantization_config": {"quant_method": "fp8", "weight_block_size": [16]}}"#,
      .malformed, "quantization_config.weight_block_size"),
  ]

  static let mixtureChanges = [
    Change("qwen3_moe", #"{"num_experts_per_tok": 7}"#, .malformed, "num_experts_per_tok"),
    Change("qwen3_moe", #"{"num_experts_per_tok": 0}"#, .malformed, "num_experts_per_tok"),
    Change("qwen3_moe", #"{"num_experts_per_tok": null}"#, .malformed, "num_experts_per_tok"),
    Change("qwen3_moe", #"{"num_experts": 5}"#, .malformed, "model.layers.0.mlp.gate.weight"),
    Change("qwen3_moe", #"{"num_experts": 7}"#, .malformed, "model.layers.0.mlp.gate.weight"),
    Change("qwen3_moe", #"{"num_experts": 1e30}"#, .malformed, "num_experts"),
    Change(
      "qwen3_moe", #"{"moe_intermediate_size": 23}"#, .malformed, "model.layers.0.mlp.experts.gate_up_proj"),
    Change(
      "qwen2_moe", #"{"moe_intermediate_size": 23}"#, .malformed,
      "model.layers.0.mlp.experts.0.gate_proj.weight"),
    Change(
      "qwen2_moe", #"{"shared_expert_intermediate_size": 35}"#, .malformed,
      "model.layers.0.mlp.shared_expert.gate_proj.weight"),
    Change("qwen2_moe", #"{"use_sliding_window": true}"#, .unsupported, "use_sliding_window"),
    Change("qwen2_moe_mixed", #"{"intermediate_size": null}"#, .malformed, "intermediate_size"),
    Change("qwen2_moe_mixed", #"{"mlp_only_layers": []}"#, .malformed, "model.layers.3.mlp.gate.weight"),
    Change("qwen2_moe_mixed", #"{"mlp_only_layers": [-1]}"#, .malformed, "mlp_only_layers"),
    Change("qwen2_moe_mixed", #"{"decoder_sparse_step": 0}"#, .malformed, "decoder_sparse_step"),
    Change("qwen3_moe", #"{"routed_scaling_factor": 2}"#, .unsupported, "routed_scaling_factor"),
    Change("qwen3_moe", #"{"scoring_func": "sigmoid"}"#, .unsupported, "scoring_func"),
    Change("deepseek", #"{"scoring_func": "tanh"}"#, .unsupported, "scoring_func"),
    Change("deepseek_v2", #"{"scoring_func": "sigmoid"}"#, .unsupported, "scoring_func"),
    Change("glm4_moe", #"{"scoring_func": "softmax"}"#, .unsupported, "scoring_func"),
    Change(
      "deepseek", #"{"n_shared_experts": 1}"#, .malformed,
      "model.layers.1.mlp.shared_experts.gate_proj.weight"),
    Change("deepseek", #"{"first_k_dense_replace": 0}"#, .malformed, "model.layers.0.mlp.gate.weight"),
    Change("deepseek", #"{"moe_layer_freq": 2}"#, .malformed, "model.layers.1.mlp.gate_proj.weight"),
    Change("deepseek_v2", #"{"topk_method": "noaux_tc"}"#, .unsupported, "topk_method"),
    Change("deepseek_v2", #"{"norm_topk_prob": true}"#, .unsupported, "norm_topk_prob"),
    Change("deepseek_v2_lite", #"{"attention_bias": true}"#, .unsupported, "attention_bias"),
    Change("deepseek_v3", #"{"n_group": 4}"#, .malformed, "n_group"),
    Change("deepseek_v3", #"{"n_group": 6}"#, .malformed, "n_group"),
    Change("deepseek_v3", #"{"n_group": 0}"#, .malformed, "n_group"),
    Change("deepseek_v3", #"{"topk_group": 4}"#, .malformed, "topk_group"),
    Change("deepseek_v3", #"{"topk_group": 1}"#, .malformed, "num_experts_per_tok"),
    Change("deepseek_v3", #"{"routed_scaling_factor": -1}"#, .malformed, "routed_scaling_factor"),
    Change(
      "deepseek_v3", #"{"kv_lora_rank": 21}"#, .malformed,
      "model.layers.0.self_attn.kv_b_proj.weight"),
    Change("deepseek_v3", #"{"kv_lora_rank": null}"#, .malformed, "kv_lora_rank"),
    Change("deepseek_v3", #"{"qk_rope_head_dim": 7}"#, .malformed, "qk_rope_head_dim"),
    Change(
      "deepseek_v3", #"{"qk_nope_head_dim": 13}"#, .malformed, "model.layers.0.self_attn.q_b_proj.weight"),
    Change("deepseek_v3", #"{"v_head_dim": 15}"#, .malformed, "model.layers.0.self_attn.kv_b_proj.weight"),
    Change("deepseek_v3", #"{"q_lora_rank": null}"#, .malformed, "model.layers.0.self_attn.q_proj.weight"),
    Change("glm4_moe_lite", #"{"mlp_layer_types": ["dense"]}"#, .malformed, "mlp_layer_types"),
    Change("glm4_moe_lite", #"{"mlp_layer_types": ["dense", "odd"]}"#, .malformed, "mlp_layer_types"),
    Change("glm4_moe", #"{"first_k_dense_replace": 2}"#, .malformed, "model.layers.1.mlp.gate_proj.weight"),
  ]

  /// A copy of a golden with another configuration.
  static func directory(_ golden: String, changes: String) throws -> TemporaryDirectory {
    let source = TestFiles.golden("decoders/" + golden)
    var values =
      try JSONSerialization.jsonObject(with: Data(TestFiles.read(source + "/config.json"))) as? [String: Any]
      ?? [:]
    let changed = try JSONSerialization.jsonObject(with: Data(changes.utf8)) as? [String: Any] ?? [:]
    for (key, value) in changed { values[key] = value is NSNull ? nil : value }
    let directory = try TemporaryDirectory()
    try directory.write(try JSONSerialization.data(withJSONObject: values), to: "config.json")
    try directory.write(try TestFiles.read(source + "/model.safetensors"), to: "model.safetensors")
    return directory
  }

  @Test(arguments: changes + mixtureChanges)
  func wrongFilesAreNamed(change: Change) throws {
    let directory = try Self.directory(change.golden, changes: change.changes)
    let error = try #require(throws: ModelFileError.self) { _ = try DecoderSession(path: directory.path) }
    #expect(error.kind == change.kind)
    #expect(error.subject == change.subject)
    #expect(error.file.hasPrefix(directory.path))
  }

  /// The unchanged copy loads, or the test above would prove nothing.
  @Test(arguments: Set((changes + mixtureChanges).map(\.golden)))
  func unchangedFilesLoad(golden: String) throws {
    let directory = try Self.directory(golden, changes: "{}")
    #expect(try !DecoderSession(path: directory.path).logits([1, 2]).isEmpty)
  }

  /// A tensor goes by another name, so that one is missing.
  @Test(arguments: [
    ("qwen2_moe", "model.layers.1.mlp.experts.5.up_proj.weight"),
    ("qwen2_moe", "model.layers.0.mlp.shared_expert_gate.weight"),
    ("qwen3_moe", "model.layers.1.mlp.experts.down_proj"),
    ("deepseek_v3", "model.layers.1.mlp.gate.e_score_correction_bias"),
    ("deepseek_v3", "model.layers.0.self_attn.kv_a_layernorm.weight"),
    ("deepseek_v3_fp8", "model.layers.1.mlp.experts.3.down_proj.weight_scale_inv"),
  ])
  func missingTensorsAreNamed(golden: String, tensor: String) throws {
    let directory = try Self.directory(golden, changes: "{}")
    let path = directory.path("model.safetensors")
    var bytes = try TestFiles.read(path)
    let name = Array(tensor.utf8)
    let start = try #require(bytes.indices.first { bytes[$0...].starts(with: name) })
    bytes[start] = UInt8(ascii: "x")
    try directory.write(bytes, to: "model.safetensors")
    let error = try #require(throws: ModelFileError.self) { _ = try DecoderSession(path: directory.path) }
    #expect(error.kind == .malformed)
    // Where experts aren't in one tensor, they are looked for one by one.
    #expect(
      error.subject
        == tensor.replacingOccurrences(of: "experts.down_proj", with: "experts.0.down_proj.weight"))
  }

  /// Numbers in GGUF's keys that no model has, or none of ours.
  @Test(arguments: [
    ("deepseek_v2", "expert_gating_func", UInt8(3), ModelFileError.Kind.unsupported),
    ("deepseek_v2", "expert_gating_func", 99, .unsupported),
    ("deepseek_v3", "expert_group_count", 4, .malformed),
    ("deepseek_v3", "expert_group_used_count", 0, .malformed),
    ("deepseek_v3", "expert_used_count", 7, .malformed),
    ("deepseek_v3", "attention.key_length_mla", 8, .malformed),
    ("deepseek_v3", "rope.dimension_count", 9, .malformed),
    ("deepseek_v3", "nextn_predict_layers", 3, .malformed),
  ])
  func wrongMetadataIsNamed(golden: String, key: String, value: UInt8, kind: ModelFileError.Kind) throws {
    let directory = try TemporaryDirectory()
    var bytes = try TestFiles.read(TestFiles.golden("decoders/\(golden)/model.gguf"))
    let name = Array("deepseek2.\(key)".utf8)
    let start = try #require(bytes.indices.first { bytes[$0...].starts(with: name) })
    // A type of four bytes, then a number of four.
    bytes[start + name.count + 4] = value
    try directory.write(bytes, to: "model.gguf")
    let error = try #require(throws: ModelFileError.self) {
      _ = try DecoderSession(path: directory.path("model.gguf"))
    }
    #expect(error.kind == kind && error.subject == "deepseek2.\(key)")
  }

  /// GLM's products have biases unless its files deny it, as in transformers.
  @Test(arguments: ["glm", "glm4"])
  func biasesAreTheDefaultOfGLM(golden: String) throws {
    func logits(_ changes: String) throws -> [Float] {
      let directory = try Self.directory(golden, changes: changes)
      return try withExtendedLifetime(directory) { try DecoderSession(path: directory.path).logits([1, 2]) }
    }
    let expected = try logits("{}")
    #expect(try logits(#"{"attention_bias": null}"#) == expected)
    #expect(try logits(#"{"attention_bias": false}"#) != expected)
  }

  /// An embedder without an output matrix loads if no logits are asked for, though its files don't say so.
  @Test func headsAreOptional() throws {
    let directory = try Self.directory("qwen3_embed", changes: #"{"tie_word_embeddings": false}"#)
    #expect(throws: ModelFileError.self) { try DecoderSession(path: directory.path) }
    #expect(try !DecoderSession(path: directory.path, loadsHead: false).decoder.hasHead)
  }

  @Test func wrongInputs() throws {
    let session = try DecoderSession(path: TestFiles.golden("decoders/qwen3"))
    let vocabulary = session.decoder.vocabularySize
    #expect(throws: DecoderError.noTokens) { try session.logits([]) }
    for id in [-1, vocabulary, Int(Int32.max)] {
      #expect(throws: DecoderError.invalidToken(id: id, index: 1, vocabularySize: vocabulary)) {
        try session.logits([0, Int32(id)])
      }
    }
    let tokens = [Int32](repeating: 5, count: session.decoder.contextLength)
    #expect(try session.logits(tokens).count == tokens.count * vocabulary)
    let cache = session.decoder.makeCache()
    #expect(throws: KVCacheError.contextExceeded(positions: tokens.count + 1, capacity: tokens.count)) {
      try session.logits(tokens + [5], after: cache)
    }
    #expect(cache.count == 0 && cache.byteCount == 0)
    _ = try session.logits(tokens, after: cache)
    #expect(throws: KVCacheError.contextExceeded(positions: tokens.count + 1, capacity: tokens.count)) {
      try session.logits([5], after: cache)
    }
    #expect(throws: KVCacheError.contextExceeded(positions: tokens.count + 1, capacity: tokens.count)) {
      try session.hiddenStates([tokens + [5]])
    }
  }

  /// A weight that isn't a number is noticed in the logits.
  @Test func notFiniteLogits() throws {
    let directory = try Self.directory("qwen3", changes: "{}")
    let path = directory.path("model.safetensors")
    let tensor = try #require(SafetensorsFile(path: path).tensor("model.layers.1.mlp.down_proj.weight"))
    var bytes = try TestFiles.read(path)
    bytes[tensor.offset] = 0xC0
    bytes[tensor.offset + 1] = 0x7F
    try directory.write(bytes, to: "model.safetensors")
    let session = try DecoderSession(path: directory.path)
    #expect(throws: DecoderError.notFinite) { try session.logits([1, 2, 3]) }
  }

  /// A cancelled run leaves nothing behind: the next one has the same bits as ever.
  @Test func cancelledRunsLeaveNothingBehind() throws {
    let golden = DecoderGolden(name: "qwen3", isGGUF: false)
    let prompt = try golden.reference()["p2_ids"].elements(Int32.self)
    let session = try DecoderSession(path: golden.path)
    let expected = try session.logits(prompt)
    let cache = session.decoder.makeCache()
    for layer in 1...3 {
      #expect(throws: CancellationError.self) {
        try session.runCancelled(prompt, cache: cache, beforeLayer: layer)
      }
      #expect(cache.count == 0)
    }
    let cancelled = Cancellation()
    cancelled.cancel()
    #expect(throws: CancellationError.self) {
      try session.logits(prompt, after: cache, cancellation: cancelled)
    }
    #expect(try session.logits(prompt, after: cache) == expected)
  }
}
