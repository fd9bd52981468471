import SalanganeFiles

/// Qwen3 (Yang et al., 2025), dense: also Qwen3-Embedding and Qwen3-Reranker, whose files leave out the
/// prefix `model.`.
///
/// Query and key heads are normalised before they are rotated; heads times their size needn't be the hidden
/// size.
package struct Qwen3: DecoderArchitecture {
  package static let names = ["qwen3"]

  package static func tensorNames(_ checkpoint: Checkpoint) -> DecoderTensorNames { .llama }

  package static func configuration(
    _ checkpoint: Checkpoint
  ) throws(ModelFileError) -> DecoderConfiguration {
    var configuration = try DecoderConfiguration(checkpoint)
    configuration.normalizesHeads = true
    if checkpoint.format == .gguf {
      configuration.readBiases(ofGGUF: checkpoint)
    } else {
      let hasBias = try checkpoint.hyperparameters.bool(HyperparameterKey("attention_bias"), default: false)
      configuration.biases = .init(queryKeyValue: hasBias, attentionOutput: hasBias)
      try configuration.readWindows(checkpoint.hyperparameters)
    }
    return configuration
  }
}

extension Qwen3 {
  /// Loads the rows of the output matrix by which Qwen3-Reranker answers yes or no, and no others of it.
  ///
  /// - Parameters:
  ///   - loader: Reads the checkpoint.
  ///   - yes: The token of a yes; in GGUF, whose `cls.output.weight` has just these rows, its row.
  ///   - no: The token of a no, or its row.
  /// - Throws: `ModelFileError` for a tensor that is missing or not as expected.
  package static func loadAnswerHead(
    _ loader: WeightLoader, yes: Int, no: Int
  ) throws(ModelFileError) -> AnswerHead {
    let checkpoint = loader.checkpoint
    let configuration = try configuration(checkpoint)
    let hidden = configuration.hiddenSize
    let stored: StoredTensor
    switch checkpoint.format {
    case .gguf: stored = try loader.tensor(["cls.output.weight"], shape: [2, hidden])
    case .safetensors:
      let module: DecoderModule = configuration.tiesEmbeddings ? .tokenEmbeddings : .output
      stored = try loader.matrix(
        tensorNames(checkpoint).names(module, "weight", nil, in: .safetensors),
        rows: configuration.vocabularySize,
        columns: hidden)
    }
    let table = try EmbeddingTable(stored)
    func row(_ index: Int) throws(ModelFileError) -> [Float] {
      guard index < table.rows else {
        throw ModelFileError(
          .malformed, file: stored.file.path, subject: stored.name,
          expectation: "expected a row for token \(index), found \(table.rows) rows")
      }
      let values = [Float](unsafeUninitializedCapacity: hidden) { buffer, count in
        count = hidden
        if let base = buffer.baseAddress { table.copyRow(index, to: base) }
      }
      guard values.allSatisfy(\.isFinite) else {
        throw ModelFileError(
          .malformed, file: stored.file.path, subject: stored.name, expectation: "expected finite values")
      }
      return values
    }
    return AnswerHead(yes: try row(yes), no: try row(no))
  }
}
