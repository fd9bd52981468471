import Foundation
import Salangane
import SalanganeTestSupport
import Testing

@Suite struct SamplerTests {
  /// How often each token is chosen.
  static func shares(
    _ options: SamplingOptions, logits: [Float], draws: Int = 20_000, history: [Int32] = []
  ) -> [Double] {
    var sampler = Sampler(options, vocabularySize: logits.count, seed: 42)
    for id in history { sampler.accept(id) }
    var counts = [Double](repeating: 0, count: logits.count)
    for _ in 0..<draws {
      var values = logits
      counts[Int(values.withUnsafeMutableBufferPointer { sampler.choose($0) })] += 1
    }
    return counts.map { $0 / Double(draws) }
  }

  static func softmax(_ logits: [Float], temperature: Double = 1) -> [Double] {
    let weights = logits.map { exp(Double($0) / temperature) }
    let sum = weights.reduce(0, +)
    return weights.map { $0 / sum }
  }

  static func isClose(_ a: [Double], _ b: [Double]) -> Bool {
    zip(a, b).allSatisfy { abs($0 - $1) < 0.015 }
  }

  static let logits: [Float] = [1, 2.5, -0.5, 0, 2, -3]

  @Test func greedyTakesTheLowestOfTheBest() {
    #expect(Self.shares(.greedy, logits: [0, 3, 3, 1], draws: 10) == [0, 1, 0, 0])
  }

  @Test(arguments: [0.5, 1, 2] as [Float])
  func temperature(value: Float) {
    let found = Self.shares(.init(temperature: value), logits: Self.logits)
    #expect(Self.isClose(found, Self.softmax(Self.logits, temperature: Double(value))))
  }

  /// Renormalised over the tokens that should be left.
  func expected(_ kept: Set<Int>) -> [Double] {
    let all = Self.softmax(Self.logits)
    let sum = kept.reduce(0) { $0 + all[$1] }
    return all.indices.map { kept.contains($0) ? all[$0] / sum : 0 }
  }

  @Test func cutOffs() {
    // Probabilities: 0.111, 0.499, 0.025, 0.041, 0.302, 0.002... in the order of the ids, about.
    for (options, kept) in [
      (SamplingOptions(temperature: 1, topK: 2), [1, 4]),
      (SamplingOptions(temperature: 1, topK: 100), [0, 1, 2, 3, 4, 5]),
      (SamplingOptions(temperature: 1, topP: 0.4), [1]),
      (SamplingOptions(temperature: 1, topP: 0.6), [1, 4]),
      (SamplingOptions(temperature: 1, topP: 0.9), [0, 1, 4]),
      (SamplingOptions(temperature: 1, minP: 0.5), [1, 4]),
      (SamplingOptions(temperature: 1, minP: 1), [1]),
      (SamplingOptions(temperature: 1, topK: 3, topP: 0.6), [1, 4]),
    ] {
      #expect(Self.isClose(Self.shares(options, logits: Self.logits), expected(Set(kept))), "\(options)")
    }
  }

  /// Against the definition, worked out here the slow way.
  @Test(arguments: [0.2, 0.5, 0.9] as [Double])
  func typical(share: Double) {
    let all = Self.softmax(Self.logits)
    let entropy = -all.reduce(0) { $0 + $1 * log($1) }
    let order = all.indices.sorted { abs(-log(all[$0]) - entropy) < abs(-log(all[$1]) - entropy) }
    var kept: Set<Int> = []
    var sum = 0.0
    for index in order where kept.isEmpty || sum < share {
      kept.insert(index)
      sum += all[index]
    }
    let found = Self.shares(.init(temperature: 1, typicalP: Float(share)), logits: Self.logits)
    #expect(Self.isClose(found, expected(kept)))
  }

  @Test func penalties() {
    let history: [Int32] = [1, 1, 3]
    var repeated = Self.logits
    repeated[1] /= 1.5
    repeated[3] /= 1.5
    #expect(
      Self.isClose(
        Self.shares(.init(temperature: 1, repetitionPenalty: 1.5), logits: Self.logits, history: history),
        Self.softmax(repeated)))
    var counted = Self.logits
    counted[1] -= 2 * 0.5 + 0.25
    counted[3] -= 0.5 + 0.25
    #expect(
      Self.isClose(
        Self.shares(
          .init(temperature: 1, presencePenalty: 0.25, frequencyPenalty: 0.5), logits: Self.logits,
          history: history), Self.softmax(counted)))
    // Only the last token is in the window.
    var last = Self.logits
    last[3] -= 4
    #expect(
      Self.isClose(
        Self.shares(
          .init(temperature: 1, presencePenalty: 4, penaltyWindow: 1), logits: Self.logits,
          history: history), Self.softmax(last)))
    #expect(
      Self.isClose(
        Self.shares(
          .init(temperature: 1, presencePenalty: 4, penaltyWindow: 0), logits: Self.logits,
          history: history), Self.softmax(Self.logits)))
  }

  @Test func biasForbidsAndForces() {
    let bias: [Int32: Float] = [1: -.infinity, 5: 100]
    #expect(Self.shares(.init(temperature: 1, logitBias: bias), logits: Self.logits, draws: 50)[5] == 1)
    #expect(Self.shares(.init(logitBias: [1: -.infinity]), logits: Self.logits, draws: 1)[4] == 1)
  }

  @Test func aSeedGivesTheSameDraws() {
    func draws(_ seed: UInt64) -> [Int32] {
      var sampler = Sampler(.init(temperature: 1.5), vocabularySize: 6, seed: seed)
      return (0..<200).map { _ in
        var values = Self.logits
        return values.withUnsafeMutableBufferPointer { sampler.choose($0) }
      }
    }
    #expect(draws(7) == draws(7))
    #expect(draws(7) != draws(8))
  }

  @Test func logarithmsOfProbabilities() {
    var logits = Self.logits
    let all = Self.softmax(logits)
    for id in logits.indices {
      let found = logits.withUnsafeMutableBufferPointer { logProbability(of: Int32(id), in: $0) }
      #expect(abs(Double(found) - log(all[id])) < 1e-5)
    }
  }

  @Test func valuesOutOfRangeAreNamed() {
    #expect(SamplingOptions().invalidValue(vocabularySize: 10) == nil)
    for (options, name) in [
      (SamplingOptions(temperature: -1), "temperature"), (SamplingOptions(temperature: .nan), "temperature"),
      (SamplingOptions(topK: -1), "top-k"), (SamplingOptions(topP: 0), "top-p"),
      (SamplingOptions(topP: 1.1), "top-p"), (SamplingOptions(minP: 2), "min-p"),
      (SamplingOptions(typicalP: 0), "typical-p"),
      (SamplingOptions(repetitionPenalty: 0), "repetition penalty"),
      (SamplingOptions(presencePenalty: .infinity), "presence penalty"),
      (SamplingOptions(frequencyPenalty: .nan), "frequency penalty"),
      (SamplingOptions(penaltyWindow: -2), "penalty window"),
      (SamplingOptions(logitBias: [10: 1]), "logit bias"),
      (SamplingOptions(logitBias: [1: .nan]), "logit bias"),
    ] {
      #expect(options.invalidValue(vocabularySize: 10)?.name == name)
    }
  }
}

