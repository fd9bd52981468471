import SalanganeFiles
import SalanganeTensors

/// BERT (Devlin et al., 2018): MiniLM, bge, e5, gte and other embedders and cross-encoders of that shape.
///
/// Learned absolute positions, post-norm blocks, biases everywhere, GELU in its exact form. Tensor names:
/// transformers' `BertModel`, with or without the prefix `bert.`, its older `gamma` and `beta`, and
/// llama.cpp's `bert`.
package struct BERT: EncoderArchitecture {
  package static let names = ["bert"]

  /// The hyper-parameters of a BERT model.
  package struct Configuration: Sendable {
    /// Features of a hidden state.
    package let hiddenSize: Int
    /// Transformer blocks.
    package let layers: Int
    /// Attention heads of a block.
    package let heads: Int
    /// Features of the feed-forward network's inner layer.
    package let intermediateSize: Int
    /// Rows of the token table.
    package let vocabularySize: Int
    /// Rows of the position table.
    package let maximumLength: Int
    /// Rows of the token type table.
    package let tokenTypes: Int
    /// The layer norms' epsilon.
    package let layerNormEpsilon: Float

    /// Reads and checks the hyper-parameters.
    ///
    /// - Throws: `ModelFileError` naming the key and what was expected.
    package init(_ checkpoint: Checkpoint) throws(ModelFileError) {
      let values = checkpoint.hyperparameters
      hiddenSize = try values.int(.hiddenSize, in: 1...(1 << 16))
      layers = try values.int(.layerCount, in: 1...1024)
      heads = try values.int(.headCount, in: 1...1024)
      intermediateSize = try values.int(.feedForwardSize, in: 1...(1 << 20))
      maximumLength = try values.int(.contextLength, in: 1...(1 << 20))
      tokenTypes = try values.int(.tokenTypeCount, in: 1...1024, default: 2)
      layerNormEpsilon = Float(try values.float(.layerNormEpsilon, in: 0...1, default: 1e-12))
      guard hiddenSize % heads == 0 else {
        throw values.failure(
          .headCount, "expected a divisor of the hidden size \(hiddenSize), found \(heads)")
      }
      if let activation = try values.optionalString(.activation), activation != "gelu" {
        throw values.failure(
          .activation, "expected \"gelu\", found \"\(activation)\"", kind: .unsupported)
      }
      let positions = HyperparameterKey("position_embedding_type")
      if let kind = try values.optionalString(positions), kind != "absolute" {
        throw values.failure(positions, "expected \"absolute\", found \"\(kind)\"", kind: .unsupported)
      }
      let causal = values.isGGUF ? HyperparameterKey.gguf("attention.causal") : .init("is_decoder")
      guard try !values.bool(causal, default: false) else {
        throw values.failure(causal, "expected false, found true", kind: .unsupported)
      }
      // GGUF doesn't say how many tokens there are: the table does.
      if let size = try values.optionalInt(.vocabularySize, in: 1...(1 << 24)) {
        vocabularySize = size
      } else {
        let table = try checkpoint.tensor("token_embd.weight")
        guard table.shape.count == 2, (1...(1 << 24)).contains(table.shape[0]) else {
          throw ModelFileError(
            .malformed, file: table.file.path, subject: table.name,
            expectation: "expected a matrix with a row a token, found shape \(table.shape)")
        }
        vocabularySize = table.shape[0]
      }
    }
  }

  package static func checkHyperparameters(_ checkpoint: Checkpoint) throws(ModelFileError) {
    _ = try Configuration(checkpoint)
  }

  package static func loadEncoder(_ loader: WeightLoader) throws -> Encoder {
    let configuration = try Configuration(loader.checkpoint)
    let names = BERTNames(isGGUF: loader.checkpoint.format == .gguf)
    let hidden = configuration.hiddenSize
    let epsilon = configuration.layerNormEpsilon

    func norm(_ name: String, _ layer: Int? = nil) throws(ModelFileError) -> LayerNorm {
      LayerNorm(
        weight: try loader.values(names.normWeight(name, layer), count: hidden),
        bias: try loader.values(names.normBias(name, layer), count: hidden), epsilon: epsilon)
    }
    func part(_ name: String, _ layer: Int, outputs: Int) -> LinearPart {
      LinearPart(
        weight: names.tensor(name, "weight", layer), bias: names.tensor(name, "bias", layer),
        outputs: outputs)
    }

    let tokens = try EmbeddingTable(
      loader.tensor(
        names.tensor("token_embd", "weight"), shape: [configuration.vocabularySize, hidden]))
    let positions = try EmbeddingTable(
      loader.tensor(names.tensor("position_embd", "weight"), shape: [configuration.maximumLength, hidden]))
    let types = try loader.values(
      of: loader.tensor(names.tensor("token_types", "weight"), shape: [configuration.tokenTypes, hidden]))
    let embeddingNorm = try norm("token_embd_norm")

    var blocks: [EncoderBlock] = []
    for layer in 0..<configuration.layers {
      let isFused = names.tensor("attn_qkv", "weight", layer).contains { loader.checkpoint[$0] != nil }
      let attentionParts =
        isFused
        ? [part("attn_qkv", layer, outputs: 3 * hidden)]
        : ["attn_q", "attn_k", "attn_v"].map { part($0, layer, outputs: hidden) }
      blocks.append(
        EncoderBlock(
          queryKeyValue: try loader.linear(attentionParts, inputs: hidden),
          attentionOutput: try loader.linear([part("attn_output", layer, outputs: hidden)], inputs: hidden),
          attentionNorm: try norm("attn_output_norm", layer),
          up: try loader.linear(
            [part("ffn_up", layer, outputs: configuration.intermediateSize)], inputs: hidden),
          down: try loader.linear(
            [part("ffn_down", layer, outputs: hidden)], inputs: configuration.intermediateSize),
          outputNorm: try norm("layer_output_norm", layer)))
      try loader.finishedLayer(layer, of: configuration.layers)
    }
    return Encoder(
      hiddenSize: hidden, heads: configuration.heads, maximumLength: configuration.maximumLength,
      vocabularySize: configuration.vocabularySize, tokenEmbeddings: tokens, positionEmbeddings: positions,
      typeEmbeddings: types, embeddingNorm: embeddingNorm, blocks: blocks)
  }
}

