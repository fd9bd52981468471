import Foundation
import Salangane
import SalanganeTestSupport
import Testing

/// A tiny language model with a tokenizer, and what transformers generates with it:
/// `Tests/Goldens/make_rerankers.py` makes both.
struct GenerationGolden {
  static let url = URL(fileURLWithPath: TestFiles.golden("rerankers/untied"))

  let prompt: [Int32]
  let ids: [Int32]
  let logProbabilities: [Float]

  init() throws {
    let arrays = try AnswerGolden.arrays("qwen3")
    prompt = try arrays["prompt_ids"].elements(Int32.self)
    ids = try arrays["greedy"].elements(Int32.self)
    logProbabilities = try arrays["greedy_log"].floats()
  }

  /// A model that computes as the reference does, with keys and values as they are.
  static func model(
    threads: Int? = nil, contextLength: Int? = nil, _ set: InstructionSet? = nil
  ) async throws -> LanguageModel {
    try await LanguageModel(
      contentsOf: url,
      options: .init(threads: threads, instructionSet: set, contextLength: contextLength, cacheType: .f32))
  }

  /// Options under which one token is always the most probable.
  static func only(_ id: Int32, _ options: GenerationOptions = .init()) -> GenerationOptions {
    var options = options
    options.sampling.logitBias = [id: 1000]
    return options
  }
}

@Suite struct GenerationTests {
  @Test(arguments: InstructionSet.available)
  func greedyIsTransformers(set: InstructionSet) async throws {
    let golden = try GenerationGolden()
    let model = try await GenerationGolden.model(set)
    var ids: [Int32] = []
    var logProbabilities: [Float] = []
    var text = ""
    var summaries: [GenerationSummary] = []
    let options = GenerationOptions(maximumTokens: golden.ids.count, ignoresEndOfSequence: true)
    for try await event in model.generate("The swiftlet finds its way in the dark", options: options) {
      #expect(summaries.isEmpty, "the summary comes last")
      switch event {
      case .text(let piece):
        ids += piece.ids
        logProbabilities += piece.logProbabilities
        text += piece.text
      case .finished(let summary): summaries.append(summary)
      }
    }
    #expect(ids == golden.ids)
    #expect(worstDifference(logProbabilities, golden.logProbabilities) < 1e-4)
    let summary = try #require(summaries.first)
    #expect(summary.ids == ids && summary.text == text && summary.stopReason == .maximumTokens)
    #expect(summary.promptTokens == golden.prompt.count && summary.cachedTokens == 0)
    #expect(summary.promptSeconds > 0 && summary.generationSeconds > 0)
    // Ids beyond the tokenizer's, which fill up the table, have no text.
    #expect(ids.contains { Int($0) >= model.tokenizer.vocabularySize })
    let known = ids.filter { Int($0) < model.tokenizer.vocabularySize }
    #expect(try model.tokenizer.decode(known) == text)
  }