/// A tokenizer whose tokens are single bytes, to cut characters apart.
struct ByteTokenizer: TextTokenizer {
  var vocabularySize: Int { 257 }
  var specialTokens: SpecialTokens { SpecialTokens() }
  func encode(_ text: String, options: EncodingOptions) throws(TokenizerError) -> TokenizedText {
    TokenizedText(ids: text.utf8.map { Int32($0) }, typeIDs: text.utf8.map { _ in 0 }, isTruncated: false)
  }
  func encode(
    _ first: String, and second: String, options: EncodingOptions
  ) throws(TokenizerError) -> TokenizedText { try encode(first + second, options: options) }
  func decode(_ ids: [Int32], skippingSpecialTokens: Bool) throws(TokenizerError) -> String {
    String(decoding: ids.map { UInt8(truncatingIfNeeded: $0) }, as: UTF8.self)
  }
  func appendText(of id: Int32, isFirst: Bool, to utf8: inout [UInt8]) throws(TokenizerError) {
    guard (0..<257).contains(id) else { throw .unknownID(id, vocabularySize: 257) }
    utf8.append(contentsOf: id < 256 ? [UInt8(id)] : Array("<end>".utf8))
  }
  func token(for id: Int32) -> String? { nil }
  func id(for token: String) -> Int32? { nil }
  func isSpecial(_ id: Int32) -> Bool { id == 256 }
}

@Suite struct TextStreamerTests {
  /// Every piece that comes out, and the stop string.
  static func stream(
    _ bytes: [UInt8], stops: [String] = []
  ) throws -> (pieces: [String], stop: String?) {
    var streamer = TextStreamer(ByteTokenizer(), stopStrings: stops, includesSpecialTokens: false)
    var pieces: [String] = []
    for byte in bytes {
      pieces.append(streamer.append(Int32(byte)))
      if streamer.stopString != nil { return (pieces, streamer.stopString) }
    }
    pieces.append(streamer.finish())
    return (pieces, streamer.stopString)
  }

  @Test(arguments: ["plain", "größer", "日本語", "👨‍👩‍👧 é", "a\u{301}"])
  func charactersComeWhole(text: String) throws {
    let (pieces, _) = try Self.stream(Array(text.utf8))
    #expect(pieces.joined().utf8.elementsEqual(text.utf8))
    #expect(!pieces.contains { $0.unicodeScalars.contains("\u{FFFD}") })
    #expect(pieces.count == text.utf8.count + 1)
  }

  @Test func brokenSequencesBecomeReplacementsAndNothingIsLost() throws {
    let bytes: [UInt8] = [0x61, 0xFF, 0x62, 0xE6, 0x97, 0x63, 0x80, 0xF0, 0x9F]
    let (pieces, _) = try Self.stream(bytes)
    #expect(pieces.joined() == String(decoding: bytes, as: UTF8.self))
  }

  @Test func stopStringsEndTheText() throws {
    let (pieces, stop) = try Self.stream(Array("one END two".utf8), stops: ["STOP", "END"])
    #expect(pieces.joined() == "one " && stop == "END")
    // What only began like a stop string comes out later.
    let (other, none) = try Self.stream(Array("EN EEND".utf8), stops: ["ENDS"])
    #expect(other.joined() == "EN EEND" && none == nil)
    #expect(other[0].isEmpty && other[1].isEmpty && other[2] == "EN ")
    let (first, winner) = try Self.stream(Array("xabc".utf8), stops: ["bc", "abc"])
    #expect(first.joined() == "x" && winner == "abc")
    let (all, unused) = try Self.stream(Array("text".utf8), stops: [""])
    #expect(all.joined() == "text" && unused == nil)
  }

  @Test func specialTokensStayOutUnlessWanted() throws {
    var hidden = TextStreamer(ByteTokenizer(), stopStrings: [], includesSpecialTokens: false)
    #expect(hidden.append(256).isEmpty && hidden.finish().isEmpty)
    var shown = TextStreamer(ByteTokenizer(), stopStrings: [], includesSpecialTokens: true)
    #expect(shown.append(256) == "<end>")
    #expect(shown.append(300).isEmpty)
  }
}
