import Foundation
import Salangane
import SalanganeFiles
import SalanganeTestSupport

/// What a request is at.
final class StressPhase: Sendable {
  private let phase = Locked("waiting for its task")

  /// The name of the phase.
  var name: String { phase.withLock { $0 } }

  /// Goes on to the next phase.
  func enter(_ name: String) { phase.withLock { $0 = name } }
}

/// One kind of request, and whether its answer had the bits that it must have.
struct StressRequest: Sendable {
  let name: String
  /// Sends the request, and tells what it is at; true if the answer is the reference, bit by bit.
  let run: @Sendable (_ random: inout SplitMix64, _ phase: StressPhase) async throws -> Bool
}

/// Models with the answers that they gave when nothing else was going on.
///
/// Besides the tiny models of the tests there may be a larger one, whose layers take long enough to be cancelled in.
package struct StressWork: Sendable {
  private(set) var requests: [StressRequest] = []

  private static let texts = 120

  /// Token sequences of 1 to 48 tokens that every model of the tests has.
  package static func sequences(_ count: Int, seed: UInt64 = 1) -> [[Int32]] {
    var random = SplitMix64(seed: seed)
    return (0..<count).map { _ in
      (0..<Int.random(in: 1...48, using: &random)).map { _ in Int32.random(in: 0..<150, using: &random) }
    }
  }

  /// Loads models, and asks each for its references.
  ///
  /// - Parameters:
  ///   - directory: Takes models that are made for the run.
  ///   - large: The path of a further model that generates; nil for none.
  package init(in directory: TemporaryDirectory, large: String?) async throws {
    let goldens = ["bert/wide", "bert/wide-q8_0.gguf", "rerankers/embedding"].map { TestFiles.golden($0) }
    for path in goldens { try await addEmbedder(path) }
    for path in ["rerankers/qwen3.gguf", "bert/cross"] { try await addReranker(TestFiles.golden(path)) }
    try await addLanguageModel(TestFiles.golden("rerankers/untied"), promptLength: 100)
    for (index, shape) in [SmallShape.experts, SmallShape.latent].enumerated() {
      let path = directory.path("\(index).gguf")
      try await ModelSynthesizer(shape, scheme: .q8_0, seed: 5).write(to: path)
      try await addLanguageModel(path, promptLength: 90)
    }
    if let large { try await addLanguageModel(large, promptLength: 700, isLarge: true) }
  }

  /// Vectors of any part of some texts, from a model that is shared or loaded for the request.
  private mutating func addEmbedder(_ path: String) async throws {
    let url = URL(fileURLWithPath: path)
    let embedder = try await Embedder(contentsOf: url)
    let sequences = Self.sequences(Self.texts, seed: 31)
    let expected = try await embedder.embed(tokens: sequences)
    let compare: @Sendable (Embedder, Range<Int>) async throws -> Bool = { embedder, range in
      let found = try await embedder.embed(tokens: Array(sequences[range]))
      return range.indices.allSatisfy { found[$0 - range.lowerBound].elementsEqual(expected[$0]) }
    }
    let name = (path as NSString).lastPathComponent
    requests.append(
      StressRequest(name: "embed \(name)") { random, phase in
        phase.enter("embedding")
        let first = Int.random(in: 0..<Self.texts, using: &random)
        return try await compare(
          embedder, first..<Int.random(in: first + 1...Self.texts, using: &random))
      })
    requests.append(
      StressRequest(name: "load \(name)") { random, phase in
        let options = ModelOptions(
          threads: Int.random(in: 1...3, using: &random), isMemoryMapped: Bool.random(using: &random),
          batchTokens: Int.random(in: 1...500, using: &random))
        phase.enter("loading")
        let loaded = try await Embedder(contentsOf: url, options: options)
        phase.enter("embedding")
        return try await compare(loaded, 0..<20)
      })
  }

  private mutating func addReranker(_ path: String) async throws {
    let url = URL(fileURLWithPath: path)
    let reranker = try await Reranker(contentsOf: url)
    let documents = (0..<24).map {
      "the swift flies over the sea " + String(repeating: "and on ", count: $0 % 7)
    }
    let expected = try await reranker.score(query: "a bird", documents: documents)
    let name = (path as NSString).lastPathComponent
    requests.append(
      StressRequest(name: "rerank \(name)") { random, phase in
        phase.enter("scoring")
        let count = Int.random(in: 1...documents.count, using: &random)
        return try await reranker.score(query: "a bird", documents: Array(documents.prefix(count)))
          == Array(expected.prefix(count))
      })
    requests.append(
      StressRequest(name: "load \(name)") { _, phase in
        phase.enter("loading")
        let loaded = try await Reranker(contentsOf: url)
        phase.enter("scoring")
        return try await loaded.score(query: "a bird", documents: documents) == expected
      })
  }

  /// Texts and logits from a model that is shared or loaded for the request, in sessions that are kept or not.
  private mutating func addLanguageModel(
    _ path: String, promptLength: Int, isLarge: Bool = false
  ) async throws {
    let url = URL(fileURLWithPath: path)
    let options = ModelOptions(contextLength: promptLength + 40)
    let model = try await LanguageModel(contentsOf: url, options: options)
    var random = SplitMix64(seed: 41)
    let prompts = (0..<(isLarge ? 2 : 6)).map { _ in
      (0..<Int.random(in: promptLength / 2...promptLength, using: &random)).map { _ in
        Int32.random(in: 0..<250, using: &random)
      }
    }
    let choices = prompts.indices.map { index in
      GenerationOptions(
        maximumTokens: isLarge ? 4 : 16,
        sampling: index % 2 == 0 ? .greedy : SamplingOptions(temperature: 1, seed: UInt64(index)),
        ignoresEndOfSequence: true)
    }
    var texts: [[Int32]] = []
    for (prompt, choice) in zip(prompts, choices) {
      texts.append(try await model.generate(tokens: prompt, options: choice).summary().ids)
    }
    let expected = texts
    let name = (path as NSString).lastPathComponent
    requests.append(
      StressRequest(name: "generate \(name)") { random, phase in
        // Twice in one session: the second time the prompt is there already.
        let session = model.makeSession()
        let index = Int.random(in: prompts.indices, using: &random)
        for turn in 1...Int.random(in: 1...2, using: &random) {
          phase.enter("generating, turn \(turn)")
          let found = try await session.generate(tokens: prompts[index], options: choices[index]).summary()
          if found.ids != expected[index] { return false }
        }
        return true
      })
    requests.append(
      StressRequest(name: "load \(name)") { random, phase in
        phase.enter("loading")
        let loaded = try await LanguageModel(contentsOf: url, options: options)
        phase.enter("generating")
        let index = Int.random(in: prompts.indices, using: &random)
        return try await loaded.generate(tokens: prompts[index], options: choices[index]).summary().ids
          == expected[index]
      })
    guard !isLarge else { return }
    let logits = try await model.logits(tokens: prompts[0])
    requests.append(
      StressRequest(name: "logits \(name)") { _, phase in
        phase.enter("computing logits")
        return try await model.logits(tokens: prompts[0]).elementsEqual(logits)
      })
  }
}
