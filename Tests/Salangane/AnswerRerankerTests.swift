import Foundation
import Salangane
import SalanganeFiles
import SalanganeTestSupport
import Testing

/// Tiny models in the form of Qwen3-Reranker: `Tests/Goldens/make_rerankers.py` makes them.
struct AnswerGolden: CustomTestStringConvertible, Sendable {
  let name: String
  let isGGUF: Bool

  var url: URL { URL(fileURLWithPath: TestFiles.golden("rerankers/" + name + (isGGUF ? ".gguf" : ""))) }
  var testDescription: String { name + (isGGUF ? " (GGUF)" : "") }

  static let all = ["qwen3", "untied"].flatMap { name in
    [false, true].map { AnswerGolden(name: name, isGGUF: $0) }
  }

  /// Inputs as the script has them.
  struct Inputs: Decodable {
    struct Case: Decodable {
      var query: String
      var instruction: String?
    }
    var documents: [String]
    var cases: [Case]
    var intruder: String
    var shortLimit: Int
    var texts: [String]
  }

  static func inputs() throws -> Inputs {
    let bytes = try TestFiles.read(TestFiles.golden("rerankers/texts.json"))
    return try JSONDecoder().decode(Inputs.self, from: Data(bytes))
  }

  static func arrays(_ name: String) throws -> NumPyArchive {
    try NumPyArchive(contentsOf: TestFiles.golden("rerankers/\(name).npz"))
  }
}

@Suite struct AnswerRerankerTests {
  @Test(arguments: AnswerGolden.all, InstructionSet.available)
  func scoresOfTransformers(golden: AnswerGolden, set: InstructionSet) async throws {
    let inputs = try AnswerGolden.inputs()
    let arrays = try AnswerGolden.arrays("qwen3")
    let reranker = try await Reranker(contentsOf: golden.url, options: .init(instructionSet: set))
    #expect(reranker.maximumLength == 400)
    for (index, item) in inputs.cases.enumerated() {
      for (name, limit) in [("scores", nil), ("short", inputs.shortLimit)] {
        let scores = try await reranker.score(
          query: item.query, documents: inputs.documents,
          options: .init(instruction: item.instruction, maximumLength: limit))
        let expected = try arrays["\(golden.name)_\(name)\(index)"].floats()
        #expect(scores.count == expected.count && worstDifference(scores, expected) < 1e-5, "\(name)\(index)")
      }
    }
  }

  /// A document that spells special tokens is text, not a turn of its own.
  @Test(arguments: AnswerGolden.all)
  func documentsCannotCloseTheTurn(golden: AnswerGolden) async throws {
    let inputs = try AnswerGolden.inputs()
    let scores = try await Reranker(contentsOf: golden.url)
      .score(query: inputs.cases[0].query, documents: [inputs.intruder])
    let expected = try AnswerGolden.arrays("qwen3")["\(golden.name)_intruder"].floats()
    #expect(worstDifference(scores, expected) < 1e-5)
  }

  /// The same bits alone, in a batch, in batches of any size, on one thread or several.
  @Test(arguments: [AnswerGolden.all[0], AnswerGolden.all[3]])
  func aloneOrAmongOthers(golden: AnswerGolden) async throws {
    let inputs = try AnswerGolden.inputs()
    let query = inputs.cases[0].query
    let reranker = try await Reranker(contentsOf: golden.url, options: .init(threads: 2))
    let scores = try await reranker.score(query: query, documents: inputs.documents)
    for (index, document) in inputs.documents.enumerated() {
      #expect(try await reranker.score(query: query, documents: [document]) == [scores[index]])
    }
    let narrow = try await Reranker(contentsOf: golden.url, options: .init(threads: 1, batchTokens: 300))
    let reversed = try await narrow.score(query: query, documents: inputs.documents.reversed())
    #expect(reversed == scores.reversed())
    #expect(try await reranker.score(query: query, documents: []).isEmpty)
  }

  @Test func instructionsChangeScores() async throws {
    let reranker = try await Reranker(contentsOf: AnswerGolden.all[1].url)
    func score(_ instruction: String?) async throws -> [Float] {
      try await reranker.score(
        query: "swift", documents: ["a bird"], options: .init(instruction: instruction))
    }
    let plain = try await score(nil)
    #expect(
      try await score("Given a web search query, retrieve relevant passages that answer the query") == plain)
    #expect(try await score("Find birds") != plain)
    // What looks like a place for the document is text too.
    #expect(try await score("{document} {query}") != plain)
  }

  @Test func roomForDocuments() async throws {
    let reranker = try await Reranker(contentsOf: AnswerGolden.all[0].url)
    await #expect(throws: EmbeddingError.self) {
      try await reranker.score(query: String(repeating: "one ", count: 400), documents: ["a"])
    }
    for limit in [0, 401] {
      await #expect(throws: EmbeddingError.self) {
        try await reranker.score(query: "a", documents: ["a"], options: .init(maximumLength: limit))
      }
    }
  }

  @Test func crossEncodersReadNoInstruction() async throws {
    let reranker = try await Reranker(contentsOf: RerankerTests.url)
    await #expect(throws: EmbeddingError.self) {
      try await reranker.score(query: "a", documents: ["b"], options: .init(instruction: "c"))
    }
  }

  /// As llama.cpp writes them: with a pooler, or with a score that is a direct projection.
  @Test(arguments: ["bert", "direct"])
  func crossEncodersInGGUF(name: String) async throws {
    let url = URL(fileURLWithPath: TestFiles.golden("rerankers/\(name).gguf"))
    let file = TestFiles.golden("bert/cross/query.json")
    let query = try #require(
      JSONDocument(TestFiles.read(file), file: file).root.elements.first { _ in true }?.string)
    let logits = try await Reranker(contentsOf: url).score(query: query, documents: GoldenModel.texts())
    let expected = try AnswerGolden.arrays("bert")[name].floats()
    #expect(logits.count == expected.count && worstDifference(logits, expected) < 1e-5)
  }

  @Test func otherModelsAreNoRerankers() async throws {
    for (url, subject) in [
      (TestFiles.golden("rerankers/embedding"), "modules.json"),
      (TestFiles.golden("rerankers/embedding.gguf"), "qwen3.pooling_type"),
      (TestFiles.golden("bert/wide-f32.gguf"), "cls.output.weight"),
    ] {
      do {
        _ = try await Reranker(contentsOf: URL(fileURLWithPath: url))
        Issue.record("accepted \(url)")
      } catch let error as ModelFileError {
        #expect(error.kind == .unsupported && error.description.contains(subject), "\(error)")
      }
    }
  }
}
