import Foundation
import Salangane
import SalanganeFiles
import SalanganeQuantization
import SalanganeStress
import SalanganeTestSupport
import Testing

/// Mixtures of experts and attention over latents with quantised weights.
@Suite struct QuantizedMixtureTests {
  private static let shapes = [SmallShape.experts, SmallShape.latent]

  /// All logits, some positions at a time.
  private func logits(_ path: String, _ tokens: [Int32], chunk: Int, _ options: ModelOptions) async throws
    -> [Float]
  {
    let model = try await LanguageModel(contentsOf: URL(fileURLWithPath: path), options: options)
    var all: [Float] = []
    try await model.forEachLogits(tokens: tokens, chunk: chunk) { all += $0 }
    return all
  }

  /// Whole or in chunks, on one thread or several, packed or from the file: the same bits; and near those of floats.
  @Test(arguments: [0, 1], [QuantizationScheme.q4_0, .q8_0, .q6_K])
  func cutsChangeNoBit(shape: Int, scheme: QuantizationScheme) async throws {
    let directory = try TemporaryDirectory()
    let path = directory.path("model.gguf")
    try await ModelSynthesizer(Self.shapes[shape], scheme: scheme, seed: 11).write(to: path)
    var random = SplitMix64(seed: 3)
    let tokens = (0..<90).map { _ in Int32.random(in: 0..<290, using: &random) }
    let whole = try await logits(path, tokens, chunk: 512, .init(threads: 1))
    for (chunk, threads, packs) in [(1, 2, true), (7, 3, true), (90, 2, false), (13, 1, false)] {
      let options = ModelOptions(threads: threads, repacksWeights: packs)
      #expect(
        try await logits(path, tokens, chunk: chunk, options) == whole, "\(chunk), \(threads), \(packs)")
    }
    let exact = try await logits(path, tokens, chunk: 512, .init(precision: .float))
    // Here and there a row goes to another expert: most rows are near.
    let columns = whole.count / tokens.count
    let errors = tokens.indices.map { row in
      let range = row * columns..<(row + 1) * columns
      let difference = zip(whole[range], exact[range]).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
      return (difference / exact[range].reduce(0) { $0 + $1 * $1 }).squareRoot()
    }
    #expect(errors.sorted()[errors.count / 2] < 0.1)
    #expect(errors.max()! > 0)
  }

  /// Weights that are used from the file take no memory.
  @Test(arguments: [0, 1])
  func mappedExpertsTakeNoMemory(shape: Int) async throws {
    let directory = try TemporaryDirectory()
    let path = directory.path("model.gguf")
    try await ModelSynthesizer(Self.shapes[shape], scheme: .q8_0, seed: 11).write(to: path)
    let checkpoint = try Checkpoint(path: path)
    let packed = try ModelMemory(checkpoint, .init()).weights
    let mapped = try ModelMemory(checkpoint, .init(repacksWeights: false)).weights
    // What is left are the routers, which stay floats.
    let routers = checkpoint.tensors.filter { $0.name.contains("ffn_gate_inp") }
    #expect(mapped == routers.reduce(0) { $0 + $1.elementCount * 4 } * 2)
    #expect(packed > 20 * mapped)
  }
}
