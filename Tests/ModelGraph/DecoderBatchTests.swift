import SalanganeKernels
import SalanganeModelGraph
import SalanganeTensors
import SalanganeTestSupport
import Testing

/// Sequences that run together are what they are alone, bit by bit.
@Suite struct DecoderBatchTests {
  /// Grouped attention with float weights and with a window, quantised weights, mixtures of experts, latents with and
  /// without experts, and all block formats.
  static let models =
    [
      "qwen3", "qwen2_swa", "glm4", "qwen3_moe", "qwen2_moe", "deepseek_v2_lite", "deepseek_v3",
      "glm4_moe_lite",
    ].map { DecoderGolden(name: $0, isGGUF: false) } + QuantizedGolden.all.map(\.golden)

  /// One of the sequences of a run.
  struct Sequence {
    /// The prompt, then what is generated (any tokens do).
    let tokens: [Int32]
    let prompt: Int
    let cache: KVCache
    /// The logits of every token when the sequence runs alone.
    let logits: [Float]
    var position = 0
  }

  /// Sequences of any length, some of latents longer than what meets latents together.
  static func makeSequence(_ session: DecoderSession, _ random: inout SplitMix64) throws -> Sequence {
    let vocabulary = Int32(session.decoder.vocabularySize)
    let most = session.decoder.contextLength
    let isLong = session.decoder.configuration.latent != nil && Int.random(in: 0..<4, using: &random) == 0
    let prompt =
      isLong
      ? min(261, most - 10)
      : Int.random(in: 1...min(160, most - 40), using: &random)
    let count = min(prompt + Int.random(in: 1...12, using: &random), most)
    let tokens = (0..<count).map { _ in Int32.random(in: 0..<vocabulary, using: &random) }
    let alone = session.decoder.makeCache(.f16)
    var logits = try session.logits(Array(tokens[..<prompt]), after: alone)
    for index in prompt..<count {
      logits += try session.logits(Array(tokens[index...index]), after: alone)
    }
    return Sequence(
      tokens: tokens, prompt: prompt, cache: session.decoder.makeCache(.f16), logits: logits)
  }

  /// Batches of 1 to 17 sequences of different depths, which join and leave at any step; parts of prompts and single
  /// tokens side by side.
  @Test(arguments: models, InstructionSet.available)
  func joiningAndLeaving(golden: DecoderGolden, set: InstructionSet) throws {
    let session = try DecoderSession(path: golden.path, set, threads: 2)
    let vocabulary = session.decoder.vocabularySize
    var random = SplitMix64(seed: 99)
    var pool: [Sequence] = []
    for _ in 0..<20 { pool.append(try Self.makeSequence(session, &random)) }
    for size in [1, 2, 3, 5, 8, 17] {
      var waiting = pool.map { sequence in
        Sequence(
          tokens: sequence.tokens, prompt: sequence.prompt, cache: session.decoder.makeCache(.f16),
          logits: sequence.logits)
      }
      waiting.shuffle(using: &random)
      waiting.removeLast(max(0, waiting.count - size - 3))
      var running: [Sequence] = []
      while !waiting.isEmpty || !running.isEmpty {
        while running.count < size, let next = waiting.popLast() { running.append(next) }
        let parts = running.map { sequence in
          let isReading = sequence.position < sequence.prompt
          let most = isReading ? min(sequence.prompt - sequence.position, 100) : 1
          let count = isReading && Int.random(in: 0..<2, using: &random) == 0 ? (most + 1) / 2 : most
          return (
            tokens: sequence.tokens[sequence.position..<sequence.position + count], cache: sequence.cache
          )
        }
        let logits = try session.logits(ofParts: parts)
        for (index, part) in parts.enumerated() {
          running[index].position += part.tokens.count
          let last = running[index].position - 1
          let isSame = logits[index * vocabulary..<(index + 1) * vocabulary]
            .elementsEqual(running[index].logits[last * vocabulary..<(last + 1) * vocabulary])
          #expect(isSame, "\(size) together, position \(last) of \(running[index].tokens.count)")
        }
        running.removeAll { sequence in
          sequence.position == sequence.tokens.count || Int.random(in: 0..<10, using: &random) == 0
        }
      }
    }
  }
}
