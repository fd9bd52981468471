import Foundation
import Salangane
import SalanganeFiles
import SalanganeStress
import SalanganeTestSupport
import Testing

/// What a model answers depends on nothing but its weights, the instruction set and the tokens.
@Suite struct DeterminismTests {
  /// The answers with one way to load and run a model have the bits of every other way.
  @Test(arguments: NumericFaultTests.Model.allCases, InstructionSet.available)
  func everyWay(model: NumericFaultTests.Model, set: InstructionSet) async throws {
    let directory = try TemporaryDirectory()
    let (path, _) = try await model.write(to: directory)
    let expected = try await model.answer(path, .init(threads: 1, instructionSet: set)).map(\.bitPattern)
    for options in [
      ModelOptions(threads: 1), ModelOptions(threads: 2), ModelOptions(threads: 3), ModelOptions(threads: 5),
      ModelOptions(threads: 2, repacksWeights: false), ModelOptions(threads: 2, isMemoryMapped: false),
      ModelOptions(threads: 3, repacksWeights: false, isMemoryMapped: false),
      ModelOptions(threads: 2, batchTokens: 1), ModelOptions(threads: 2, contextLength: 24),
      ModelOptions(threads: 2, cacheBytes: 1 << 22),
    ] {
      var options = options
      options.instructionSet = set
      #expect(try await model.answer(path, options).map(\.bitPattern) == expected, "\(options)")
    }
  }

  /// The same request again and again, to one model, with others in between.
  @Test func repeats() async throws {
    let embedder = try await Embedder(contentsOf: EmbedderDeterminismTests.url, options: .init(threads: 3))
    let golden = try GenerationGolden()
    let model = try await GenerationGolden.model(threads: 3)
    let options = GenerationOptions(
      maximumTokens: 12, sampling: .init(temperature: 1, seed: 9), ignoresEndOfSequence: true)
    let sequences = StressWork.sequences(20)
    let vectors = try await embedder.embed(tokens: sequences)
    let logits = try await model.logits(tokens: golden.prompt)
    let text = try await model.generate(tokens: golden.prompt, options: options).summary().ids
    for round in 0..<25 {
      #expect(try await embedder.embed(tokens: sequences) == vectors)
      _ = try await embedder.embed(tokens: [Array(sequences[round % 20].reversed())])
      #expect(try await model.logits(tokens: golden.prompt) == logits)
      #expect(try await model.generate(tokens: golden.prompt, options: options).summary().ids == text)
    }
  }
}
