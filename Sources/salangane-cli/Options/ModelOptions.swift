import ArgumentParser

/// The model that a command uses.
struct TokenizerOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "A .gguf file (the first of a split set), or a directory with a model.", valueName: "path"))
  var model: String
}
