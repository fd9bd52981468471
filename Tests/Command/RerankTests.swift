import Foundation
import Salangane
import SalanganeTestSupport
import Testing

@Suite struct RerankTests {
  static let model = TestFiles.golden("rerankers/qwen3")
  static let documents = ["a bird", "", "swiftlets click and listen", "a bird", "yes"]

  private func rerank(_ arguments: [String]) async throws -> CommandResult {
    try await Command.run(
      ["rerank", "--model", Self.model, "--query", "how do they find their way?"] + arguments)
  }

  /// What the library gives, best first.
  @Test(arguments: [nil, "Find birds"])
  func order(instruction: String?) async throws {
    let set = ProcessInfo.processInfo.environment["SALANGANE_EXPECTED_ISA"]
    let reranker = try await Reranker(
      contentsOf: URL(fileURLWithPath: Self.model),
      options: .init(instructionSet: try set.map { try .named($0) }))
    let scores = try await reranker.score(
      query: "how do they find their way?", documents: Self.documents,
      options: .init(instruction: instruction))
    let expected = scores.indices.sorted { (scores[$0], $1) > (scores[$1], $0) }
    let arguments = instruction.map { ["--instruction", $0] } ?? []
    let result = try await rerank(arguments + Self.documents)
    #expect(result.status == 0, "\(result.errors)")
    let rows = try result.rows()
    #expect(rows.map { $0["index"] as? Int } == expected)
    #expect(rows.map { $0["text"] as? String } == expected.map { Self.documents[$0] })
    #expect(rows.map { ($0["score"] as? NSNumber)?.floatValue } == expected.map { scores[$0] })
    let top = try await rerank(arguments + ["--top", "2"] + Self.documents)
    #expect(top.lines == Array(result.lines.prefix(2)))
  }

  @Test func refusals() async throws {
    #expect(try await rerank([]).status == 64)
    #expect(try await rerank(["--top", "0", "a"]).status == 64)
    let long = try await Command.run(
      ["rerank", "--model", Self.model, "--query", String(repeating: "one ", count: 400), "a"])
    #expect(long.status == 64 && long.errorLines.count == 1 && long.errors.contains("query"))
    let crossEncoder = try await Command.run(
      [
        "rerank", "--model", TestFiles.golden("bert/cross"), "--query", "a", "--instruction", "b", "c",
      ])
    #expect(crossEncoder.status == 64 && crossEncoder.errors.contains("instruction"))
    let embedder = try await Command.run(
      ["rerank", "--model", TestFiles.golden("rerankers/embedding"), "--query", "a", "c"])
    #expect(embedder.status == 69 && embedder.errors.contains("modules.json"))
  }
}