extension BERT {
  /// Loads the head of a cross-encoder (`BertForSequenceClassification`) with one output.
  ///
  /// - Returns: nil if the checkpoint has no such head.
  /// - Throws: `ModelFileError` for a head of another shape.
  package static func loadScoreHead(_ loader: WeightLoader) throws -> ScoreHead? {
    let checkpoint = loader.checkpoint
    let isGGUF = checkpoint.format == .gguf
    let name = isGGUF ? "cls.output" : "classifier"
    guard let stored = checkpoint["\(name).weight"] else { return nil }
    let hidden = try checkpoint.hyperparameters.int(.hiddenSize, in: 1...(1 << 16))
    // A single output may be stored as a vector in GGUF.
    guard stored.shape == [1, hidden] || stored.shape == [hidden] else {
      throw ModelFileError(
        stored.shape.count == 2 && stored.shape[1] == hidden ? .unsupported : .malformed,
        file: stored.file.path, subject: stored.name,
        expectation: "expected one score, of shape [1, \(hidden)], found \(stored.shape)")
    }
    let names = isGGUF ? ["cls"] : ["bert.pooler.dense", "pooler.dense"]
    let part = LinearPart(
      weight: names.map { "\($0).weight" }, bias: names.map { "\($0).bias" }, outputs: hidden)
    // llama.cpp writes models whose score is a direct projection too, and knows them by what isn't there.
    let isDirect = isGGUF && checkpoint["cls.weight"] == nil
    return ScoreHead(
      pooler: isDirect ? nil : try loader.linear([part], inputs: hidden),
      weight: try loader.values(of: stored), bias: try loader.values(["\(name).bias"], count: 1)[0])
  }
}

/// The names of BERT's tensors, asked for by their names in GGUF.
package struct BERTNames: Sendable {
  let isGGUF: Bool

  /// Gives the names in a kind of file.
  package init(isGGUF: Bool) { self.isGGUF = isGGUF }

  /// What transformers calls the modules.
  private static let modules = [
    "token_embd": "embeddings.word_embeddings",
    "position_embd": "embeddings.position_embeddings",
    "token_types": "embeddings.token_type_embeddings",
    "token_embd_norm": "embeddings.LayerNorm",
    "attn_q": "attention.self.query",
    "attn_k": "attention.self.key",
    "attn_v": "attention.self.value",
    "attn_output": "attention.output.dense",
    "attn_output_norm": "attention.output.LayerNorm",
    "ffn_up": "intermediate.dense",
    "ffn_down": "output.dense",
    "layer_output_norm": "output.LayerNorm",
  ]

  /// The names that a tensor may have.
  ///
  /// - Parameters:
  ///   - module: What it belongs to, by its name in GGUF.
  ///   - kind: `weight` or `bias`.
  ///   - layer: The layer's number; nil outside of layers.
  package func tensor(_ module: String, _ kind: String, _ layer: Int? = nil) -> [String] {
    if isGGUF { return [layer.map { "blk.\($0).\(module).\(kind)" } ?? "\(module).\(kind)"] }
    guard let module = Self.modules[module] else { return [] }
    let name = (layer.map { "encoder.layer.\($0)." } ?? "") + "\(module).\(kind)"
    return [name, "bert." + name]
  }

  /// The names that the weight of a norm may have.
  package func normWeight(_ module: String, _ layer: Int?) -> [String] {
    tensor(module, "weight", layer) + (isGGUF ? [] : tensor(module, "gamma", layer))
  }

  /// The names that the bias of a norm may have.
  package func normBias(_ module: String, _ layer: Int?) -> [String] {
    tensor(module, "bias", layer) + (isGGUF ? [] : tensor(module, "beta", layer))
  }
}
