/// The sizes and hyper-parameters of a published decoder: all of it but the weights.
///
/// Sizes are those of the published `config.json` files. Layers for multi-token prediction are left out.
package struct ModelShape: Sendable {
  /// The name by which the shape is asked for: `qwen3-0.6b`.
  package let name: String
  /// The architecture's name in GGUF, as llama.cpp knows it.
  let architecture: String
  /// How many layers there are.
  package private(set) var layerCount: Int
  /// How many layers the published model has.
  package let publishedLayerCount: Int
  /// The width of the residual stream.
  let hiddenSize: Int
  /// The inner width of a dense feed-forward layer.
  let feedForwardSize: Int
  /// The kind of attention, and its sizes.
  let attention: Attention
  /// The routed experts, or nil if all layers are dense.
  let experts: Experts?
  /// The longest sequence that the model was made for, in tokens.
  let contextLength: Int
  /// The base of the rotary frequencies.
  let rotaryBase: Float
  /// The epsilon of RMS norms.
  let normEpsilon: Float
  /// Whether the output matrix is the embedding matrix.
  let tiesEmbeddings: Bool
  /// The size of the vocabulary, and its special tokens.
  let vocabulary: Vocabulary

  /// A kind of attention.
  enum Attention: Sendable {
    /// Heads of their own for queries, and for keys and values.
    case grouped(heads: Int, keyValueHeads: Int, headDimension: Int, normalizes: Bool)
    /// DeepSeek's latent attention (DeepSeek-V2, 2024): `queryRank` is 0 where queries aren't compressed.
    case latent(
      heads: Int, queryRank: Int, keyValueRank: Int, plainDimension: Int, rotaryDimension: Int,
      valueDimension: Int, yarn: Yarn?)
  }

  /// The stretching of rotary positions by YaRN (Peng et al., 2023).
  struct Yarn: Sendable {
    let factor: Float
    let originalContextLength: Int
    /// `mscale_all_dim` of the published configuration.
    let magnitudeScale: Float
  }

  /// Routed experts.
  struct Experts: Sendable {
    /// How many there are in a layer.
    let count: Int
    /// How many of them a token uses.
    let usedCount: Int
    /// The inner width of each.
    let feedForwardSize: Int
    /// How many shared experts there are.
    var sharedCount = 0
    /// How many layers in front are dense.
    var leadingDenseLayers = 0
    /// Whether scores are sigmoids with a bias that corrects the choice, instead of a softmax.
    var isSigmoid = false
    /// Whether the weights of the experts used are divided by their sum.
    var normalizesWeights = false
    /// The factor on these weights.
    var weightScale: Float = 1
  }

  /// A vocabulary without its texts.
  struct Vocabulary: Sendable {
    /// How many tokens there are, which is also how many rows the embedding matrix has.
    let size: Int
    /// What GGUF files call the way in which texts are cut into pieces.
    let preTokenizer: String
    /// The id of the first control token, and the texts of all that follow it.
    let firstControlToken: Int
    let controlTokens: [String]
    let beginningOfSequence: String
    let endOfSequence: String
    /// The token that ends a turn, where files name it.
    var endOfTurn: String?
    var addsBeginning = false
  }

  /// The shape with only the first layers.
  ///
  /// - Parameter count: At least one layer, and at least one with experts where the model has them; at most as
  ///   many as the published model.
  package func cut(toLayers count: Int) -> ModelShape {
    precondition(layerRange.contains(count), "checked by the caller")
    var shape = self
    shape.layerCount = count
    return shape
  }

  /// How many layers can be asked for.
  package var layerRange: ClosedRange<Int> {
    (experts?.leadingDenseLayers ?? 0) + 1...publishedLayerCount
  }

  /// The shape of that name, or nil if none has it.
  package static func named(_ name: String) -> ModelShape? { all.first { $0.name == name } }

  init(
    _ name: String, architecture: String, layerCount: Int, hiddenSize: Int, feedForwardSize: Int,
    attention: Attention, experts: Experts? = nil, contextLength: Int, rotaryBase: Float, normEpsilon: Float,
    tiesEmbeddings: Bool = false, vocabulary: Vocabulary
  ) {
    self.name = name
    self.architecture = architecture
    self.layerCount = layerCount
    publishedLayerCount = layerCount
    self.hiddenSize = hiddenSize
    self.feedForwardSize = feedForwardSize
    self.attention = attention
    self.experts = experts
    self.contextLength = contextLength
    self.rotaryBase = rotaryBase
    self.normEpsilon = normEpsilon
    self.tiesEmbeddings = tiesEmbeddings
    self.vocabulary = vocabulary
  }
}
