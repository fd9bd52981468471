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
  package enum Attention: Sendable {
    /// Heads of their own for queries, and for keys and values.
    case grouped(heads: Int, keyValueHeads: Int, headDimension: Int, normalizes: Bool)
    /// DeepSeek's latent attention (DeepSeek-V2, 2024): `queryRank` is 0 where queries aren't compressed.
    case latent(
      heads: Int, queryRank: Int, keyValueRank: Int, plainDimension: Int, rotaryDimension: Int,
      valueDimension: Int, yarn: Yarn?)
  }

  /// The stretching of rotary positions by YaRN (Peng et al., 2023).
  package struct Yarn: Sendable {
    let factor: Float
    let originalContextLength: Int
    /// `mscale_all_dim` of the published configuration.
    let magnitudeScale: Float

    /// Describes a stretching.
    package init(factor: Float, originalContextLength: Int, magnitudeScale: Float) {
      self.factor = factor
      self.originalContextLength = originalContextLength
      self.magnitudeScale = magnitudeScale
    }
  }

  /// Routed experts.
  package struct Experts: Sendable {
    /// How many there are in a layer.
    let count: Int
    /// How many of them a token uses.
    let usedCount: Int
    /// The inner width of each.
    let feedForwardSize: Int
    /// How many shared experts there are.
    let sharedCount: Int
    /// How many layers in front are dense.
    let leadingDenseLayers: Int
    /// Whether scores are sigmoids with a bias that corrects the choice, instead of a softmax.
    let isSigmoid: Bool
    /// Whether the weights of the experts used are divided by their sum.
    let normalizesWeights: Bool
    /// The factor on these weights.
    let weightScale: Float

    /// Describes experts; without more, they are those of every layer, chosen by a softmax.
    package init(
      count: Int, usedCount: Int, feedForwardSize: Int, sharedCount: Int = 0, leadingDenseLayers: Int = 0,
      isSigmoid: Bool = false, normalizesWeights: Bool = false, weightScale: Float = 1
    ) {
      self.count = count
      self.usedCount = usedCount
      self.feedForwardSize = feedForwardSize
      self.sharedCount = sharedCount
      self.leadingDenseLayers = leadingDenseLayers
      self.isSigmoid = isSigmoid
      self.normalizesWeights = normalizesWeights
      self.weightScale = weightScale
    }
  }

  /// A vocabulary without its texts.
  package struct Vocabulary: Sendable {
    /// How many tokens there are, which is also how many rows the embedding matrix has.
    let size: Int
    /// What GGUF files call the way in which texts are cut into pieces.
    let preTokenizer: String
    /// The id of the first control token, 256 at least.
    let firstControlToken: Int
    /// The texts of all control tokens, which follow each other.
    let controlTokens: [String]
    /// The control token before a text.
    let beginningOfSequence: String
    /// The control token behind a text.
    let endOfSequence: String
    /// The control token that ends a turn, where files name it.
    let endOfTurn: String?
    /// Whether a text gets the token before it.
    let addsBeginning: Bool

    /// Describes a vocabulary.
    package init(
      size: Int, preTokenizer: String, firstControlToken: Int, controlTokens: [String],
      beginningOfSequence: String, endOfSequence: String, endOfTurn: String? = nil,
      addsBeginning: Bool = false
    ) {
      precondition(firstControlToken >= 256 && firstControlToken + controlTokens.count <= size)
      precondition(controlTokens.contains(beginningOfSequence) && controlTokens.contains(endOfSequence))
      self.size = size
      self.preTokenizer = preTokenizer
      self.firstControlToken = firstControlToken
      self.controlTokens = controlTokens
      self.beginningOfSequence = beginningOfSequence
      self.endOfSequence = endOfSequence
      self.endOfTurn = endOfTurn
      self.addsBeginning = addsBeginning
    }
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

  /// Describes a shape: `all` has those of published models.
  package init(
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
