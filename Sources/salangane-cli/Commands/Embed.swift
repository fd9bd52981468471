import ArgumentParser
import Salangane
import SalanganeFiles

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

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

  @Option(
    help: ArgumentHelp(
      "Fit a PCA on all the vectors, write it to a file, and print the vectors shortened by it.",
      valueName: "file"))
  var reduceFit: String?

  @Option(help: ArgumentHelp("Shorten vectors by a PCA that --reduce-fit wrote.", valueName: "file"))
  var reduce: String?

  @Option(help: "How to print the vectors.")
  var format = VectorFormat.jsonl

  @Option(help: ArgumentHelp("Write to a file, which appears once it is complete.", valueName: "file"))
  var output: String?

  func validate() throws {
    guard reduceFit == nil || reduce == nil else {
      throw ValidationError("expected only one of --reduce-fit and --reduce")
    }
  }

  func run() async throws {
    let output = try Output(path: output, model: model.model, inputs: [self.source.input, reduce])
    if let reduceFit {
      // Only to see whether it can be written, before all the work is done.
      _ = try Output(path: reduceFit, model: model.model, inputs: [self.source.input])
    }
    let showsProgress = !output.isTerminal
    var source = try source.open()
    let reducer = try reduce.map { try EmbeddingReducer(contentsOf: URL(filePath: $0)) }
    let embedder = try await model.loadEmbedder(showingProgress: showsProgress)
    var options = vectors.embeddingOptions
    if reducer != nil || reduceFit != nil {
      // The PCA takes whole vectors; --dimensions says how many of its components are kept.
      options.dimensions = nil
    }
    if let reducer { try check(reducer, with: embedder) }
    var run = EmbeddingRun(
      embedder, model: model.model, role: self.source.role, options: options, showsProgress: showsProgress)
    if let reduceFit {
      try await fit(to: reduceFit, &run, &source, output)
    } else {
      run.reduce(by: reducer, keeping: vectors.dimensions)
      var rows = try EmbeddingRows(
        output, format: format, dimensions: vectors.dimensions ?? reducer?.dimensions ?? embedder.dimensions,
        expectedCount: format == .npy ? source.count() : nil)
      while let batch = try await run.next(from: &source) { try write(batch, to: &rows, source) }
      run.finish()
      try rows.finish()
    }
    try run.report(source)
  }

  /// Embeds everything before the first row is written: the PCA needs all vectors.
  private func fit(
    to path: String, _ run: inout EmbeddingRun, _ source: inout TextSource, _ output: Output
  ) async throws {
    var batches: [[EmbeddingRow]] = []
    while let batch = try await run.next(from: &source) { batches.append(batch) }
    run.finish()
    let rows = batches.joined()
    let vectors = rows.compactMap { try? $0.result.get() }
    let all = Embeddings(
      values: vectors.flatMap(\.values), dimensions: run.dimensions, tokenCounts: vectors.map(\.tokenCount),
      isTruncated: vectors.map(\.isTruncated))
    let reducer = try await EmbeddingReducer(
      fitting: all, dimensions: self.vectors.dimensions ?? min(all.count, all.dimensions))
    try reducer.write(to: URL(filePath: path))
    var writer = try EmbeddingRows(
      output, format: format, dimensions: reducer.dimensions, expectedCount: rows.count)
    run.reduce(by: reducer, keeping: nil)
    try write(run.reduced(Array(rows)), to: &writer, source)
    try writer.finish()
  }

  private func check(_ reducer: EmbeddingReducer, with embedder: Embedder) throws {
    guard reducer.inputDimensions == embedder.dimensions else {
      throw ModelFileError(
        .malformed, file: reduce ?? "", subject: "mean",
        expectation: "expected the model's \(embedder.dimensions) features, found \(reducer.inputDimensions)")
    }
    guard (1...reducer.dimensions).contains(vectors.dimensions ?? 1) else {
      throw UsageError("--dimensions: expected 1 to the PCA's \(reducer.dimensions)")
    }
  }

  private func write(_ batch: [EmbeddingRow], to rows: inout EmbeddingRows, _ source: TextSource) throws {
    do {
      try rows.write(batch)
    } catch is InputText.Problem {
      throw InputError("\(source.name): expected only usable lines: --format npy has no place for others")
    }
  }
}
