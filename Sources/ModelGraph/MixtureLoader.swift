import SalanganeFiles
import SalanganeTensors

extension DecoderLoader {
  /// The mixture of experts of a layer.
  ///
  /// - Throws: `ModelFileError` for tensors that are missing or not as expected.
  func mixture(_ layer: Int) throws(ModelFileError) -> MixtureOfExperts {
    guard let mixture = configuration.mixture else { preconditionFailure("the layer isn't dense") }
    let size = mixture.innerSize
    let bias: [Float]? =
      mixture.hasBias
      ? try loader.values(
        names(.routerBias, checkpoint.format == .gguf ? "bias" : "e_score_correction_bias", layer),
        count: mixture.experts) : nil
    return MixtureOfExperts(
      router: mixture.router(bias: bias),
      // Where tokens go is decided in floats.
      routerWeights: try loader.linear(
        [part(.router, layer, mixture.experts)], inputs: hidden, precision: .float),
      gateUp: try loader.bank(gateUpRows(layer, mixture), inputs: hidden),
      down: try loader.bank(
        try expertRows(.expertDown, layer, mixture.experts, rows: hidden, columns: size).map { [$0] },
        inputs: size),
      shared: try sharedExpert(layer, mixture), sharedGate: try sharedScale(layer, mixture))
  }

  /// The shared expert; nil if there is none.
  private func sharedExpert(
    _ layer: Int, _ mixture: MixtureConfiguration
  ) throws(ModelFileError) -> FeedForward? {
    let size = mixture.sharedInnerSize
    guard size > 0 else { return nil }
    let gateUp = [part(.sharedGate, layer, size), part(.sharedUp, layer, size)]
    return FeedForward(
      gateUp: try loader.linear(gateUp, inputs: hidden),
      down: try loader.linear([part(.sharedDown, layer, hidden)], inputs: size))
  }

  /// What scales the shared expert: a matrix of one row, or in GGUF a vector.
  private func sharedScale(
    _ layer: Int, _ mixture: MixtureConfiguration
  ) throws(ModelFileError) -> FloatBuffer? {
    guard mixture.sharedInnerSize > 0, mixture.gatesShared else { return nil }
    let names = names(.sharedScale, "weight", layer)
    let isVector = names.contains { checkpoint[$0]?.shape.count == 1 }
    let values = try loader.values(of: loader.tensor(names, shape: isVector ? [hidden] : [1, hidden]))
    let buffer = FloatBuffer(count: hidden)
    buffer.base.update(from: values, count: hidden)
    return buffer
  }

  /// The rows of each expert's gate, then of its up projection.
  private func gateUpRows(
    _ layer: Int, _ mixture: MixtureConfiguration
  ) throws(ModelFileError) -> [[RowSource]] {
    let size = mixture.innerSize
    let fused = names.stackedNames(.expertGateUp, layer, in: checkpoint.format)
    if fused.contains(where: { checkpoint[$0] != nil }) {
      return try expertRows(.expertGateUp, layer, mixture.experts, rows: 2 * size, columns: hidden).map {
        [$0]
      }
    }
    let gates = try expertRows(.expertGate, layer, mixture.experts, rows: size, columns: hidden)
    let ups = try expertRows(.expertUp, layer, mixture.experts, rows: size, columns: hidden)
    return zip(gates, ups).map { [$0, $1] }
  }

  /// The rows of one matrix of every expert, out of one tensor or of many.
  private func expertRows(
    _ module: DecoderModule, _ layer: Int, _ experts: Int, rows: Int, columns: Int
  ) throws(ModelFileError) -> [RowSource] {
    let stacked = names.stackedNames(module, layer, in: checkpoint.format)
    let isStacked = stacked.contains { checkpoint[$0] != nil }
    let whole = isStacked ? try loader.tensor(stacked, shape: [experts, rows, columns]) : nil
    var sources: [RowSource] = []
    for expert in 0..<experts {
      if let whole {
        sources.append(try RowSource(whole, slice: expert, rows: rows, checkpoint: checkpoint))
      } else {
        let tensor = try loader.tensor(
          names.names(module, expert: expert, layer, in: checkpoint.format), shape: [rows, columns])
        sources.append(try RowSource(tensor, rows: rows, checkpoint: checkpoint))
      }
    }
    return sources
  }
}
