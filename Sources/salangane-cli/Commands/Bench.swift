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
      (embed32x128). Each test is run once without counting, then -r times, each time with other tokens. \
      Tokenizing is not part of it.
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

  @Option(help: "What the tokens of prompts and texts come from.")
  var seed: UInt64 = 1

  @Flag(help: "Print where the time goes too: seconds and bytes of each kind of work.")
  var phases = false

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
    let start = ContinuousClock.now
    try await write(embed ? [measureEmbedding(start)] : measureGeneration(start))
  }

  private func measureEmbedding(_ start: ContinuousClock.Instant) async throws -> BenchmarkResult {
    let embedder = try await model.loadEmbedder(showingProgress: true)
    let load = Self.seconds(since: start)
    guard length <= embedder.maximumLength else {
      throw UsageError("-p: expected at most the model's \(embedder.maximumLength) tokens, found \(length)")
    }
    var stream = TokenStream(seed: seed, vocabularySize: embedder.tokenizer.vocabularySize)
    let measured = try await measure {
      let tokens = (0..<batch).map { _ in stream.next(length) }
      let start = ContinuousClock.now
      _ = try await embedder.embed(tokens: tokens)
      return Self.seconds(since: start)
    }
    return try result(
      "embed\(batch)x\(length)", batch: batch, tokens: batch * length, measured, load: load, cacheType: nil)
  }

  private func measureGeneration(_ start: ContinuousClock.Instant) async throws -> [BenchmarkResult] {
    let languageModel = try await language.load(model)
    let load = Self.seconds(since: start)
    let needed = depth + max(length, generated)
    guard needed <= languageModel.contextLength else {
      throw UsageError(
        "-p, -n, -d: expected at most the context's \(languageModel.contextLength) tokens, found \(needed)")
    }
    var stream = TokenStream(seed: seed, vocabularySize: languageModel.tokenizer.vocabularySize)
    let benchmark = DecodingBenchmark(languageModel, batch: batch)
    try await benchmark.fill((0..<batch).map { _ in stream.next(depth) })
    var results: [BenchmarkResult] = []
    if length > 0 {
      let measured = try await measure { try await benchmark.secondsToRead(stream.next(length)) }
      results.append(
        try result(
          "pp\(length)", batch: 1, tokens: length, measured, load: load, cacheType: languageModel.cacheType))
    }
    if generated > 0 {
      let measured = try await measure { try await benchmark.secondsToGenerate(generated) }
      results.append(
        try result(
          "tg\(generated)", batch: batch, tokens: batch * generated, measured, load: load,
          cacheType: languageModel.cacheType))
    }
    return results
  }

  private func result(
    _ test: String, batch: Int, tokens: Int, _ measured: Measurements, load: Double, cacheType: KVCacheType?
  ) throws -> BenchmarkResult {
    BenchmarkResult(
      test: test, depth: depth, batch: batch, threads: model.threads ?? ThreadTeam.defaultThreadCount,
      instructionSet: try model.instructionSet.rawValue, backend: model.backend.rawValue,
      cacheType: cacheType,
      tokens: tokens,
      loadSeconds: load, measurements: measured)
  }

  /// Measures each repetition, after one that doesn't count: it brings weights and memory into place.
  private func measure(_ body: () async throws -> Double) async throws -> Measurements {
    let bar = ProgressBar("measuring", isShown: true)
    defer { bar.finish() }
    let first = try await body()
    if phases { _ = try await ComputeQueue.shared.profile(true) }
    var seconds: [Double] = []
    while seconds.count < repetitions {
      seconds.append(try await body())
      bar.update(Double(seconds.count) / Double(repetitions))
    }
    let operations = phases ? try await ComputeQueue.shared.profile(false) : nil
    return Measurements(
      firstSeconds: first, seconds: seconds, operations: operations,
      peakBytes: SystemMemory.peakOfProcess)
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
}
