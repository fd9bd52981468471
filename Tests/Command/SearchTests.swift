import Foundation
import Salangane
import SalanganeTestSupport
import Testing

@Suite struct SearchTests {
  private func search(_ arguments: [String]) async throws -> CommandResult {
    try await Command.run(["search", "--model", TinyModel.directory] + arguments)
  }

  @Test func findsTheClosestLines() async throws {
    let directory = try TemporaryDirectory()
    let lines = [
      "the sea", "", "swifts fly", "  ", "a cave by the sea", "the sea", "echo", "it eats insects",
    ]
    let corpus = try directory.write(lines.joined(separator: "\r\n"), to: "corpus")
    let result = try await search(["--corpus", corpus, "--top", "4", "--format", "json", "a cave by the sea"])
    #expect(result.status == 0, "\(result.errors)")
    let rows = try #require(try result.json() as? [[String: Any]])

    let set = ProcessInfo.processInfo.environment["SALANGANE_EXPECTED_ISA"]
    let embedder = try await Embedder(
      contentsOf: URL(fileURLWithPath: TinyModel.directory),
      options: .init(instructionSet: try set.map { try .named($0) }))
    let query = try await embedder.embed("a cave by the sea", as: .query)
    let vectors = try await embedder.embed(lines, as: .document)
    let expected = lines.indices.filter { !lines[$0].allSatisfy(\.isWhitespace) }
      .map { (score: vectors[$0].cosineSimilarity(to: query), line: $0) }
      .sorted { ($0.score, $1.line) > ($1.score, $0.line) }.prefix(4)
    #expect(rows.map { $0["rank"] as? Int } == [1, 2, 3, 4])
    #expect(rows.map { $0["line"] as? Int } == expected.map { $0.line + 1 })
    #expect(rows.map { ($0["score"] as? NSNumber)?.floatValue } == expected.map(\.score))
    #expect(rows.map { $0["text"] as? String } == expected.map { lines[$0.line] })

    let text = try await search(["--corpus", corpus, "--top", "100", "a cave by the sea"])
    #expect(text.lines.count == 6)
    let first = try #require(expected.first)
    #expect(text.lines[0].hasSuffix("  \(first.line + 1)\t\(lines[first.line])"))
    #expect(Float(text.lines[0].split(separator: " ")[0]).map { abs($0 - first.score) < 6e-4 } == true)
  }

  @Test func emptyCorpus() async throws {
    let directory = try TemporaryDirectory()
    let corpus = try directory.write("\n \n", to: "corpus")
    let text = try await search(["--corpus", corpus, "swift"])
    #expect(text.status == 0)
    #expect(text.output.isEmpty)
    let json = try await search(["--corpus", corpus, "--format", "json", "swift"])
    #expect(json.text == "[]\n")
  }

  @Test func linesThatAreNotUTF8() async throws {
    let directory = try TemporaryDirectory()
    let corpus = try directory.write(Array("sea\n".utf8) + [0xFF, 0x0A], to: "corpus")
    let result = try await search(["--corpus", corpus, "swift"])
    #expect(result.status == 65)
    #expect(result.lines.count == 1)
    #expect(result.errorLines.count == 2)
    #expect(result.errors.contains("\(corpus): line 2: "))
  }
}