  @Test func sessionsReuseWhatIsShared() async throws {
    let golden = try GenerationGolden()
    let model = try await GenerationGolden.model()
    let options = GenerationOptions(maximumTokens: 10, ignoresEndOfSequence: true)
    let session = model.makeSession()
    let first = try await session.generate(tokens: golden.prompt, options: options).summary()
    #expect(first.ids == Array(golden.ids.prefix(10)) && first.cachedTokens == 0)
    // The last token was chosen, but never run.
    let turn = golden.prompt + first.ids + golden.prompt.prefix(5)
    let second = try await session.generate(tokens: turn, options: options).summary()
    let fresh = try await model.generate(tokens: turn, options: options).summary()
    #expect(second.cachedTokens == golden.prompt.count + 9 && fresh.cachedTokens == 0)
    #expect(second.ids == fresh.ids && second.text == fresh.text)
    // The same again: all but the last token are there. Then something else, and a shorter prompt.
    let again = try await session.generate(tokens: turn, options: options).summary()
    #expect(again.ids == fresh.ids && again.cachedTokens == turn.count - 1)
    let other = Array(golden.prompt.prefix(7)) + golden.prompt.reversed()
    let third = try await session.generate(tokens: other, options: options).summary()
    #expect(third.ids == (try await model.generate(tokens: other, options: options).summary().ids))
    #expect(third.cachedTokens >= 7)
    let short = try await session.generate(tokens: Array(golden.prompt.prefix(3)), options: options).summary()
    #expect(short.cachedTokens == 2)
    #expect(
      short.ids
        == (try await model.generate(tokens: Array(golden.prompt.prefix(3)), options: options).summary().ids))
  }

  @Test func sameSeedSameText() async throws {
    let golden = try GenerationGolden()
    var options = GenerationOptions(maximumTokens: 30, ignoresEndOfSequence: true)
    options.sampling = .init(temperature: 1.5, topP: 0.98, repetitionPenalty: 1.1, seed: 7)
    let one = try await GenerationGolden.model(threads: 1)
    let two = try await GenerationGolden.model(threads: 2)
    let text = try await one.generate(tokens: golden.prompt, options: options).summary()
    #expect(try await two.generate(tokens: golden.prompt, options: options).summary().ids == text.ids)
    // A stream may be looped over again; every loop is a generation of its own.
    let stream = one.generate(tokens: golden.prompt, options: options)
    #expect(try await stream.summary().ids == text.ids)
    #expect(try await stream.summary().ids == text.ids)
    options.sampling.seed = 8
    #expect(try await two.generate(tokens: golden.prompt, options: options).summary().ids != text.ids)
    options.sampling.seed = nil
    let free = try await two.generate(tokens: golden.prompt, options: options).summary().ids
    #expect(try await two.generate(tokens: golden.prompt, options: options).summary().ids != free)
  }

  // MARK: Ends

  @Test func stopStrings() async throws {
    let model = try await GenerationGolden.model()
    let yes = try #require(model.tokenizer.id(for: "yes"))
    for (stops, text, tokens) in [
      (["yes"], "", 1), (["sy"], "ye", 2), (["esyesy"], "y", 3), (["", "x", "no", "sy"], "ye", 2),
      (["esy", "yesyesy"], "y", 2),
    ] {
      let options = GenerationGolden.only(yes, .init(maximumTokens: 8, stopStrings: stops))
      let summary = try await model.generate(tokens: [1, 2], options: options).summary()
      #expect(summary.text == text && summary.ids == Array(repeating: yes, count: tokens), "\(stops)")
      guard case .stopString(let stop) = summary.stopReason else {
        Issue.record("\(summary.stopReason)")
        continue
      }
      #expect(stops.contains(stop))
    }
    // One that never comes: what may have been its start is given out at the end.
    let options = GenerationGolden.only(yes, .init(maximumTokens: 3, stopStrings: ["yesyesyesyes"]))
    let summary = try await model.generate(tokens: [1, 2], options: options).summary()
    #expect(summary.text == "yesyesyes" && summary.stopReason == .maximumTokens)
  }

  @Test func endTokens() async throws {
    let model = try await GenerationGolden.model()
    let end = try #require(model.tokenizer.id(for: "<|im_end|>"))
    #expect(model.endTokens.contains(end))
    var options = GenerationGolden.only(end, .init(maximumTokens: 3))
    var summary = try await model.generate(tokens: [1, 2], options: options).summary()
    #expect(summary.stopReason == .endOfSequence(end) && summary.ids.isEmpty && summary.text.isEmpty)
    options.ignoresEndOfSequence = true
    summary = try await model.generate(tokens: [1, 2], options: options).summary()
    #expect(summary.stopReason == .maximumTokens && summary.ids == [end, end, end] && summary.text.isEmpty)
    options.includesSpecialTokens = true
    summary = try await model.generate(tokens: [1, 2], options: options).summary()
    #expect(summary.text == "<|im_end|><|im_end|><|im_end|>")
  }

  @Test func maximumTokensAndContext() async throws {
    let golden = try GenerationGolden()
    let room = 6
    let model = try await GenerationGolden.model(contextLength: golden.prompt.count + room)
    #expect(model.contextLength == golden.prompt.count + room)
    let session = model.makeSession()
    let none = try await session.generate(tokens: golden.prompt, options: .init(maximumTokens: 0)).summary()
    #expect(none.ids.isEmpty && none.text.isEmpty && none.stopReason == .maximumTokens)
    // The token that is chosen last needs no place.
    var options = GenerationOptions(ignoresEndOfSequence: true)
    let full = try await session.generate(tokens: golden.prompt, options: options).summary()
    #expect(full.ids == Array(golden.ids.prefix(room + 1)) && full.stopReason == .contextFull)
    options.maximumTokens = room + 1
    let exact = try await session.generate(tokens: golden.prompt, options: options).summary()
    #expect(exact.ids == full.ids && exact.stopReason == .maximumTokens)
    let filling = golden.prompt + golden.ids.prefix(room)
    let last = try await session.generate(tokens: filling, options: options).summary()
    #expect(last.ids == [golden.ids[room]] && last.stopReason == .contextFull)
  }

  // MARK: Text

  /// Characters come whole, however many tokens they take.
  @Test func streamedTextIsWhole() async throws {
    let model = try await GenerationGolden.model()
    let text = "swift 燕子 🐦 é ñandú\u{200D} ende"
    let ids = try model.tokenizer.encode(text).ids
    var streamer = TextStreamer(model.tokenizer, stopStrings: [], includesSpecialTokens: false)
    var pieces: [String] = []
    for id in ids { pieces.append(streamer.append(id)) }
    pieces.append(streamer.finish())
    #expect(pieces.contains("") && pieces.allSatisfy { !$0.unicodeScalars.contains("\u{FFFD}") })
    #expect(pieces.joined() == text)
    // Half a character at the end has no other half to wait for.
    var half = TextStreamer(model.tokenizer, stopStrings: [], includesSpecialTokens: false)
    let bird = try model.tokenizer.encode("🐦").ids
    #expect(bird.count > 1)
    #expect(half.append(bird[0]) == "" && half.finish() == "\u{FFFD}")
  }

  // MARK: Logits

  @Test func logitsInChunks() async throws {
    let golden = try GenerationGolden()
    let tokens = golden.prompt + golden.ids
    for type in KVCacheType.allCases {
      let model = try await LanguageModel(
        contentsOf: GenerationGolden.url, options: .init(threads: 2, cacheType: type))
      let whole = try await model.logits(tokens: tokens)
      #expect(whole.count == tokens.count * model.vocabularySize)
      for chunk in [1, 2, 7, tokens.count, .max] {
        var rows: [Float] = []
        try await model.forEachLogits(tokens: tokens, chunk: chunk) { rows += $0 }
        #expect(rows == whole, "chunks of \(chunk)")
      }
      let alone = try await LanguageModel(
        contentsOf: GenerationGolden.url, options: .init(threads: 1, cacheType: type))
      #expect(try await alone.logits(tokens: tokens) == whole)
    }
  }
}
