import Foundation
import Salangane
import SalanganeFiles
import SalanganeTestSupport
import Testing

@Suite struct GenerationErrorTests {
  static func failure(of stream: GenerationStream) async throws -> GenerationError? {
    do {
      _ = try await stream.summary()
      return nil
    } catch let error as GenerationError { return error }
  }

  @Test func prompts() async throws {
    let golden = try GenerationGolden()
    let model = try await GenerationGolden.model(contextLength: 20)
    let session = model.makeSession()
    let size = model.vocabularySize
    for (tokens, expected) in [
      ([], .emptyPrompt),
      ([1, -1], .invalidToken(id: -1, vocabularySize: size)),
      ([Int32(size), 1], .invalidToken(id: size, vocabularySize: size)),
      (Array(repeating: 1, count: 21), .promptTooLong(count: 21, contextLength: 20)),
    ] as [([Int32], GenerationError)] {
      #expect(try await Self.failure(of: session.generate(tokens: tokens)) == expected)
      await #expect(throws: expected) { try await model.logits(tokens: tokens) }
    }
    #expect(try await Self.failure(of: session.generate("")) == .emptyPrompt)
    #expect(try await Self.failure(of: session.generate(String(repeating: "燕", count: 30))) != nil)
    await #expect(throws: GenerationError.self) {
      try await model.forEachLogits(tokens: [1], chunk: 0) { _ in }
    }
    // None of it is held against the session.
    let options = GenerationOptions(maximumTokens: 3, ignoresEndOfSequence: true)
    let summary = try await session.generate(tokens: golden.prompt, options: options).summary()
    #expect(summary.ids == Array(golden.ids.prefix(3)))
  }

  @Test(arguments: [
    SamplingOptions(temperature: -1), .init(temperature: .nan), .init(temperature: .infinity),
    .init(topK: -1),
    .init(topP: 0), .init(topP: 1.1), .init(topP: .nan), .init(minP: -0.1), .init(minP: 2),
    .init(typicalP: 0),
    .init(repetitionPenalty: 0), .init(repetitionPenalty: .infinity), .init(presencePenalty: .nan),
    .init(frequencyPenalty: .infinity), .init(penaltyWindow: -2), .init(logitBias: [-1: 0]),
    .init(logitBias: [100_000: 0]), .init(logitBias: [1: .nan]), .init(logitBias: [1: .infinity]),
  ])
  func options(sampling: SamplingOptions) async throws {
    let model = try await GenerationGolden.model()
    let stream = model.generate("swift", options: .init(maximumTokens: 1, sampling: sampling))
    guard case .invalidOption = try await Self.failure(of: stream) else {
      Issue.record("accepted")
      return
    }
  }

  @Test func counts() async throws {
    let model = try await GenerationGolden.model()
    let stream = model.generate("swift", options: .init(maximumTokens: -1))
    guard case .invalidOption(let name, _) = try await Self.failure(of: stream) else {
      Issue.record("accepted")
      return
    }
    #expect(name == "maximum tokens")
    for length in [0, -1, 401, .max] {
      await #expect(throws: EmbeddingError.self) { try await GenerationGolden.model(contextLength: length) }
    }
  }

  /// A model with one weight that is no number: nothing is generated from it, embedded or ranked.
  @Test func damagedWeights() async throws {
    let directory = try TemporaryDirectory()
    for name in ["config.json", "tokenizer.json", "tokenizer_config.json"] {
      try directory.write(TestFiles.read(GenerationGolden.url.path + "/" + name), to: name)
    }
    let path = GenerationGolden.url.path + "/model.safetensors"
    var bytes = try TestFiles.read(path)
    let tensor = try #require(
      SafetensorsFile(path: path).tensor("model.layers.1.mlp.down_proj.weight"))
    #expect(tensor.type == .bf16)
    let place = try #require(
      tensor.withUnsafeBytes { weights in
        bytes.indices.first { start in
          start + weights.count <= bytes.count && bytes[start] == weights[0]
            && bytes[start..<start + weights.count].elementsEqual(weights)
        }
      })
    bytes.replaceSubrange(place..<place + 2, with: [0xC0, 0x7F])
    try directory.write(bytes, to: "model.safetensors")
    let url = URL(fileURLWithPath: directory.path)
    let model = try await LanguageModel(contentsOf: url)
    for session in [model.makeSession(), model.makeSession()] {
      guard case .notFinite = try await Self.failure(of: session.generate("swift")) else {
        Issue.record("generated")
        return
      }
      // The session can go on to its next failure.
      guard case .notFinite = try await Self.failure(of: session.generate("swift")) else {
        Issue.record("generated")
        return
      }
    }
    let fault = NumericFault(.feedForward(layer: 1), tensor: "model.layers.1.mlp.down_proj.weight")
    await #expect(throws: GenerationError.notFinite(position: 0, fault: fault)) {
      try await model.logits(tokens: [1, 2])
    }
    await #expect(throws: EmbeddingError.notFinite(text: 0, fault: fault)) {
      try await Reranker(contentsOf: url).score(query: "a", documents: ["b"])
    }
    await #expect(throws: EmbeddingError.notFinite(text: 0, fault: fault)) {
      try await Embedder(contentsOf: url).embed("swift")
    }
  }
}
