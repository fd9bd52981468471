import SalanganeFiles
import SalanganeModelGraph

extension ModelConverter {
  /// Converts an encoder of BERT's shape, with the head of a cross-encoder if it has one.
  ///
  /// - Returns: The metadata and tensors.
  /// - Throws: `ModelFileError` for a model that isn't what its architecture expects, or that GGUF can't hold.
  static func bert(
    _ checkpoint: Checkpoint, _ directory: ModelDirectory
  ) throws(ModelFileError) -> ModelConverter {
    let configuration = try BERT.Configuration(checkpoint)
    var converter = ModelConverter(checkpoint, directory, architecture: "bert")
    converter.set("block_count", configuration.layers)
    converter.set("context_length", configuration.maximumLength)
    converter.set("embedding_length", configuration.hiddenSize)
    converter.set("feed_forward_length", configuration.intermediateSize)
    converter.set("attention.head_count", configuration.heads)
    converter.set("attention.layer_norm_epsilon", Double(configuration.layerNormEpsilon))
    converter.set("attention.causal", .bool(false))
    converter.set(key: "tokenizer.ggml.token_type_count", .uint32(UInt32(configuration.tokenTypes)))
    try converter.addTensors(configuration)
    if checkpoint["classifier.weight"] == nil {
      try converter.setPooling()
    } else {
      try converter.addScoreHead(hidden: configuration.hiddenSize)
    }
    try converter.setTokenizer(size: configuration.vocabularySize)
    converter.ignore { name in
      // Heads for other tasks, which embedders don't run.
      name.contains("pooler.dense.") || name.hasPrefix("cls.predictions.")
        || name.hasPrefix("cls.seq_relationship.") || name.hasSuffix("embeddings.position_ids")
    }
    try converter.checkCompleteness()
    return converter
  }

  private mutating func addTensors(_ configuration: BERT.Configuration) throws(ModelFileError) {
    let names = BERTNames(isGGUF: false)
    let hidden = configuration.hiddenSize
    let inner = configuration.intermediateSize
    for (module, rows) in [
      ("token_embd", configuration.vocabularySize), ("position_embd", configuration.maximumLength),
      ("token_types", configuration.tokenTypes),
    ] {
      try add("\(module).weight", from: names.tensor(module, "weight"), shape: [rows, hidden])
    }
    try addNorm("token_embd_norm", names, nil, hidden: hidden)
    for layer in 0..<configuration.layers {
      for (module, rows, columns) in [
        ("attn_q", hidden, hidden), ("attn_k", hidden, hidden), ("attn_v", hidden, hidden),
        ("attn_output", hidden, hidden), ("ffn_up", inner, hidden), ("ffn_down", hidden, inner),
      ] {
        let target = "blk.\(layer).\(module)"
        try add("\(target).weight", from: names.tensor(module, "weight", layer), shape: [rows, columns])
        try add("\(target).bias", from: names.tensor(module, "bias", layer), shape: [rows])
      }
      for module in ["attn_output_norm", "layer_output_norm"] {
        try addNorm(module, names, layer, hidden: hidden)
      }
    }
  }

  private mutating func addNorm(
    _ module: String, _ names: BERTNames, _ layer: Int?, hidden: Int
  ) throws(ModelFileError) {
    let target = (layer.map { "blk.\($0)." } ?? "") + module
    try add("\(target).weight", from: names.normWeight(module, layer), shape: [hidden])
    try add("\(target).bias", from: names.normBias(module, layer), shape: [hidden])
  }

  /// Adds the pooler and the score of a cross-encoder, whose pooling llama.cpp calls rank.
  private mutating func addScoreHead(hidden: Int) throws(ModelFileError) {
    set("pooling_type", 4)
    let poolers = ["bert.pooler.dense", "pooler.dense"]
    try add("cls.weight", from: poolers.map { "\($0).weight" }, shape: [hidden, hidden])
    try add("cls.bias", from: poolers.map { "\($0).bias" }, shape: [hidden])
    try add("cls.output.weight", from: ["classifier.weight"], shape: [1, hidden])
    try add("cls.output.bias", from: ["classifier.bias"], shape: [1])
  }
}
