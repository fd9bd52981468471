import ArgumentParser
import Salangane

/// What becomes of a model's weights, and how many of them tokens use.
struct WeightOptions: ParsableArguments {
  @Flag(help: "Decode quantised weights and compute with floats throughout, to compare with references.")
  var exact = false

  @Flag(help: "Bring float weights to integers of 8 bits (Q8_0) when the model is loaded.")
  var int8 = false

  @Flag(
    name: .customLong("no-repack"),
    help: "Use quantised weights from the file, without a copy in the order of the kernels: slower.")
  var noRepack = false

  @Option(
    help: ArgumentHelp(
      "How many experts of a mixture a token uses; otherwise as many as the model was trained with.",
      valueName: "n"))
  var expertCount: Int?

  /// What weights are multiplied as.
  var precision: WeightPrecision { exact ? .float : int8 ? .int8 : .stored }

  func validate() throws {
    if exact && int8 { throw ValidationError("--exact and --int8 exclude each other") }
  }
}
