import Foundation
import SalanganeHostileInput
import SalanganeTestSupport
import Testing

/// The corpus of malformed files (Tests/Corpus), made by its script, which needs Python 3.
///
/// Here the library meets it, in this process; Scripts/check-corpus does the same through the command, under limits of
/// memory and time.
@Suite struct CorpusTests {
  private static let script =
    URL(fileURLWithPath: TestFiles.golden("")).deletingLastPathComponent().deletingLastPathComponent()
    .appendingPathComponent("Scripts/check-corpus").path

  /// Runs the script; gives its exit status, 127 without Python.
  private static func make(_ destination: String) throws -> Int32 {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = ["python3", script, "--make", destination]
    process.standardOutput = FileHandle.nullDevice
    try process.run()
    process.waitUntilExit()
    return process.terminationStatus
  }

  private static let hasPython: Bool = {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = ["python3", "--version"]
    process.standardOutput = FileHandle.nullDevice
    process.standardError = FileHandle.nullDevice
    guard (try? process.run()) != nil else { return false }
    process.waitUntilExit()
    return process.terminationStatus == 0
  }()

  @Test(.enabled(if: hasPython, "the corpus is made by a script in Python 3"))
  func everyModelMeetsItsVerdict() async throws {
    let directory = try TemporaryDirectory()
    #expect(try Self.make(directory.path("corpus")) == 0)
    let corpus = try MalformedCorpus(path: directory.path("corpus"))
    // As many as there are promised to be.
    #expect(corpus.cases.count { $0.name.hasPrefix("gguf") } >= 300)
    #expect(corpus.cases.count { !$0.name.hasPrefix("gguf") } >= 250)
    for number in corpus.cases.indices {
      for fault in try await corpus.faults(ofCase: number) { Issue.record("\(fault)") }
    }
  }
}
