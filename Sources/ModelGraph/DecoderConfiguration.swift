import SalanganeFiles
import SalanganeTensors

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// Which features of a head are rotated together.
package enum RotaryPairing: Sendable {
  /// Feature `i` with feature `i + dimension / 2`.
  case halves
  /// Feature `2i` with feature `2i + 1`.
  case neighbours
}

/// The hyper-parameters of a decoder.
package struct DecoderConfiguration: Sendable {
  /// Which products of a block have a bias.
  package struct Biases: Sendable, Equatable {
    /// Queries, keys and values.
    package var queryKeyValue = false
    /// The attention's output.
    package var attentionOutput = false
    /// The feed-forward network.
    package var feedForward = false
  }

  /// Features of a hidden state.
  package var hiddenSize: Int
  /// Transformer blocks.
  package var layers: Int
  /// Heads of the attention.
  package var attention: AttentionShape
  /// The latents of the attention; nil if it has keys and values of its own.
  package var latent: LatentConfiguration?
  /// Features between the two products of a dense feed-forward network; 0 if no layer has one.
  package var feedForwardSize: Int
  /// The mixtures of experts; nil if all layers are dense.
  package private(set) var mixture: MixtureConfiguration?
  /// How many tokens there are; the embedding table may have more rows.
  package var vocabularySize: Int
  /// The most positions of a sequence.
  package var contextLength: Int
  /// The RMS norms' epsilon.
  package var normEpsilon: Float
  /// The rotary positions.
  package var rotary: RotaryEmbedding
  /// Which features the file's weights rotate together.
  package var rotaryPairing: RotaryPairing
  /// Which products have a bias.
  package var biases = Biases()
  /// Whether query and key heads are normalised.
  package var normalizesHeads = false
  /// Whether the results of attention and feed-forward network are normalised before they are added.
  package var hasSandwichNorms = false
  /// How many positions a token sees in each layer; nil for all.
  package var windows: [Int?]
  /// Whether the embedding table is the output matrix too.
  package var tiesEmbeddings: Bool

  /// What differs between families in the meaning of the keys.
  package struct Conventions: Sendable {
    /// The keys of the context length.
    package var contextLength = HyperparameterKey.contextLength
    /// The keys of the vocabulary's size.
    package var vocabularySize = HyperparameterKey.vocabularySize
    /// The keys of the norms' epsilon.
    package var normEpsilon = HyperparameterKey.rmsNormEpsilon
    /// The base of the rotary frequencies where the file doesn't say; nil if it must.
    package var rotaryBase: Double? = 10_000
    /// The share of a head that is rotated where the file doesn't say; nil if it is the whole of all models.
    package var partialRotaryFactor: Double?
    /// Which features are rotated together.
    package var rotaryPairing = RotaryPairing.halves
    /// What the feed-forward size in the file is to be divided by.
    package var feedForwardDivisor = 1
    /// Whether the embedding table is the output matrix where `config.json` doesn't say.
    package var tiesEmbeddings = false
    /// Whether layers may be mixtures of experts.
    package var hasExperts = false
    /// Whether attention is over latents.
    package var hasLatents = false

    /// The conventions of most families.
    package init() {}
  }

  /// Reads and checks the hyper-parameters.
  ///
  /// - Parameters:
  ///   - checkpoint: The model.
  ///   - conventions: What the keys mean in this family.
  /// - Throws: `ModelFileError` naming the key and what was expected; `unsupported` for mixtures of experts in a
  ///   family that has none, other activations, frequency scalings or quantisations than ours.
  package init(
    _ checkpoint: Checkpoint, _ conventions: Conventions = Conventions()
  ) throws(ModelFileError) {
    let values = checkpoint.hyperparameters
    try Self.refuseForeignFeatures(values, allowsExperts: conventions.hasExperts)
    hiddenSize = try values.int(.hiddenSize, in: 1...(1 << 17))
    let allLayers = try values.int(.layerCount, in: 1...1024)
    // GGUF counts layers for multi-token prediction, which are skipped, among the layers.
    let skipped = values.isGGUF ? try values.int(.predictionLayerCount, in: 0...1024, default: 0) : 0
    guard skipped < allLayers else {
      throw values.failure(
        .predictionLayerCount, "expected fewer than all \(allLayers) layers, found \(skipped)")
    }
    layers = allLayers - skipped
    if conventions.hasLatents {
      let latent = try LatentConfiguration(checkpoint, heads: values.int(.headCount, in: 1...4096))
      attention = latent.headShape
      self.latent = latent
    } else {
      attention = try Self.attention(values, hiddenSize: hiddenSize)
    }
    let divisor = conventions.feedForwardDivisor
    // Where all layers are mixtures, nothing needs the key.
    let width =
      conventions.hasExperts && !values.contains(.feedForwardSize)
      ? 0 : try values.int(.feedForwardSize, in: (conventions.hasExperts ? 0 : 1)...(1 << 21))
    guard width % divisor == 0 else {
      throw values.failure(.feedForwardSize, "expected a multiple of \(divisor), found \(width)")
    }
    feedForwardSize = width / divisor
    normEpsilon = Float(try values.float(conventions.normEpsilon, in: 0...1))
    if let size = try values.optionalInt(conventions.vocabularySize, in: 1...(1 << 24)) {
      vocabularySize = size
    } else {
      vocabularySize = try Self.tableRows(checkpoint)
    }
    tiesEmbeddings =
      values.isGGUF
      ? checkpoint["output.weight"] == nil
      : try values.bool(.tiesEmbeddings, default: conventions.tiesEmbeddings)
        && !Self.hasOwnOutput(checkpoint)
    rotaryPairing = conventions.rotaryPairing
    let length = try values.int(conventions.contextLength, in: 1...(1 << 30))
    let dimension: Int
    if let latent {
      dimension = latent.rotaryDimension
    } else {
      dimension = try Self.rotaryDimension(
        values, headDimension: attention.headDimension, factor: conventions.partialRotaryFactor)
    }
    (rotary, contextLength) = try RotaryReader(checkpoint, isLatent: conventions.hasLatents).embedding(
      dimension: dimension, base: conventions.rotaryBase, contextLength: length)
    windows = Array(repeating: nil, count: layers)
  }

  private static func attention(
    _ values: Hyperparameters, hiddenSize: Int
  ) throws(ModelFileError) -> AttentionShape {
    let heads = try values.int(.headCount, in: 1...4096)
    let keyValueHeads = try values.int(.keyValueHeadCount, in: 1...4096, default: heads)
    guard heads % keyValueHeads == 0 else {
      throw values.failure(
        .keyValueHeadCount, "expected a divisor of the \(heads) query heads, found \(keyValueHeads)")
    }
    let dimension: Int
    if let explicit = try values.optionalInt(.headDimension, in: 1...4096) {
      dimension = explicit
    } else {
      guard hiddenSize % heads == 0 else {
        throw values.failure(
          .headCount, "expected a divisor of the hidden size \(hiddenSize), found \(heads)")
      }
      dimension = hiddenSize / heads
    }
    if let size = try values.optionalInt(.valueHeadDimension), size != dimension {
      throw values.failure(
        .valueHeadDimension, "expected the size of a key, \(dimension), found \(size)", kind: .unsupported)
    }
    return AttentionShape(heads: heads, keyValueHeads: keyValueHeads, headDimension: dimension)
  }

  private static func rotaryDimension(
    _ values: Hyperparameters, headDimension: Int, factor defaultFactor: Double?
  ) throws(ModelFileError) -> Int {
    let key: HyperparameterKey = values.isGGUF ? .rotaryDimension : .partialRotaryFactor
    let dimension: Int
    if values.isGGUF, let explicit = try values.optionalInt(key) {
      dimension = explicit
    } else {
      let factor = (values.isGGUF ? nil : try values.optionalFloat(key, in: 0...1)) ?? defaultFactor ?? 1
      // transformers rotates whole heads there, whatever the file says.
      guard factor == 1 || defaultFactor != nil else {
        throw values.failure(key, "expected 1, found \(factor)", kind: .unsupported)
      }
      dimension = Int(Double(headDimension) * factor)
    }
    guard dimension > 0, dimension <= headDimension, dimension % 2 == 0 else {
      throw values.failure(
        values.contains(key) ? key : .headDimension,
        "expected an even number of rotated features up to the head's \(headDimension), found \(dimension)")
    }
    return dimension
  }

  /// Whether there is an output matrix that isn't the embedding table: transformers takes it, although
  /// `config.json` says that there is none.
  private static func hasOwnOutput(_ checkpoint: Checkpoint) -> Bool {
    guard let output = checkpoint["lm_head.weight"],
      let table = checkpoint["model.embed_tokens.weight"] ?? checkpoint["embed_tokens.weight"]
    else { return false }
    guard output.type == table.type, output.shape == table.shape, let first = output.bytes.baseAddress,
      let second = table.bytes.baseAddress
    else { return true }
    return withExtendedLifetime(checkpoint) { memcmp(first, second, output.byteCount) != 0 }
  }

  private static func tableRows(_ checkpoint: Checkpoint) throws(ModelFileError) -> Int {
    let table = try checkpoint.tensor("token_embd.weight")
    guard table.shape.count == 2, (1...(1 << 24)).contains(table.shape[0]) else {
      throw ModelFileError(
        .malformed, file: table.file.path, subject: table.name,
        expectation: "expected a matrix with a row a token, found shape \(table.shape)")
    }
    return table.shape[0]
  }

  /// What would change the results, and isn't there.
  private static func refuseForeignFeatures(
    _ values: Hyperparameters, allowsExperts: Bool
  ) throws(ModelFileError) {
    if !allowsExperts, let experts = try values.optionalInt(.expertCount), experts > 0 {
      throw values.failure(
        .expertCount, "expected a dense model, found \(experts) experts", kind: .unsupported)
    }
    if let activation = try values.optionalString(.activation), activation != "silu", activation != "swish" {
      throw values.failure(.activation, "expected \"silu\", found \"\(activation)\"", kind: .unsupported)
    }
    // Some embedders are decoders whose tokens see those behind them, too.
    let causal = HyperparameterKey("is_causal", gguf: "attention.causal")
    guard try values.bool(causal, default: true) else {
      throw values.failure(causal, "expected true, found false", kind: .unsupported)
    }
    let method = HyperparameterKey("quantization_config.quant_method")
    if let name = try values.optionalString(method), name != "fp8" {
      throw values.failure(method, "expected \"fp8\", found \"\(name)\"", kind: .unsupported)
    }
  }

  /// Takes up the mixtures of experts.
  ///
  /// - Throws: `ModelFileError` if there are dense layers without a size.
  package mutating func set(
    _ mixture: MixtureConfiguration, _ values: Hyperparameters
  ) throws(ModelFileError) {
    guard feedForwardSize > 0 || mixture.isSparse.allSatisfy({ $0 }) else {
      throw values.failure(.feedForwardSize, "expected an integer of at least 1 for the dense layers")
    }
    self.mixture = mixture
  }

  /// Lets tokens use another number of experts than the model says.
  ///
  /// - Parameter count: At least 1, and at most `mostUsed` of the mixtures.
  package mutating func setUsedExperts(_ count: Int) {
    guard let most = mixture?.mostUsed else { return }
    precondition((1...most).contains(count))
    mixture?.used = count
  }

  /// Refuses sliding windows, for families whose published models have none.
  ///
  /// - Throws: `ModelFileError` (`unsupported`) naming the key.
  package func refuseWindows(_ values: Hyperparameters) throws(ModelFileError) {
    let key = HyperparameterKey("use_sliding_window")
    if try values.bool(key, default: false) {
      throw values.failure(key, "expected false, found true", kind: .unsupported)
    }
  }

  /// Reads the sliding windows of Qwen2 and Qwen3: the layers from `max_window_layers` on, or those that
  /// `layer_types` names, see `sliding_window` positions each.
  ///
  /// - Throws: `ModelFileError` naming the key.
  package mutating func readWindows(_ values: Hyperparameters) throws(ModelFileError) {
    guard try values.bool(HyperparameterKey("use_sliding_window"), default: false) else { return }
    guard let width = try values.optionalInt(HyperparameterKey("sliding_window"), in: 1...Int.max) else {
      return
    }
    let types = HyperparameterKey("layer_types")
    if let names = try values.optionalStrings(types) {
      guard names.count == layers else {
        throw values.failure(types, "expected \(layers) names, found \(names.count)")
      }
      for (layer, name) in names.enumerated() {
        switch name {
        case "full_attention": windows[layer] = nil
        case "sliding_attention": windows[layer] = width
        default:
          throw values.failure(types, "expected kinds of attention, found \"\(name)\"", kind: .unsupported)
        }
      }
    } else {
      let first = try values.int(HyperparameterKey("max_window_layers"), default: 28)
      for layer in 0..<layers where layer >= first { windows[layer] = width }
    }
  }
}
