import Foundation
import Salangane
import SalanganeStress
import SalanganeTestSupport

/// Tiny models with room for a thousand tokens.
enum PromptCacheTestModel: String, CaseIterable, Sendable {
  /// Every token sees all before it.
  case dense
  /// In the second layer a token sees 150 positions.
  case windowed
  /// Weights of 4 bits.
  case quantized
  /// Attention over latents, and experts.
  case latent

  private static let quantizedShape = ModelShape(
    "quantized", architecture: "qwen3", layerCount: 2, hiddenSize: 128, feedForwardSize: 128,
    attention: .grouped(heads: 2, keyValueHeads: 1, headDimension: 64, normalizes: true),
    contextLength: 1000, rotaryBase: 1e6, normEpsilon: 1e-6, tiesEmbeddings: true,
    vocabulary: SmallShape.vocabulary)

  private static let latentShape = ModelShape(
    "latent", architecture: "deepseek2", layerCount: 2, hiddenSize: 64, feedForwardSize: 64,
    attention: .latent(
      heads: 2, queryRank: 32, keyValueRank: 32, plainDimension: 16, rotaryDimension: 16,
      valueDimension: 16, yarn: nil),
    experts: .init(
      count: 4, usedCount: 2, feedForwardSize: 32, sharedCount: 1, leadingDenseLayers: 1, isSigmoid: true,
      normalizesWeights: true, weightScale: 1.5),
    contextLength: 1000, rotaryBase: 1e4, normEpsilon: 1e-6, vocabulary: SmallShape.vocabulary)

  /// Writes the model's files.
  ///
  /// - Returns: What to load.
  func write(to directory: TemporaryDirectory) async throws -> URL {
    if self == .quantized || self == .latent {
      let path = directory.path("model.gguf")
      try await ModelSynthesizer(
        self == .latent ? Self.latentShape : Self.quantizedShape, scheme: self == .latent ? .f16 : .q4_0,
        seed: 5
      ).write(to: path)
      return URL(fileURLWithPath: path)
    }
    for name in ["tokenizer.json", "tokenizer_config.json", "model.safetensors"] {
      try directory.write(TestFiles.read(GenerationGolden.url.path + "/" + name), to: name)
    }
    let text = String(decoding: try TestFiles.read(GenerationGolden.url.path + "/config.json"), as: UTF8.self)
    var changed = text.replacingOccurrences(
      of: "\"max_position_embeddings\": 400", with: "\"max_position_embeddings\": 1000")
    if self == .windowed {
      changed = changed.replacingOccurrences(
        of: "\"max_position_embeddings\"",
        with: "\"use_sliding_window\": true, \"sliding_window\": 150, \"max_window_layers\": 1, "
          + "\"max_position_embeddings\"")
    }
    guard changed != text else { throw CocoaError(.fileReadCorruptFile) }
    try directory.write(changed, to: "config.json")
    return URL(fileURLWithPath: directory.path)
  }

  /// A model in a directory of its own.
  func load(_ options: ModelOptions = .init()) async throws -> LanguageModel {
    let directory = try TemporaryDirectory()
    return try await LanguageModel(contentsOf: write(to: directory), options: options)
  }

  /// Tokens that every one of the models has.
  static func tokens(_ count: Int, seed: UInt64) -> [Int32] {
    var random = SplitMix64(seed: seed)
    return (0..<count).map { _ in Int32.random(in: 0..<280, using: &random) }
  }
}

/// What a generation gave: tokens, and the bits of their probabilities.
struct GenerationResult: Equatable {
  var ids: [Int32] = []
  var logProbabilities: [Float] = []

  /// Runs a generation to its end.
  ///
  /// - Returns: What it gave, and how many tokens weren't computed.
  static func run(
    _ session: Session, _ tokens: [Int32], count: Int
  ) async throws -> (result: GenerationResult, cached: Int) {
    var result = GenerationResult()
    let options = GenerationOptions(maximumTokens: count, ignoresEndOfSequence: true)
    for try await event in session.generate(tokens: tokens, options: options) {
      switch event {
      case .text(let piece):
        result.ids += piece.ids
        result.logProbabilities += piece.logProbabilities
      case .finished(let summary): return (result, summary.cachedTokens)
      }
    }
    throw CancellationError()
  }
}
