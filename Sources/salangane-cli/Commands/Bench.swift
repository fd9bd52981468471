import ArgumentParser
import Salangane
import SalanganeTensors

/// Measures how fast a model runs.
struct Bench: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Measures how fast a model runs on this machine.",
    discussion: """
      With --embed: a batch of token sequences of equal length is embedded again and again, after one run that \
      doesn't count. Tokenizing is not part of it.
      """)

  enum Format: String, ExpressibleByArgument, CaseIterable {
    case text, json, csv
  }

  @OptionGroup var model: ModelOptions

  @Flag(help: "Measure embedding.")
  var embed = false

  @Option(name: .customShort("b"), help: ArgumentHelp("Texts of a batch.", valueName: "batch"))
  var batch = 32

  @Option(name: .customShort("p"), help: ArgumentHelp("Tokens of a text.", valueName: "length"))
  var length = 128

  @Option(name: .customShort("r"), help: ArgumentHelp("How often to measure.", valueName: "repetitions"))
  var repetitions = 5

  @Option(help: "How to print the results.")
  var format = Format.text

  func validate() throws {
    guard embed else { throw ValidationError("expected --embed, the only measurement so far") }
    for (name, value) in [("-b", batch), ("-p", length), ("-r", repetitions)] where value < 1 {
      throw ValidationError("\(name): expected at least 1, found \(value)")
    }
    guard batch <= 1 << 16, length <= 1 << 16 else {
      throw ValidationError("-b, -p: expected at most \(1 << 16)")
    }
  }

  func run() async throws {
    let embedder = try await model.loadEmbedder(showingProgress: true)
    guard length <= embedder.maximumLength else {
      throw UsageError("-p: expected at most the model's \(embedder.maximumLength) tokens, found \(length)")
    }
    let tokens = Self.tokens(batch: batch, length: length, vocabularySize: embedder.tokenizer.vocabularySize)
    let seconds = try await measure(embedder, tokens)
    let result = BenchmarkResult(
      test: "embed\(batch)x\(length)", batch: batch, threads: model.threads ?? ThreadTeam.defaultThreadCount,
      instructionSet: try model.instructionSet.rawValue, backend: model.backend.rawValue,
      tokens: batch * length, seconds: seconds)
    try write(result)
  }

  /// The seconds of each repetition.
  private func measure(_ embedder: Embedder, _ tokens: [[Int32]]) async throws -> [Double] {
    let bar = ProgressBar("measuring", isShown: true)
    // One run that doesn't count brings weights and memory into place.
    _ = try await embedder.embed(tokens: tokens)
    var seconds: [Double] = []
    while seconds.count < repetitions {
      let start = ContinuousClock.now
      _ = try await embedder.embed(tokens: tokens)
      seconds.append(Self.seconds(since: start))
      bar.update(Double(seconds.count) / Double(repetitions))
    }
    bar.finish()
    return seconds
  }

  private static func seconds(since start: ContinuousClock.Instant) -> Double {
    (ContinuousClock.now - start) / .seconds(1)
  }

  private func write(_ result: BenchmarkResult) throws {
    var output = try Output(path: nil)
    switch format {
    case .text: try output.write(BenchmarkResult.text([result]))
    case .json: try output.write(BenchmarkResult.json([result]))
    case .csv: try output.write(BenchmarkResult.csv([result]))
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
