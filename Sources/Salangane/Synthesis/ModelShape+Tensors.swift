import SalanganeFiles

/// A tensor of a synthetic model: what it is called, its size, and what is in it.
struct SyntheticTensor: Sendable {
  /// What a tensor holds.
  enum Content: Sendable {
    /// A matrix whose products keep the scale of their inputs: a normal distribution around 0 with the
    /// deviation `1 / sqrt(inputs)`.
    case weights(inputs: Int)
    /// Factors around 1, stored as float32.
    case norm
    /// Small numbers around 0, stored as float32.
    case bias
  }

  /// The name in GGUF.
  let name: String
  /// The sizes of the dimensions, outermost first.
  let shape: [Int]
  /// What is in it.
  let content: Content
}

extension ModelShape {
  /// All tensors, in the order of the file: names and sizes as llama.cpp's converter writes them.
  var tensors: [SyntheticTensor] {
    var list = TensorList()
    list.matrix("token_embd.weight", [vocabulary.size, hiddenSize])
    for layer in 0..<layerCount {
      list.prefix = "blk.\(layer)."
      list.norm("attn_norm.weight", hiddenSize)
      appendAttention(to: &list)
      list.norm("ffn_norm.weight", hiddenSize)
      if let experts, layer >= experts.leadingDenseLayers {
        append(experts, to: &list)
      } else {
        list.matrix("ffn_gate.weight", [feedForwardSize, hiddenSize])
        list.matrix("ffn_up.weight", [feedForwardSize, hiddenSize])
        list.matrix("ffn_down.weight", [hiddenSize, feedForwardSize])
      }
    }
    list.prefix = ""
    list.norm("output_norm.weight", hiddenSize)
    if !tiesEmbeddings { list.matrix("output.weight", [vocabulary.size, hiddenSize]) }
    return list.tensors
  }

  private func appendAttention(to list: inout TensorList) {
    switch attention {
    case .grouped(let heads, let keyValueHeads, let headDimension, let normalizes):
      list.matrix("attn_q.weight", [heads * headDimension, hiddenSize])
      list.matrix("attn_k.weight", [keyValueHeads * headDimension, hiddenSize])
      list.matrix("attn_v.weight", [keyValueHeads * headDimension, hiddenSize])
      list.matrix("attn_output.weight", [hiddenSize, heads * headDimension])
      if normalizes {
        list.norm("attn_q_norm.weight", headDimension)
        list.norm("attn_k_norm.weight", headDimension)
      }
    case .latent(let heads, let queryRank, let keyValueRank, let plain, let rotary, let value, _):
      if queryRank > 0 {
        list.matrix("attn_q_a.weight", [queryRank, hiddenSize])
        list.norm("attn_q_a_norm.weight", queryRank)
        list.matrix("attn_q_b.weight", [heads * (plain + rotary), queryRank])
      } else {
        list.matrix("attn_q.weight", [heads * (plain + rotary), hiddenSize])
      }
      list.matrix("attn_kv_a_mqa.weight", [keyValueRank + rotary, hiddenSize])
      list.norm("attn_kv_a_norm.weight", keyValueRank)
      // The keys' matrix is stored transposed, so its rows aren't what it sums over in the plain form.
      list.matrix("attn_k_b.weight", [heads, keyValueRank, plain], inputs: keyValueRank)
      list.matrix("attn_v_b.weight", [heads, value, keyValueRank])
      list.matrix("attn_output.weight", [hiddenSize, heads * value])
    }
  }

  private func append(_ experts: Experts, to list: inout TensorList) {
    let width = experts.feedForwardSize
    list.matrix("ffn_gate_inp.weight", [experts.count, hiddenSize])
    if experts.isSigmoid { list.add("exp_probs_b.bias", [experts.count], .bias) }
    list.matrix("ffn_gate_exps.weight", [experts.count, width, hiddenSize])
    list.matrix("ffn_up_exps.weight", [experts.count, width, hiddenSize])
    list.matrix("ffn_down_exps.weight", [experts.count, hiddenSize, width])
    guard experts.sharedCount > 0 else { return }
    let sharedWidth = width * experts.sharedCount
    list.matrix("ffn_gate_shexp.weight", [sharedWidth, hiddenSize])
    list.matrix("ffn_up_shexp.weight", [sharedWidth, hiddenSize])
    list.matrix("ffn_down_shexp.weight", [hiddenSize, sharedWidth])
  }
}

extension ModelShape {
  /// The type of every tensor: what llama.cpp's quantiser gives it.
  func types(_ scheme: QuantizationScheme) -> [TensorType] {
    let tensors = tensors
    let (heads, keyValueHeads) =
      switch attention {
      case .grouped(let heads, let keyValueHeads, _, _): (heads, keyValueHeads)
      // The latent counts as one head.
      case .latent(let heads, _, _, _, _, _, _): (heads, 1)
      }
    let facts = TensorTypeChooser.Model(
      architecture: architecture, layers: layerCount, experts: experts?.count ?? 0,
      headsPerKeyValueHead: heads / keyValueHeads)
    let choices = TensorTypeChooser.types(scheme, model: facts, tensors: tensors.map { ($0.name, $0.shape) })
    return choices.map { $0 ?? .f32 }
  }
}

/// Collects tensors.
private struct TensorList {
  var tensors: [SyntheticTensor] = []
  /// What the names of the tensors to come begin with.
  var prefix = ""

  mutating func add(_ name: String, _ shape: [Int], _ content: SyntheticTensor.Content) {
    tensors.append(SyntheticTensor(name: prefix + name, shape: shape, content: content))
  }

  /// A matrix `[..., outputs, inputs]`.
  mutating func matrix(_ name: String, _ shape: [Int], inputs: Int? = nil) {
    add(name, shape, .weights(inputs: inputs ?? shape[shape.count - 1]))
  }

  mutating func norm(_ name: String, _ count: Int) { add(name, [count], .norm) }
}
