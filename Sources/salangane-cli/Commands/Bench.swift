import ArgumentParser
import Salangane
import SalanganeTensors

/// Measures how fast a model runs.
struct Bench: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Measures how fast a model runs on this machine.",
    discussion: """
      Reads a prompt of -p tokens (the test pp512), then generates -n tokens one by one (tg128), each behind -d \
      tokens that are there already; -b sequences are generated together. With --embed: a batch of token sequences of equal length is embedded \
      (embed32x128). Each test is run once without counting, then -r times. Tokenizing is not part of it.
      """)

  enum Format: String, ExpressibleByArgument, CaseIterable {
    case text, json, csv
  }

  /// The most sequences that are generated together.
  private static let mostGenerated = 256

  @OptionGroup var model: ModelOptions
  @OptionGroup var language: LanguageModelOptions

  @Flag(help: "Measure embedding instead of generation.")
  var embed = false

  @Option(
    name: .customShort("b"),
    help: ArgumentHelp(
      "Texts that are embedded together (32), or generated together (1).", valueName: "batch"))
  var batchOption: Int?

  @Option(
    name: .customShort("p"),
    help: ArgumentHelp(
      "Tokens of a text (128) or of the prompt (512; 0 for no such test).", valueName: "length"))
  var lengthOption: Int?

  @Option(
    name: .customShort("n"),
    help: ArgumentHelp("Tokens to generate; 0 for no such test.", valueName: "tokens"))
  var generated = 128

  @Option(
    name: .customShort("d"),
    help: ArgumentHelp("Tokens that are in the cache before.", valueName: "depth"))
  var depth = 0

  @Option(name: .customShort("r"), help: ArgumentHelp("How often to measure.", valueName: "repetitions"))
  var repetitions = 5

  @Option(help: "How to print the results.")
  var format = Format.text

  private var batch: Int { batchOption ?? (embed ? 32 : 1) }
  private var length: Int { lengthOption ?? (embed ? 128 : 512) }

  func validate() throws {
    let least = embed ? 1 : 0
    for (name, value, least) in [
      ("-b", batch, 1), ("-p", length, least), ("-n", generated, 0), ("-d", depth, 0), ("-r", repetitions, 1),
    ] where value < least {
      throw ValidationError("\(name): expected at least \(least), found \(value)")
    }
    guard batch <= 1 << 16, length <= 1 << 24, generated <= 1 << 24, depth <= 1 << 24 else {
      throw ValidationError("-b: expected at most \(1 << 16), -p, -n, -d: at most \(1 << 24)")
    }
    guard embed || batch <= Self.mostGenerated else {
      throw ValidationError(
        "-b: expected at most \(Self.mostGenerated) without --embed, found \(batch)")
    }
  }

  func run() async throws {
    try await write(embed ? [measureEmbedding()] : measureGeneration())
  }

  private func measureEmbedding() async throws -> BenchmarkResult {
    let embedder = try await model.loadEmbedder(showingProgress: true)
    guard length <= embedder.maximumLength else {
      throw UsageError("-p: expected at most the model's \(embedder.maximumLength) tokens, found \(length)")
    }
    let tokens = Self.tokens(batch: batch, length: length, vocabularySize: embedder.tokenizer.vocabularySize)
    let seconds = try await measure {
      let start = ContinuousClock.now
      _ = try await embedder.embed(tokens: tokens)
      return Self.seconds(since: start)
    }
    return try result("embed\(batch)x\(length)", batch: batch, tokens: batch * length, seconds: seconds)
  }

  private func measureGeneration() async throws -> [BenchmarkResult] {
    let languageModel = try await language.load(model, cacheType: .f16)
    let needed = depth + max(length, generated)
    guard needed <= languageModel.contextLength else {
      throw UsageError(
        "-p, -n, -d: expected at most the context's \(languageModel.contextLength) tokens, found \(needed)")
    }
    let tokens = Self.tokens(
      batch: batch, length: depth + length, vocabularySize: languageModel.tokenizer.vocabularySize)
    let benchmark = DecodingBenchmark(languageModel, batch: batch)
    try await benchmark.fill(tokens.map { Array($0[..<depth]) })
    var results: [BenchmarkResult] = []
    if length > 0 {
      let prompt = Array(tokens[0][depth...])
      let seconds = try await measure { try await benchmark.secondsToRead(prompt) }
      results.append(try result("pp\(length)", batch: 1, tokens: length, seconds: seconds))
    }
    if generated > 0 {
      let seconds = try await measure { try await benchmark.secondsToGenerate(generated) }
      results.append(
        try result("tg\(generated)", batch: batch, tokens: batch * generated, seconds: seconds))
    }
    return results
  }

  private func result(
    _ test: String, batch: Int, tokens: Int, seconds: [Double]
  ) throws -> BenchmarkResult {
    BenchmarkResult(
      test: test, depth: depth, batch: batch, threads: model.threads ?? ThreadTeam.defaultThreadCount,
      instructionSet: try model.instructionSet.rawValue, backend: model.backend.rawValue, tokens: tokens,
      seconds: seconds)
  }

  /// The seconds of each repetition, after one that doesn't count: it brings weights and memory into place.
  private func measure(_ body: () async throws -> Double) async throws -> [Double] {
    let bar = ProgressBar("measuring", isShown: true)
    defer { bar.finish() }
    _ = try await body()
    var seconds: [Double] = []
    while seconds.count < repetitions {
      seconds.append(try await body())
      bar.update(Double(seconds.count) / Double(repetitions))
    }
    return seconds
  }

  private static func seconds(since start: ContinuousClock.Instant) -> Double {
    (ContinuousClock.now - start) / .seconds(1)
  }

  private func write(_ results: [BenchmarkResult]) throws {
    var output = try Output(path: nil)
    switch format {
    case .text: try output.write(BenchmarkResult.text(results))
    case .json: try output.write(BenchmarkResult.json(results))
    case .csv: try output.write(BenchmarkResult.csv(results))
    }
    try output.finish()
  }

  /// Ids spread over the vocabulary, the same in every run.
  private static func tokens(batch: Int, length: Int, vocabularySize: Int) -> [[Int32]] {
    var state: UInt64 = 1
    return (0..<batch).map { _ in
      (0..<length).map { _ in
        // Knuth's MMIX generator; its high bits are the good ones.
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return Int32(truncatingIfNeeded: (state >> 33) % UInt64(max(1, vocabularySize)))
      }
    }
  }
}
