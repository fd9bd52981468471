import ArgumentParser
import Salangane
import SalanganeFiles

/// Shows what a model's files hold.
struct Inspect: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Shows what a model's files hold, after checking them.",
    discussion: """
      Any architecture will do, supported or not. Long arrays are given by their length only. For a model that \
      can be run, shows what it needs of memory: weights, the keys and values (or latents) of earlier tokens, and \
      activations.
      """)

  enum Format: String, ExpressibleByArgument, CaseIterable {
    case text, json
  }

  @Flag(help: "List all tensors.")
  var tensors = false

  @Option(help: "How to print it.")
  var format = Format.text

  @Flag(name: .customLong("no-mmap"), help: "Read the files instead of mapping them.")
  var noMmap = false

  @Option(
    help: ArgumentHelp(
      "The tokens to find memory for; otherwise as many as the model was trained for.", valueName: "n"))
  var context: Int?

  @Option(
    name: .customLong("kv-type"),
    help: ArgumentHelp(
      "How keys and values of earlier tokens are stored: f32, f16 or q8.", valueName: "type")
  )
  var cacheType: KVCacheType?

  @OptionGroup var weights: WeightOptions

  @Argument(
    help: ArgumentHelp(
      "A .gguf file (the first of a split set), or a directory with a model.", valueName: "path"))
  var path: String

  func run() throws {
    let checkpoint = try Checkpoint(path: path, options: .init(mapped: !noMmap))
    try checkpoint.validateContents()
    let report = try InspectionReport(checkpoint, memory: memory(of: checkpoint))
    var output = try Output(path: nil)
    switch format {
    case .text: try output.write(report.text(listingTensors: tensors))
    case .json: try output.write(report.json(listingTensors: tensors))
    }
    try output.finish()
  }

  /// What a model needs of memory; nil if it couldn't be run.
  ///
  /// - Throws: `EmbeddingError` for an option out of range.
  private func memory(of checkpoint: Checkpoint) throws -> ModelMemory? {
    let options = Salangane.ModelOptions(
      precision: weights.precision, repacksWeights: !weights.noRepack, isMemoryMapped: !noMmap,
      contextLength: context, cacheType: cacheType, expertCount: weights.expertCount)
    do {
      return try ModelMemory(checkpoint, options)
    } catch let error as ModelFileError {
      // What was asked for must be answered.
      guard context == nil, weights.expertCount == nil else { throw error }
      return nil
    }
  }
}
