import SalanganeFiles

/// Builds a decoder out of a checkpoint's tensors.
package struct DecoderLoader {
  /// Reads and packs tensors.
  package let loader: WeightLoader
  /// The hyper-parameters.
  package let configuration: DecoderConfiguration
  /// What the tensors are called.
  package let names: DecoderTensorNames

  /// Creates a loader.
  package init(_ loader: WeightLoader, _ configuration: DecoderConfiguration, _ names: DecoderTensorNames) {
    self.loader = loader
    self.configuration = configuration
    self.names = names
  }

  var checkpoint: Checkpoint { loader.checkpoint }
  var hidden: Int { configuration.hiddenSize }

  /// The names that a tensor may have.
  package func names(_ module: DecoderModule, _ kind: String = "weight", _ layer: Int? = nil) -> [String] {
    names.names(module, kind, layer, in: checkpoint.format)
  }

  /// Whether the checkpoint has a tensor.
  package func contains(_ module: DecoderModule, _ kind: String = "weight", _ layer: Int? = nil) -> Bool {
    names(module, kind, layer).contains { checkpoint[$0] != nil }
  }

  /// Loads the whole model.
  ///
  /// - Parameter loadsHead: Whether logits will be asked for; embedders may come without an output matrix.
  /// - Throws: `ModelFileError` for tensors that are missing or not as expected; `CancellationError`.
  package func decoder(loadsHead: Bool) throws -> Decoder {
    let table = try loader.matrix(
      names(.tokenEmbeddings), rows: configuration.vocabularySize, columns: hidden)
    let outputNorm = try norm(.outputNorm, nil, hidden)
    var blocks: [DecoderBlock] = []
    for layer in 0..<configuration.layers {
      blocks.append(try block(layer))
      try loader.finishedLayer(layer, of: configuration.layers)
    }
    let output: DecoderModule = configuration.tiesEmbeddings ? .tokenEmbeddings : .output
    let head = LinearPart(
      weight: names(output), biases: [], outputs: configuration.vocabularySize, mayHaveMoreRows: true)
    return Decoder(
      configuration: configuration, tokenEmbeddings: try EmbeddingTable(table), blocks: blocks,
      outputNorm: outputNorm, head: loadsHead ? try loader.linear([head], inputs: hidden) : nil)
  }

  /// One block.
  package func block(_ layer: Int) throws(ModelFileError) -> DecoderBlock {
    DecoderBlock(
      attentionNorm: try norm(.attentionNorm, layer, hidden),
      attention: configuration.latent == nil
        ? .grouped(try attention(layer)) : .latent(try latentAttention(layer)),
      postAttentionNorm: configuration.hasSandwichNorms
        ? try norm(.postAttentionNorm, layer, hidden) : nil,
      feedForwardNorm: try norm(.feedForwardNorm, layer, hidden),
      feedForward: configuration.mixture?.isSparse[layer] == true
        ? .mixture(try mixture(layer)) : .dense(try feedForward(layer)),
      postFeedForwardNorm: configuration.hasSandwichNorms
        ? try norm(.postFeedForwardNorm, layer, hidden) : nil)
  }

  /// A norm over `features` features.
  package func norm(
    _ module: DecoderModule, _ layer: Int?, _ features: Int
  ) throws(ModelFileError) -> RMSNorm {
    RMSNorm(
      weight: try loader.values(names(module, "weight", layer), count: features),
      epsilon: configuration.normEpsilon)
  }

  /// The attention of a layer, from separate or fused projections.
  package func attention(_ layer: Int) throws(ModelFileError) -> Attention {
    let shape = configuration.attention
    let dimension = shape.headDimension
    let features = [
      (DecoderModule.query, shape.heads * dimension), (.key, shape.keyValueHeads * dimension),
      (.value, shape.keyValueHeads * dimension),
    ]
    let hasBias = configuration.biases.queryKeyValue
    let parts: [LinearPart]
    if contains(.queryKeyValue, "weight", layer) {
      // A fused weight may have three biases.
      let biases =
        contains(.query, "bias", layer)
        ? features.map { (names: names($0.0, "bias", layer), count: $0.1) }
        : [(names: names(.queryKeyValue, "bias", layer), count: shape.features)]
      parts = [
        LinearPart(
          weight: names(.queryKeyValue, "weight", layer), biases: hasBias ? biases : [],
          outputs: shape.features, order: order(heads: shape.heads + shape.keyValueHeads))
      ]
    } else {
      parts = features.map { module, count in
        LinearPart(
          weight: names(module, "weight", layer),
          biases: hasBias ? [(names: names(module, "bias", layer), count: count)] : [], outputs: count,
          order: module == .value ? .stored : order(heads: count / dimension))
      }
    }
    return Attention(
      queryKeyValue: try loader.linear(parts, inputs: hidden),
      output: try loader.linear(
        [part(.attentionOutput, layer, hidden, hasBias: configuration.biases.attentionOutput)],
        inputs: shape.queryFeatures),
      queryNorm: configuration.normalizesHeads ? try headNorm(.queryNorm, layer) : nil,
      keyNorm: configuration.normalizesHeads ? try headNorm(.keyNorm, layer) : nil,
      shape: shape, scale: 1 / Float(dimension).squareRoot(), window: configuration.windows[layer])
  }

  private func order(heads: Int) -> RowOrder {
    switch configuration.rotaryPairing {
    case .halves: .stored
    case .neighbours:
      .rotaryNeighbours(
        heads: heads, headDimension: configuration.attention.headDimension,
        rotaryDimension: configuration.rotary.dimension)
    }
  }

  /// The norm of heads, its features in the order of theirs.
  private func headNorm(_ module: DecoderModule, _ layer: Int) throws(ModelFileError) -> RMSNorm {
    let dimension = configuration.attention.headDimension
    let weight = try loader.values(names(module, "weight", layer), count: dimension)
    let order = order(heads: 1)
    return RMSNorm(
      weight: weight.indices.map { weight[order.storedRow($0)] }, epsilon: configuration.normEpsilon)
  }

  /// The feed-forward network of a layer, from separate or fused projections.
  package func feedForward(_ layer: Int) throws(ModelFileError) -> FeedForward {
    let size = configuration.feedForwardSize
    let hasBias = configuration.biases.feedForward
    let parts: [LinearPart]
    let isFused = checkpoint.format == .safetensors && names.modules[.gate] == nil
    if isFused || contains(.gateUp, "weight", layer) {
      parts = [part(.gateUp, layer, 2 * size, hasBias: hasBias)]
    } else if checkpoint.format == .gguf, !contains(.gate, "weight", layer) {
      parts = [part(.up, layer, 2 * size, hasBias: hasBias)]
    } else {
      parts = [part(.gate, layer, size, hasBias: hasBias), part(.up, layer, size, hasBias: hasBias)]
    }
    return FeedForward(
      gateUp: try loader.linear(parts, inputs: hidden),
      down: try loader.linear([part(.down, layer, hidden, hasBias: hasBias)], inputs: size))
  }

  func part(
    _ module: DecoderModule, _ layer: Int, _ outputs: Int, hasBias: Bool = false
  ) -> LinearPart {
    LinearPart(
      weight: names(module, "weight", layer), bias: hasBias ? names(module, "bias", layer) : nil,
      outputs: outputs)
  }
}

extension DecoderConfiguration {
  /// In GGUF, where no key tells, products have the biases that are in the file.
  package mutating func readBiases(ofGGUF checkpoint: Checkpoint) {
    func contains(_ modules: DecoderModule...) -> Bool {
      modules.contains { checkpoint["blk.0.\($0.rawValue).bias"] != nil }
    }
    biases.queryKeyValue = contains(.query, .queryKeyValue)
    biases.attentionOutput = contains(.attentionOutput)
    biases.feedForward = contains(.down, .up)
  }
}
