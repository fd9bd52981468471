import SalanganeFiles
import SalanganeTensors

extension DecoderLoader {
  /// The attention over latents of a layer.
  ///
  /// - Throws: `ModelFileError` for tensors that are missing or not as expected.
  func latentAttention(_ layer: Int) throws(ModelFileError) -> LatentAttention {
    guard let latent = configuration.latent else { preconditionFailure("there are latents") }
    let hasBias = configuration.biases.queryKeyValue
    let queryFeatures = latent.heads * latent.queryDimension
    let queryOrder = order(
      heads: latent.heads, headDimension: latent.queryDimension, offset: latent.ownDimension)
    var query: (norm: RMSNorm, up: Linear)?
    var parts: [LinearPart] = []
    if let rank = latent.queryRank {
      parts.append(part(.queryDown, layer, rank, hasBias: hasBias))
      let up = LinearPart(
        weight: names(.queryUp, "weight", layer), biases: [], outputs: queryFeatures, order: queryOrder)
      query = (try latentNorm(.queryDownNorm, layer, rank), try loader.linear([up], inputs: rank))
    } else {
      parts.append(
        LinearPart(
          weight: names(.query, "weight", layer), biases: [], outputs: queryFeatures, order: queryOrder))
    }
    let width = latent.latentDimension
    parts.append(
      LinearPart(
        weight: names(.keyValueDown, "weight", layer),
        biases: hasBias ? [(names: names(.keyValueDown, "bias", layer), count: width)] : [], outputs: width,
        order: order(heads: 1, headDimension: width, offset: latent.rank)))
    let (keys, values) = try expansion(layer, latent)
    return LatentAttention(
      configuration: latent, down: try loader.linear(parts, inputs: hidden), query: query,
      latentNorm: try latentNorm(.keyValueDownNorm, layer, latent.rank), keyUp: keys, valueUp: values,
      output: try loader.linear(
        [part(.attentionOutput, layer, hidden, hasBias: configuration.biases.attentionOutput)],
        inputs: latent.heads * latent.valueDimension))
  }

  private func order(heads: Int, headDimension: Int, offset: Int) -> RowOrder {
    switch configuration.rotaryPairing {
    case .halves: .stored
    case .neighbours:
      .rotaryNeighbours(
        heads: heads, headDimension: headDimension, rotaryDimension: configuration.rotary.dimension,
        offset: offset)
    }
  }

  private func latentNorm(
    _ module: DecoderModule, _ layer: Int, _ features: Int
  ) throws(ModelFileError) -> RMSNorm {
    RMSNorm(
      weight: try loader.values(names(module, "weight", layer), count: features),
      epsilon: LatentConfiguration.normEpsilon)
  }

  /// The weights of keys, transposed, and those of values, out of one tensor or of two.
  private func expansion(
    _ layer: Int, _ latent: LatentConfiguration
  ) throws(ModelFileError) -> (keys: LinearBank, values: LinearBank) {
    let own = latent.ownDimension
    let rank = latent.rank
    let size = latent.valueDimension
    if checkpoint.format == .gguf, contains(.keyUp, "weight", layer) {
      let keys = try loader.tensor(names(.keyUp, "weight", layer), shape: [latent.heads, rank, own])
      let values = try loader.tensor(names(.valueUp, "weight", layer), shape: [latent.heads, size, rank])
      return (try headBank(keys), try headBank(values))
    }
    let whole = try loader.tensor(
      names(.keyValueUp, "weight", layer), shape: [latent.heads * (own + size), rank])
    let source = try RowSource(whole, rows: latent.heads * (own + size), checkpoint: checkpoint)
    let isMeasured = loader.tally != nil
    let transposed = FloatBuffer(count: isMeasured ? 0 : latent.heads * rank * own)
    let kernels = loader.context.kernels
    loader.context.parallel(tasks: isMeasured ? 0 : latent.heads, scratchCount: isMeasured ? 0 : own * rank) {
      head, _, scratch in
      for row in 0..<own { source.decode(head * (own + size) + row, into: scratch + row * rank) }
      // Transposed, whatever the number of rows.
      kernels.packRows(own, own, rank, scratch, rank, transposed.base + head * rank * own)
    }
    let keys = loader.bank(count: latent.heads, outputs: rank, inputs: own) { head, row, destination in
      destination.update(from: transposed.base + (head * rank + row) * own, count: own)
    }
    let values = loader.bank(count: latent.heads, outputs: size, inputs: rank) { head, row, destination in
      source.decode(head * (own + size) + own + row, into: destination)
    }
    return (keys, values)
  }

  /// A bank out of one tensor with a matrix for each head.
  private func headBank(_ tensor: StoredTensor) throws(ModelFileError) -> LinearBank {
    var members: [[RowSource]] = []
    for head in 0..<tensor.shape[0] {
      members.append([
        try RowSource(tensor, slice: head, rows: tensor.shape[1], checkpoint: checkpoint)
      ])
    }
    return try loader.bank(members, inputs: tensor.shape[2])
  }
}
