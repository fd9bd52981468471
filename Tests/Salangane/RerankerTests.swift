import Foundation
import Salangane
import SalanganeFiles
import SalanganeTestSupport
import Testing

@Suite struct RerankerTests {
  static let url = URL(fileURLWithPath: TestFiles.golden("bert/cross"))

  @Test(arguments: InstructionSet.available)
  func scoresOfSentenceTransformers(set: InstructionSet) async throws {
    let reranker = try await Reranker(contentsOf: Self.url, options: .init(instructionSet: set))
    #expect(reranker.maximumLength == 40)
    let file = TestFiles.golden("bert/cross/query.json")
    let query = try #require(
      JSONDocument(TestFiles.read(file), file: file).root.elements.first { _ in true }?.string)
    let expected = try NumPyArchive(contentsOf: TestFiles.golden("bert/cross/ref.npz"))["scores"].floats()
    let texts = try GoldenModel.texts()
    let scores = try await reranker.score(query: query, documents: texts)
    #expect(scores.count == expected.count)
    #expect(worstDifference(scores, expected) < 1e-5)
    // Alone or among others: the same bits.
    for index in [0, 3, 9] {
      #expect(try await reranker.score(query: query, documents: [texts[index]]) == [scores[index]])
    }
    #expect(try await reranker.score(query: query, documents: []).isEmpty)
  }

  @Test func plainLogitsWhereTheConfigurationAsksForThem() async throws {
    let directory = try TemporaryDirectory()
    for name in ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"] {
      try directory.write(TestFiles.read(Self.url.path + "/" + name), to: name)
    }
    let plain = try await Reranker(contentsOf: Self.url).score(query: "swift", documents: ["a bird"])
    let text = String(decoding: try directory.read("config.json"), as: UTF8.self)
    for (name, isSupported) in [("Identity", true), ("Tanh", false)] {
      let setting = "\"sentence_transformers\": {\"activation_fn\": \"torch.nn.modules.\(name)\"}, "
      try directory.write(
        text.replacingOccurrences(of: "\"model_type\"", with: setting + "\"model_type\""), to: "config.json")
      let url = URL(fileURLWithPath: directory.path)
      if isSupported {
        let logits = try await Reranker(contentsOf: url).score(query: "swift", documents: ["a bird"])
        #expect(abs(1 / (1 + exp(-logits[0])) - plain[0]) < 1e-6 && logits[0] != plain[0])
      } else {
        await #expect(throws: ModelFileError.self) { try await Reranker(contentsOf: url) }
      }
    }
  }

  @Test func embeddersAreNoRerankers() async throws {
    do {
      _ = try await Reranker(contentsOf: EmbedderDeterminismTests.url)
      Issue.record("accepted")
    } catch let error as ModelFileError {
      #expect(error.kind == .unsupported && error.description.contains("classifier.weight"))
    }
  }
}
