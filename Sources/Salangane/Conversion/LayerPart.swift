import SalanganeModelGraph

/// What a module of a decoder's layer looks like, where GGUF has it as safetensors do.
struct LayerPart {
  /// The shape of its weight.
  let shape: [Int]
  /// Whether it has a bias.
  var hasBias = false
  /// Where the row of each feature of queries and keys comes from, if neighbours are to be rotated.
  var rotaryOrder: (@Sendable (Int) -> Int)?

  private init(_ shape: [Int], hasBias: Bool = false) {
    self.shape = shape
    self.hasBias = hasBias
  }

  /// Describes a module; nil for one that isn't part of this layer.
  init?(_ module: DecoderModule, _ configuration: DecoderConfiguration, layer: Int) {
    let hidden = configuration.hiddenSize
    switch module {
    case .attentionNorm, .feedForwardNorm:
      self.init([hidden])
    case .postAttentionNorm, .postFeedForwardNorm:
      guard configuration.hasSandwichNorms else { return nil }
      self.init([hidden])
    case .attentionOutput:
      let attention = configuration.attention
      let inputs = configuration.latent.map { $0.heads * $0.valueDimension }
      self.init(
        [hidden, inputs ?? attention.heads * attention.headDimension],
        hasBias: configuration.biases.attentionOutput)
    case .query where configuration.latent != nil,
      .queryDown, .queryDownNorm, .queryUp, .keyValueDown, .keyValueDownNorm:
      self.init(latent: module, configuration)
    case .query, .key, .value, .queryKeyValue, .queryNorm, .keyNorm:
      guard configuration.latent == nil else { return nil }
      self.init(attention: module, configuration)
    case .gate, .up, .gateUp, .down:
      guard configuration.mixture?.isSparse[layer] != true else { return nil }
      let inner = configuration.feedForwardSize
      self.init(
        module == .down ? [hidden, inner] : [module == .gateUp ? 2 * inner : inner, hidden],
        hasBias: configuration.biases.feedForward)
    case .sharedGate, .sharedUp, .sharedDown, .sharedScale, .router:
      guard let mixture = configuration.mixture, mixture.isSparse[layer] else { return nil }
      self.init(mixture: module, mixture, hidden: hidden)
    // These have names or shapes of their own.
    case .keyUp, .valueUp, .keyValueUp, .routerBias, .expertGate, .expertUp, .expertGateUp, .expertDown:
      return nil
    case .tokenEmbeddings, .outputNorm, .output:
      return nil
    }
  }

  /// A module of attention with keys and values of its own.
  private init?(attention module: DecoderModule, _ configuration: DecoderConfiguration) {
    let attention = configuration.attention
    let head = attention.headDimension
    let queries = attention.heads * head
    let keys = attention.keyValueHeads * head
    switch module {
    case .queryNorm, .keyNorm:
      guard configuration.normalizesHeads else { return nil }
      shape = [head]
      return
    case .query: shape = [queries, configuration.hiddenSize]
    case .queryKeyValue: shape = [attention.features, configuration.hiddenSize]
    default: shape = [keys, configuration.hiddenSize]
    }
    hasBias = configuration.biases.queryKeyValue
    guard module != .value else { return }
    rotaryOrder = Self.rotaryOrder(rows: queries + keys, head: head, rotated: 0..<head)
  }

  /// In each head, features half of the rotated part apart become neighbours.
  private static func rotaryOrder(
    rows: Int, head: Int, rotated: Range<Int>
  ) -> @Sendable (Int) -> Int {
    { row in
      let feature = row % head
      guard row < rows, rotated.contains(feature) else { return row }
      let (pair, second) = (feature - rotated.lowerBound).quotientAndRemainder(dividingBy: 2)
      return row - feature + rotated.lowerBound + pair + second * (rotated.count / 2)
    }
  }

  /// A module of attention over latents.
  private init?(latent module: DecoderModule, _ configuration: DecoderConfiguration) {
    guard let latent = configuration.latent else { return nil }
    let hidden = configuration.hiddenSize
    let queries = latent.heads * latent.queryDimension
    switch (module, latent.queryRank) {
    case (.query, nil): shape = [queries, hidden]
    case (.queryDown, let rank?): shape = [rank, hidden]
    case (.queryDownNorm, let rank?): shape = [rank]
    case (.queryUp, let rank?): shape = [queries, rank]
    case (.keyValueDown, _): shape = [latent.latentDimension, hidden]
    case (.keyValueDownNorm, _): shape = [latent.rank]
    default: return nil
    }
    if module == .query || module == .queryUp {
      rotaryOrder = Self.rotaryOrder(
        rows: queries, head: latent.queryDimension, rotated: latent.ownDimension..<latent.queryDimension)
    } else if module == .keyValueDown {
      rotaryOrder = Self.rotaryOrder(
        rows: latent.latentDimension, head: latent.latentDimension,
        rotated: latent.rank..<latent.latentDimension)
    }
  }

  /// A module of a mixture of experts that all experts share.
  private init?(mixture module: DecoderModule, _ mixture: MixtureConfiguration, hidden: Int) {
    let size = mixture.sharedInnerSize
    switch module {
    case .router: shape = [mixture.experts, hidden]
    case .sharedGate where size > 0, .sharedUp where size > 0: shape = [size, hidden]
    case .sharedDown where size > 0: shape = [hidden, size]
    case .sharedScale where size > 0 && mixture.gatesShared: shape = [1, hidden]
    default: return nil
    }
  }
}
