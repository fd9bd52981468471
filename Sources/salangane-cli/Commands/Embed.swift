import ArgumentParser
import Salangane
import SalanganeFiles

/// Turns texts into vectors.
struct Embed: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Turns texts into vectors.",
    discussion: """
      Rows come in the order of the input. A line that can't be used gives a row with "error" and a message, \
      and in the end exit status 65; with --format npy it ends the run.
      """)

  @OptionGroup var model: ModelOptions
  @OptionGroup var source: TextSourceOptions
  @OptionGroup var vectors: VectorOptions

  @Option(help: "How to print the vectors.")
  var format = VectorFormat.jsonl

  @Option(help: ArgumentHelp("Write to a file, which appears once it is complete.", valueName: "file"))
  var output: String?

  func run() async throws {
    let output = try Output(path: output)
    let showsProgress = !output.isTerminal
    var source = try source.open()
    let embedder = try await model.loadEmbedder(showingProgress: showsProgress)
    let options = vectors.embeddingOptions
    var rows = try EmbeddingRows(
      output, format: format, dimensions: options.dimensions ?? embedder.dimensions,
      expectedCount: format == .npy ? source.count() : nil)
    var run = EmbeddingRun(
      embedder, model: model.model, role: self.source.role, options: options, showsProgress: showsProgress)
    while let batch = try await run.next(from: &source) {
      do {
        try rows.write(batch)
      } catch is InputText.Problem {
        throw InputError(
          "\(source.name): expected only usable lines, since --format npy has no place for others")
      }
    }
    run.finish()
    try rows.finish()
    try run.report(source)
  }
}
