import ArgumentParser
import Salangane
import SalanganeFiles

/// Shows what a model's files hold.
struct Inspect: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Shows what a model's files hold, after checking them.",
    discussion: "Any architecture will do, supported or not. Long arrays are given by their length only.")

  enum Format: String, ExpressibleByArgument, CaseIterable {
    case text, json
  }

  @Flag(help: "List all tensors.")
  var tensors = false

  @Option(help: "How to print it.")
  var format = Format.text

  @Flag(name: .customLong("no-mmap"), help: "Read the files instead of mapping them.")
  var noMmap = false

  @Argument(
    help: ArgumentHelp(
      "A .gguf file (the first of a split set), or a directory with a model.", valueName: "path"))
  var path: String

  func run() throws {
    let checkpoint = try Checkpoint(path: path, options: .init(mapped: !noMmap))
    try checkpoint.validateContents()
    let report = try InspectionReport(checkpoint)
    var output = try Output(path: nil)
    switch format {
    case .text: try output.write(report.text(listingTensors: tensors))
    case .json: try output.write(report.json(listingTensors: tensors))
    }
    try output.finish()
  }
}
