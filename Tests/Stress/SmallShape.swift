import Salangane

/// Small shapes of every kind, which are quick to write and to run.
package enum SmallShape {
  package static let vocabulary = ModelShape.Vocabulary(
    size: 300, preTokenizer: "qwen2", firstControlToken: 290, controlTokens: ["<|start|>", "<|end|>"],
    beginningOfSequence: "<|start|>", endOfSequence: "<|end|>")

  package static let dense = ModelShape(
    "dense", architecture: "qwen3", layerCount: 1, hiddenSize: 512, feedForwardSize: 256,
    attention: .grouped(heads: 2, keyValueHeads: 1, headDimension: 64, normalizes: true),
    contextLength: 256, rotaryBase: 1e6, normEpsilon: 1e-6, tiesEmbeddings: true, vocabulary: vocabulary)

  package static let plain = ModelShape(
    "plain", architecture: "llama", layerCount: 2, hiddenSize: 128, feedForwardSize: 192,
    attention: .grouped(heads: 2, keyValueHeads: 1, headDimension: 64, normalizes: false),
    contextLength: 256, rotaryBase: 1e6, normEpsilon: 1e-6, vocabulary: vocabulary)

  package static let experts = ModelShape(
    "experts", architecture: "qwen3moe", layerCount: 2, hiddenSize: 128, feedForwardSize: 192,
    attention: .grouped(heads: 2, keyValueHeads: 1, headDimension: 64, normalizes: true),
    experts: .init(count: 8, usedCount: 2, feedForwardSize: 96, normalizesWeights: true),
    contextLength: 256, rotaryBase: 1e6, normEpsilon: 1e-6, vocabulary: vocabulary)

  package static let latent = ModelShape(
    "latent", architecture: "deepseek2", layerCount: 3, hiddenSize: 128, feedForwardSize: 192,
    attention: .latent(
      heads: 2, queryRank: 64, keyValueRank: 64, plainDimension: 32, rotaryDimension: 32,
      valueDimension: 64, yarn: .init(factor: 4, originalContextLength: 64, magnitudeScale: 1)),
    experts: .init(
      count: 8, usedCount: 2, feedForwardSize: 96, sharedCount: 1, leadingDenseLayers: 1, isSigmoid: true,
      normalizesWeights: true, weightScale: 1.5),
    contextLength: 256, rotaryBase: 1e4, normEpsilon: 1e-6, vocabulary: vocabulary)
}
