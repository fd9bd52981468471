import SalanganeFiles

/// Chooses the type of each tensor of a quantised model, as llama.cpp does (`llama-quant.cpp`, without
/// importance weights).
package struct TensorTypeChooser {
  /// What the choice depends on besides the tensors.
  package struct Model: Sendable {
    /// `general.architecture`.
    package var architecture: String
    /// Transformer blocks, those for multi-token prediction included.
    package var layers: Int
    /// Experts of a layer; 0 or 1 for a dense model.
    package var experts: Int
    /// Query heads of the first layer for each of its key and value heads.
    package var headsPerKeyValueHead: Int

    /// Takes the facts.
    package init(architecture: String, layers: Int, experts: Int, headsPerKeyValueHead: Int) {
      self.architecture = architecture
      self.layers = layers
      self.experts = experts
      self.headsPerKeyValueHead = headsPerKeyValueHead
    }
  }

  private let scheme: QuantizationScheme
  private let model: Model
  private let tiesEmbeddings: Bool
  /// How many tensors hold attention values.
  private let valueTensors: Int
  private var seenValueTensors = 0
  private var seenDownTensors = 0

  private init(_ scheme: QuantizationScheme, _ model: Model, names: [String]) {
    self.scheme = scheme
    self.model = model
    tiesEmbeddings = !names.contains("output.weight")
    valueTensors = names.count { Role($0).holdsAttentionValues }
  }

  /// Chooses the types of all tensors.
  ///
  /// - Parameters:
  ///   - scheme: What was asked for.
  ///   - model: The model's facts.
  ///   - tensors: The tensors' GGUF names and shapes, outermost dimension first.
  /// - Returns: A type for each tensor; nil for one that is too small or too sensitive to be quantised.
  package static func types(
    _ scheme: QuantizationScheme, model: Model, tensors: [(name: String, shape: [Int])]
  ) -> [TensorType?] {
    var chooser = TensorTypeChooser(scheme, model, names: tensors.map(\.name))
    var types = [TensorType?](repeating: nil, count: tensors.count)
    // Some choices count the tensors before, layer by layer.
    let order = tensors.indices.sorted { left, right in
      let layers = (Self.layer(of: tensors[left].name), Self.layer(of: tensors[right].name))
      if layers.0 != layers.1 { return layers.0 < layers.1 }
      return tensors[left].name.utf8.lexicographicallyPrecedes(tensors[right].name.utf8)
    }
    for index in order where isQuantizable(tensors[index].name, shape: tensors[index].shape) {
      types[index] = chooser.type(of: tensors[index].name, shape: tensors[index].shape)
    }
    return types
  }

  /// The number of the layer that a tensor belongs to; -1 outside of layers.
  static func layer(of name: String) -> Int {
    guard name.hasPrefix("blk.") else { return -1 }
    return Int(name.dropFirst(4).prefix { $0 != "." }) ?? -1
  }

  // MARK: Which tensors are quantised

  /// Matrices of a layer that stay as they are.
  private static let exemptNames: Set<String> = [
    "ffn_gate_inp.weight", "ffn_gate_tid2eid.weight", "shortconv.conv.weight", "indexer.k_proj.weight",
    "indexer.q_proj.weight", "attn_rel_b.weight", "time_mix_first.weight", "time_mix_w0.weight",
    "time_mix_w1.weight", "time_mix_w2.weight", "time_mix_v0.weight", "time_mix_v1.weight",
    "time_mix_v2.weight", "time_mix_a0.weight", "time_mix_a1.weight", "time_mix_a2.weight",
    "time_mix_g1.weight", "time_mix_g2.weight", "time_mix_decay_w1.weight", "time_mix_decay_w2.weight",
    "time_mix_lerp_fused.weight",
  ]
  /// What the names of other such matrices begin with.
  private static let exemptPrefixes = ["ssm_conv1d", "altup", "laurel"]
  /// Parts of the names of such matrices outside of a text model's layers.
  private static let exemptParts = [
    "position_embd", "token_types.weight", "altup", "per_layer_model_proj", "sam.pos_embd", "sam.neck.",
    "sam.net_", ".rel_pos", ".patch_embd", ".patch_merger", "a.rvq.codebook", "mm.a.code_embd",
  ]

  /// Whether a tensor is a matrix, or several, that may be quantised.
  static func isQuantizable(_ name: String, shape: [Int]) -> Bool {
    // Sizes of 1 in front make no matrix of a vector.
    guard shape.dropLast().contains(where: { $0 > 1 }), name.hasSuffix("weight"),
      !name.hasSuffix("_norm.weight")
    else { return false }
    guard name.hasPrefix("blk."), let dot = name.dropFirst(4).firstIndex(of: ".") else {
      return !exemptParts.contains { name.contains($0) }
    }
    let module = name[name.index(after: dot)...]
    return !exemptNames.contains(String(module)) && !exemptPrefixes.contains { module.hasPrefix($0) }
  }

  // MARK: The type of one tensor

  private enum Role {
    case tokenEmbeddings, output, queryKeyValue, keyValue, value, key, query, attentionOutput, up, gate, down
    case other

    private static let parts: [(String, Role)] = [
      ("attn_qkv.weight", .queryKeyValue), ("attn_kv_b.weight", .keyValue), ("attn_v.weight", .value),
      ("attn_k.weight", .key), ("attn_q.weight", .query), ("attn_output.weight", .attentionOutput),
      ("ffn_up", .up), ("ffn_gate", .gate), ("ffn_down", .down),
    ]

    init(_ name: String) {
      switch name {
      case "output.weight": self = .output
      case "token_embd.weight", "per_layer_token_embd.weight": self = .tokenEmbeddings
      default: self = Self.parts.first { name.contains($0.0) }?.1 ?? .other
      }
    }

    /// Whether errors go straight into the attention's result.
    var holdsAttentionValues: Bool { self == .value || self == .queryKeyValue || self == .keyValue }
  }

  private mutating func type(of name: String, shape: [Int]) -> TensorType {
    let type = scheme.tensorType
    guard type.isQuantized else { return type }
    let columns = shape.last ?? 1
    return Self.fallback(for: mixedType(name, shape), columns: columns)
  }

  /// The type that the mix gives a tensor, whatever the length of its rows.
  private mutating func mixedType(_ name: String, _ shape: [Int]) -> TensorType {
    let type = scheme.tensorType
    let role = Role(name)
    if role == .output || (tiesEmbeddings && role == .tokenEmbeddings) {
      if type == .mxfp4 || (shape.last ?? 1) % type.valuesPerBlock != 0 { return .q8_0 }
      return type == .q8_0 ? .q8_0 : .q6_K
    }
    if scheme == .mxfp4_MoE {
      let isStack = shape.count > 2 && shape[shape.count - 3] > 1
      return isStack ? .mxfp4 : .q8_0
    }
    switch role {
    case .tokenEmbeddings: return type == .mxfp4 ? .q8_0 : type
    case .value, .queryKeyValue, .keyValue: return valueType()
    case .key: return model.experts == 8 ? .q8_0 : type
    case .down: return downType(name)
    case .attentionOutput: return attentionOutputType()
    default: return type
    }
  }

  private mutating func valueType() -> TensorType {
    defer { seenValueTensors += 1 }
    // Eight experts make the rest of the layer so large that 8 bits don't matter here.
    if model.experts == 8 { return .q8_0 }
    var type = scheme.tensorType
    let sharesHeads = model.headsPerKeyValueHead >= 4
    switch scheme {
    case .q2_K: type = sharesHeads ? .q4_K : .q3_K
    case .q3_K_M: type = seenValueTensors < 2 ? .q5_K : .q4_K
    case .q3_K_L: type = .q5_K
    case .iq4_NL, .iq4_XS: if sharesHeads { type = .q5_K }
    case .q4_K_M, .q5_K_M: if Self.getsMoreBits(seenValueTensors, of: valueTensors) { type = .q6_K }
    case .q4_K_S: if seenValueTensors < 4 { type = .q5_K }
    default: break
    }
    return isLargeWithSharedHeads && (type == .q3_K || type == .q4_K) ? .q5_K : type
  }

  /// The models with 70 billion parameters have small value matrices, which more bits make hardly larger.
  private var isLargeWithSharedHeads: Bool {
    guard model.layers == 80 else { return false }
    return model.architecture == "qwen2" || (model.architecture == "llama" && model.headsPerKeyValueHead > 1)
  }

  private mutating func downType(_ name: String) -> TensorType {
    defer { seenDownTensors += 1 }
    let layers = model.layers
    let layer = model.experts > 1 ? Self.layer(of: name) : seenDownTensors
    let isEarly = layer < layers / 8
    switch scheme {
    case .q2_K: return .q3_K
    case .q3_K_M: return layer < layers / 16 ? .q5_K : .q4_K
    case .q3_K_L: return .q5_K
    case .q4_K_M, .q5_K_M: return Self.getsMoreBits(layer, of: layers) ? .q6_K : scheme.tensorType
    case .iq4_NL, .iq4_XS, .q4_K_S: return isEarly ? .q5_K : scheme.tensorType
    default: return scheme.tensorType
    }
  }

  private func attentionOutputType() -> TensorType {
    if model.experts == 8 {
      switch scheme {
      case .q2_K, .q3_K_S, .q3_K_M, .iq4_NL, .q4_K_S, .q4_K_M, .iq4_XS: return .q5_K
      default: return scheme.tensorType
      }
    }
    switch scheme {
    case .q2_K: return .q3_K
    case .q3_K_M: return .q4_K
    case .q3_K_L: return .q5_K
    default: return scheme.tensorType
    }
  }

  /// The first and the last eighth of the layers, and every third between them.
  private static func getsMoreBits(_ layer: Int, of layers: Int) -> Bool {
    layer < layers / 8 || layer >= 7 * layers / 8 || (layer - layers / 8) % 3 == 2
  }

  /// The type of similar size for rows that don't fill whole blocks of the type that was chosen.
  private static func fallback(for type: TensorType, columns: Int) -> TensorType {
    guard columns % type.valuesPerBlock != 0 else { return type }
    let smaller: TensorType =
      switch type {
      case .iq4_XS: .iq4_NL
      case .q2_K, .q3_K: .q4_0
      case .q4_K: .q5_0
      case .q5_K: .q5_1
      case .q6_K: .q8_0
      default: type
      }
    return columns % smaller.valuesPerBlock == 0 ? smaller : .f16
  }
}
