import Foundation
import Salangane
import SalanganeKernels
import SalanganeTestSupport
import Testing

@Suite struct BenchTests {
  @Test func measuresEmbedding() async throws {
    let arguments = [
      "bench", "--embed", "--model", TinyModel.directory, "-b", "3", "-p", "16", "-r", "4", "-t", "2",
    ]
    let result = try await Command.run(arguments + ["--format", "json"])
    #expect(result.status == 0, "\(result.errors)")
    let tests = try #require(try result.json() as? [[String: Any]])
    let test = try #require(tests.first)
    #expect(tests.count == 1)
    #expect(test["test"] as? String == "embed3x16")
    #expect(test["depth"] as? Int == 0)
    #expect(test["batch"] as? Int == 3)
    #expect(test["threads"] as? Int == 2)
    #expect(test["backend"] as? String == "native")
    let rates = try #require(test["tokens_per_second"] as? [String: Double])
    let seconds = try #require(test["seconds"] as? [String: Double])
    for summary in [rates, seconds] {
      let (least, middle, most) = (summary["min"] ?? 0, summary["median"] ?? 0, summary["max"] ?? 0)
      #expect(0 < least && least <= middle && middle <= most)
    }
    #expect(abs((rates["max"] ?? 0) * (seconds["min"] ?? 0) - 48) < 1e-6)
    let samples = try #require(test["samples"] as? [Double])
    #expect(samples.count == 4 && samples.min() == seconds["min"] && samples.max() == seconds["max"])
    #expect((test["first_seconds"] as? Double ?? 0) > 0 && (test["load_seconds"] as? Double ?? 0) > 0)
    #expect(test["phases"] == nil)
    let csv = try await Command.run(arguments + ["--format", "csv"])
    #expect(csv.lines.map { $0.split(separator: ",").count } == [12, 12])
    let text = try await Command.run(arguments)
    #expect(text.text.hasPrefix("embed3x16: "))
  }

  /// The phases of a run add up to no more than the run, and weights are met once a call.
  @Test(arguments: [true, false]) func tellsWhereTheTimeGoes(embeds: Bool) async throws {
    let directory = try TemporaryDirectory()
    var model = TinyModel.directory
    if !embeds {
      model = directory.path("model.gguf")
      let made = try await Command.run([
        "synthesize", "qwen3-0.6b", model, "--type", "Q4_0", "--layers", "2",
      ])
      #expect(made.status == 0, "\(made.errors)")
    }
    let work = embeds ? ["--embed", "-b", "2"] : ["-n", "3"]
    let result = try await Command.run(
      ["bench", "--model", model, "-p", "8", "-r", "2", "-t", "2", "--phases", "--format", "json"] + work)
    #expect(result.status == 0, "\(result.errors)")
    let tests = try #require(try result.json() as? [[String: Any]])
    #expect(tests.count == (embeds ? 1 : 2))
    for test in tests {
      let phases = try #require(test["phases"] as? [[String: Any]])
      let names = phases.compactMap { $0["phase"] as? String }
      let expected = ["embedding", "norm", "projection", "attention", "feed-forward"]
      #expect(Set(expected).isSubset(of: names))
      #expect(names.contains("pooling") == embeds)
      #expect(names.contains("sampling") == (test["test"] as? String == "tg3"))
      let seconds = phases.compactMap { $0["seconds"] as? Double }
      let samples = try #require(test["samples"] as? [Double])
      #expect(seconds.count == phases.count && seconds.allSatisfy { $0 > 0 })
      let whole: Double = samples.reduce(0, +) / 2
      let sum: Double = seconds.reduce(0, +)
      #expect(sum <= whole * 1.01)
      for phase in phases where phase["phase"] as? String == "projection" {
        // Two products in each of two layers.
        let runs = test["test"] as? String == "tg3" ? 3 : 1
        #expect(phase["calls"] as? Double == Double(2 * 2 * runs))
        #expect((phase["bytes"] as? Double ?? 0) > 0)
      }
    }
  }

  /// The ids that other programs compute too, so that they read the same prompts.
  @Test func drawsTokensThatOthersCanDraw() {
    var stream = TokenStream(seed: 1, vocabularySize: 30522)
    let ids = stream.next(3) + stream.next(2)
    #expect(ids == [11702, 5151, 19122, 21756, 16782])
  }

  /// The kernels are those that the CPU allows: ours here, or the one that `SALANGANE_EXPECTED_ISA` speaks
  /// of if the command runs on an emulated one.
  @Test func usesTheBestInstructionSet() async throws {
    let environment = ProcessInfo.processInfo.environment
    let expected = try environment["SALANGANE_EXPECTED_ISA"] ?? InstructionSet.preferred.rawValue
    let result = try await Command.run(
      [
        "bench", "--embed", "--model", TinyModel.directory, "-b", "1", "-p", "8", "-r", "1", "--format",
        "json",
      ])
    let tests = try #require(try result.json() as? [[String: Any]])
    #expect(tests.first?["isa"] as? String == expected)
    let best = try #require(InstructionSet(rawValue: expected))
    for set in InstructionSet.allCases where set > best {
      let refused = try await Command.run([
        "embed", "--model", TinyModel.directory, "--isa", set.rawValue, "a",
      ])
      #expect(refused.status == 64)
    }
  }

  @Test func measuresBatches() async throws {
    let model = TestFiles.golden("rerankers/untied")
    let arguments = ["bench", "--model", model, "-n", "6", "-d", "20", "-r", "2", "-t", "2"]
    for (batch, prompt) in [(1, 16), (3, 0), (40, 0)] {
      let result = try await Command.run(
        arguments + ["-b", "\(batch)", "-p", "\(prompt)", "--format", "json"])
      #expect(result.status == 0, "\(result.errors)")
      let tests = try #require(try result.json() as? [[String: Any]])
      #expect(tests.map { $0["test"] as? String } == (prompt > 0 ? ["pp16", "tg6"] : ["tg6"]))
      for test in tests {
        let isPrompt = test["test"] as? String == "pp16"
        #expect(test["batch"] as? Int == (isPrompt ? 1 : batch))
        #expect(test["depth"] as? Int == 20)
        // The tokens of all sequences are counted.
        let rates = try #require(test["tokens_per_second"] as? [String: Double])
        let seconds = try #require(test["seconds"] as? [String: Double])
        let tokens = (rates["max"] ?? 0) * (seconds["min"] ?? 0)
        #expect(abs(tokens - Double(isPrompt ? 16 : 6 * batch)) < 1e-6)
      }
    }
    for batch in ["0", "257"] {
      #expect(try await Command.run(arguments + ["-b", batch]).status == 64)
    }
  }
}
