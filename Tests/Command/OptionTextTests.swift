import SalanganeTestSupport
import Testing

/// Values that begin with a dash: they are texts and numbers, not options.
@Suite struct OptionTextTests {
  @Test(arguments: [
    ["generate", "--prompt", "- a"], ["generate", "--prompt", "--help"],
    ["generate", "--prompt", "a", "--stop", "-", "--stop", "--stop"],
    ["generate", "--prompt", "a", "--repeat-last-n", "-1", "--repeat-penalty", "1.1"],
    ["generate", "--prompt", "a", "--presence-penalty", "-0.5", "--frequency-penalty", "-1e-1"],
    ["rerank", "--query", "-a", "--instruction", "--b", "document"],
    ["embed", "--prompt", "- ", "text"],
  ])
  func areTaken(arguments: [String]) async throws {
    let directory = try TemporaryDirectory()
    let missing = directory.path("missing.gguf")
    // The model is read after the options: its absence is what is left to complain of.
    let result = try await Command.run(arguments + ["--model", missing])
    #expect(result.status == 66, "\(result.errors)")
    #expect(result.errors.contains(missing))
  }
}
