import ArgumentParser
import Salangane

/// Writes a model with random weights.
struct Synthesize: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Writes a model with random weights in a real model's shape, for benchmarks.",
    discussion: """
      The file is a GGUF that llama.cpp loads too, with the real model's sizes, hyper-parameters and size of \
      vocabulary. Equal seeds give equal files, whatever the number of threads.
      """)

  @Option(help: ArgumentHelp("The type of the weights, as of the command quantize.", valueName: "type"))
  var type: QuantizationScheme

  @Option(help: ArgumentHelp("Write only the first layers.", valueName: "count"))
  var layers: Int?

  @Option(help: "What the random numbers come from.")
  var seed: UInt64 = 0

  @OptionGroup var threads: ThreadOptions

  @Argument(help: "The model whose shape it is: \(shapeNames).")
  var shape: String

  @Argument(help: "The .gguf file to write.")
  var destination: String

  private static let shapeNames = ModelShape.all.map(\.name).joined(separator: ", ")

  func run() async throws {
    guard let whole = ModelShape.named(shape) else {
      throw UsageError("expected one of the shapes \(Self.shapeNames), found '\(shape)'")
    }
    let layers = layers ?? whole.publishedLayerCount
    guard whole.layerRange.contains(layers) else {
      throw UsageError(
        "--layers: expected \(whole.layerRange.lowerBound) to \(whole.layerRange.upperBound) for \(shape), "
          + "found \(layers)")
    }
    let synthesizer = ModelSynthesizer(whole.cut(toLayers: layers), scheme: type, seed: seed)
    let threads = try threads.count
    let bar = ProgressBar("writing", isShown: true)
    defer { bar.finish() }
    try await synthesizer.write(to: destination, threads: threads) { bar.update($0) }
  }
}
