import Foundation
import SalanganeHostileInput
import SalanganeTestSupport
import Testing

/// The corpus of malformed files (Tests/Corpus), made once by its script.
///
/// Here the library meets it, in this process; Scripts/check-corpus does the same through the command, under limits of
/// memory and time.
private struct Corpus {
  /// A model, and the exit status of every command that it is for.
  struct Case: Decodable {
    let name: String
    let path: String
    let statuses: [String: Int]
    let message: String
  }

  let directory: TemporaryDirectory
  let cases: [Case]

  /// Makes the corpus with Python's help; nil if there is no Python.
  init?() throws {
    directory = try TemporaryDirectory()
    let tests = URL(fileURLWithPath: TestFiles.golden("")).deletingLastPathComponent()
    let script = tests.deletingLastPathComponent().appendingPathComponent("Scripts/check-corpus").path
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = ["python3", script, "--make", directory.path("corpus")]
    process.standardOutput = FileHandle.nullDevice
    try process.run()
    process.waitUntilExit()
    guard process.terminationStatus != 127 else { return nil }
    #expect(process.terminationStatus == 0)
    let list = Data(try directory.read("corpus/corpus.json"))
    cases = try JSONDecoder().decode([Case].self, from: list)
  }
}

@Suite struct CorpusTests {
  @Test func everyModelMeetsItsVerdict() async throws {
    guard let corpus = try Corpus() else { return }
    // As many as there are promised to be.
    #expect(corpus.cases.count { $0.name.hasPrefix("gguf") } >= 300)
    #expect(corpus.cases.count { !$0.name.hasPrefix("gguf") } >= 250)
    for (number, model) in corpus.cases.enumerated() {
      let path = corpus.directory.path("corpus/\(model.path)")
      for use in ModelUse.allCases {
        guard let status = model.statuses[use.rawValue] else { continue }
        let found = try await use.result(path: path, mapped: number % 2 == 0)
        #expect(found.status == status, "\(model.name): \(use): \(found.line)")
        guard found.status != 0 else { continue }
        #expect(found.line.contains(model.message), "\(model.name): \(use): \(found.line)")
        #expect(!found.line.contains { $0.isNewline }, "\(model.name): \(use)")
      }
    }
  }
}
