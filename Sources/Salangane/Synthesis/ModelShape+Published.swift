extension ModelShape {
  /// All shapes, in the order in which they are listed to people.
  package static let all: [ModelShape] = [
    qwen3("qwen3-0.6b", layers: 28, hidden: 1024, feedForward: 3072, heads: 16),
    qwen3("qwen3-1.7b", layers: 28, hidden: 2048, feedForward: 6144, heads: 16),
    qwen3("qwen3-4b", layers: 36, hidden: 2560, feedForward: 9728, heads: 32),
    ModelShape(
      "qwen3-30b-a3b", architecture: "qwen3moe", layerCount: 48, hiddenSize: 2048, feedForwardSize: 6144,
      attention: .grouped(heads: 32, keyValueHeads: 4, headDimension: 128, normalizes: true),
      experts: Experts(count: 128, usedCount: 8, feedForwardSize: 768, normalizesWeights: true),
      contextLength: 40960, rotaryBase: 1e6, normEpsilon: 1e-6, vocabulary: qwenVocabulary),
    ModelShape(
      "glm-4.7-flash", architecture: "deepseek2", layerCount: 47, hiddenSize: 2048, feedForwardSize: 10240,
      attention: .latent(
        heads: 20, queryRank: 768, keyValueRank: 512, plainDimension: 192, rotaryDimension: 64,
        valueDimension: 256, yarn: nil),
      experts: Experts(
        count: 64, usedCount: 4, feedForwardSize: 1536, sharedCount: 1, leadingDenseLayers: 1,
        isSigmoid: true, normalizesWeights: true, weightScale: 1.8),
      contextLength: 202752, rotaryBase: 1e6, normEpsilon: 1e-5, vocabulary: glmVocabulary),
    ModelShape(
      "deepseek-v2-lite", architecture: "deepseek2", layerCount: 27, hiddenSize: 2048,
      feedForwardSize: 10944,
      attention: .latent(
        heads: 16, queryRank: 0, keyValueRank: 512, plainDimension: 128, rotaryDimension: 64,
        valueDimension: 128, yarn: Yarn(factor: 40, originalContextLength: 4096, magnitudeScale: 0.707)),
      experts: Experts(
        count: 64, usedCount: 6, feedForwardSize: 1408, sharedCount: 2, leadingDenseLayers: 1),
      contextLength: 163840, rotaryBase: 10000, normEpsilon: 1e-6, vocabulary: deepSeekVocabulary),
    ModelShape(
      "llama-3-8b", architecture: "llama", layerCount: 32, hiddenSize: 4096, feedForwardSize: 14336,
      attention: .grouped(heads: 32, keyValueHeads: 8, headDimension: 128, normalizes: false),
      contextLength: 8192, rotaryBase: 500_000, normEpsilon: 1e-5, vocabulary: llamaVocabulary),
  ]

  /// The smaller models of Qwen3, whose embedding matrix is also the output matrix.
  private static func qwen3(
    _ name: String, layers: Int, hidden: Int, feedForward: Int, heads: Int
  ) -> ModelShape {
    ModelShape(
      name, architecture: "qwen3", layerCount: layers, hiddenSize: hidden, feedForwardSize: feedForward,
      attention: .grouped(heads: heads, keyValueHeads: 8, headDimension: 128, normalizes: true),
      contextLength: 40960, rotaryBase: 1e6, normEpsilon: 1e-6, tiesEmbeddings: true,
      vocabulary: qwenVocabulary)
  }

  private static let qwenVocabulary = Vocabulary(
    size: 151_936, preTokenizer: "qwen2", firstControlToken: 151_643,
    controlTokens: ["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
    beginningOfSequence: "<|endoftext|>", endOfSequence: "<|im_end|>")

  private static let glmVocabulary = Vocabulary(
    size: 154_880, preTokenizer: "glm4", firstControlToken: 154_820,
    controlTokens: [
      "<|endoftext|>", "[MASK]", "[gMASK]", "[sMASK]", "<sop>", "<eop>", "<|system|>", "<|user|>",
      "<|assistant|>", "<|observation|>",
    ],
    beginningOfSequence: "[gMASK]", endOfSequence: "<|endoftext|>", endOfTurn: "<|user|>")

  private static let deepSeekVocabulary = Vocabulary(
    size: 102_400, preTokenizer: "deepseek-llm", firstControlToken: 100_000,
    controlTokens: ["<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"],
    beginningOfSequence: "<｜begin▁of▁sentence｜>", endOfSequence: "<｜end▁of▁sentence｜>",
    addsBeginning: true)

  private static let llamaVocabulary = Vocabulary(
    size: 128_256, preTokenizer: "llama-bpe", firstControlToken: 128_000,
    controlTokens: ["<|begin_of_text|>", "<|end_of_text|>"],
    beginningOfSequence: "<|begin_of_text|>", endOfSequence: "<|end_of_text|>", addsBeginning: true)
}
