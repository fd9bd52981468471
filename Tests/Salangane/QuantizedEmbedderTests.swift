import Foundation
import Salangane
import SalanganeFiles
import SalanganeKernels
import SalanganeStress
import SalanganeTestSupport
import Testing

/// The cosine of the angle between two vectors.
private func cosine(_ a: some Sequence<Float>, _ b: some Sequence<Float>) -> Double {
  var sums = (product: 0.0, a: 0.0, b: 0.0)
  for (x, y) in zip(a, b) {
    sums.product += Double(x) * Double(y)
    sums.a += Double(x) * Double(x)
    sums.b += Double(y) * Double(y)
  }
  return sums.product / (sums.a * sums.b).squareRoot()
}

/// Embedders whose weights and activations meet as integers of 8 bits.
@Suite struct QuantizedEmbedderTests {
  /// Weights that are stored as integers, and float weights that become integers as they are loaded.
  static let models: [(model: GoldenModel, precision: WeightPrecision)] = GoldenModel.all.map { model in
    (model, model.model.contains("q4_0") || model.model.contains("q8_0") ? .stored : .int8)
  }

  private static func embedder(
    _ index: Int, threads: Int? = nil, _ set: InstructionSet? = nil, repacks: Bool = true
  ) async throws -> Embedder {
    try await Embedder(
      contentsOf: models[index].model.url,
      options: .init(
        threads: threads, instructionSet: set, precision: models[index].precision, repacksWeights: repacks))
  }

  @Test(arguments: models.indices, InstructionSet.available)
  func vectorsPointTheSameWay(index: Int, set: InstructionSet) async throws {
    let model = Self.models[index].model
    let arrays = try model.arrays()
    let sequences = try model.sequences(arrays)
    let vectors = try await Self.embedder(index, set).embed(tokens: sequences)
    var isExact = true
    for (index, vector) in (0..<vectors.count).map({ ($0, vectors[$0]) }) {
      let expected = try arrays["mean\(index)"].floats()
      #expect(cosine(vector, expected) > 0.999, "sequence \(index)")
      if worstDifference(vector, expected) > 2e-5 { isExact = false }
    }
    // Inputs that aren't a multiple of 32 stay floats.
    #expect(isExact == (model.model == "bert/odd"))
  }

  /// Alone or in a batch, on any number of threads, packed or not: the same bits.
  @Test(arguments: [0, models.count - 1, models.count - 2], InstructionSet.available)
  func sameBitsInEveryCompany(index: Int, set: InstructionSet) async throws {
    let sequences = StressWork.sequences(40)
    let whole = try await Self.embedder(index, threads: 1, set).embed(tokens: sequences)
    for (threads, repacks) in [(1, false), (2, true), (3, false), (5, true)] {
      let embedder = try await Self.embedder(index, threads: threads, set, repacks: repacks)
      #expect(try await embedder.embed(tokens: sequences) == whole)
      for position in stride(from: 0, to: sequences.count, by: 7) {
        let alone = try await embedder.embed(tokens: [sequences[position]])
        #expect(Array(alone[0]) == Array(whole[position]))
      }
    }
  }

  @Test(arguments: [0, models.count - 1])
  func manyAtOnce(index: Int) async throws {
    let embedder = try await Self.embedder(index)
    let sequences = StressWork.sequences(100, seed: 4)
    let expected = try await embedder.embed(tokens: sequences)
    try await withThrowingTaskGroup(of: (Int, [Float]).self) { group in
      for (index, sequence) in sequences.enumerated() {
        group.addTask { (index, try await embedder.embed(tokens: [sequence]).values) }
      }
      for try await (index, vector) in group { #expect(vector == Array(expected[index])) }
    }
  }

  /// all-MiniLM-L6-v2 with weights of 8 bits, on over 200 texts.
  @Test(
    .enabled(
      if: MiniLMTests.directory != nil, "all-MiniLM-L6-v2 isn't in the cache: run Scripts/fetch-minilm"))
  func miniLM() async throws {
    let file = TestFiles.golden("minilm/texts.json")
    let texts = try JSONDocument(TestFiles.read(file), file: file).root.elements.map { $0.string! }
    let expected = try NumPyArchive(contentsOf: TestFiles.golden("minilm/ref.npz"))["embeddings"].floats()
    let embedder = try await Embedder(
      contentsOf: #require(MiniLMTests.directory), options: .init(precision: .int8))
    let vectors = try await embedder.embed(texts)
    #expect(texts.count >= 200)
    let cosines = texts.indices.map { cosine(vectors[$0], expected[$0 * 384..<$0 * 384 + 384]) }
    // The texts are chosen to be odd: a good part of them is a single unknown token.
    #expect(try #require(cosines.min()) > 0.998)
    #expect(cosines.reduce(0, +) / Double(cosines.count) > 0.999)
  }
}

/// Generation with quantised weights, from files as `salangane synthesize` makes them.
@Suite struct QuantizedGenerationTests {
  private static let options = GenerationOptions(maximumTokens: 10, ignoresEndOfSequence: true)

  /// Greedy tokens after each of some prompts.
  private func greedy(_ model: LanguageModel, _ prompts: [[Int32]]) async throws -> [[Int32]] {
    var found: [[Int32]] = []
    for prompt in prompts {
      found.append(try await model.generate(tokens: prompt, options: Self.options).summary().ids)
    }
    return found
  }

  @Test(arguments: [QuantizationScheme.q4_0, .q4_K_M, .q8_0])
  func greedyOnAnyThreads(scheme: QuantizationScheme) async throws {
    let directory = try TemporaryDirectory()
    let path = directory.path("model.gguf")
    try await ModelSynthesizer(SmallShape.dense, scheme: scheme).write(to: path)
    let url = URL(fileURLWithPath: path)
    let prompts: [[Int32]] = [[5], [7, 200, 12], (0..<40).map { Int32($0 * 7 % 200) }]
    var expected: [[Int32]]?
    for (threads, repacks) in [(1, true), (2, false), (3, true)] {
      let model = try await LanguageModel(
        contentsOf: url, options: .init(threads: threads, repacksWeights: repacks))
      let found = try await greedy(model, prompts)
      #expect(found.allSatisfy { $0.count == 10 })
      #expect(found == expected ?? found)
      expected = found
      // All at once, in sessions of their own.
      let together = try await withThrowingTaskGroup(of: (Int, [Int32]).self) { group in
        for (index, prompt) in (prompts + prompts).enumerated() {
          group.addTask {
            (index, try await model.generate(tokens: prompt, options: Self.options).summary().ids)
          }
        }
        return try await group.reduce(into: [[Int32]](repeating: [], count: 6)) { $0[$1.0] = $1.1 }
      }
      #expect(together == found + found)
    }
  }
}
