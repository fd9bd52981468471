import ArgumentParser
import Salangane

/// Prints what a model expects next.
struct Logits: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Computes a model's logits for a sequence of tokens.",
    discussion: """
      With --output, writes every position's logits as a NumPy file, float32 [tokens, vocabulary]; without, \
      prints the ten most probable tokens after the last position: id, logit and token.
      """)

  @OptionGroup var model: ModelOptions
  @OptionGroup var language: LanguageModelOptions

  @Option(help: ArgumentHelp("Token ids, separated by commas; nothing is added to them.", valueName: "ids"))
  var tokens: String

  @Option(help: ArgumentHelp("The NumPy file to write.", valueName: "file"))
  var output: String?

  func run() async throws {
    let ids = try TokenList(tokens).ids
    let languageModel = try await language.load(model, cacheType: .f32)
    let columns = languageModel.vocabularySize
    guard let output else {
      var last: [Float] = []
      try await languageModel.forEachLogits(tokens: ids) { last = Array($0.suffix(columns)) }
      return try printBest(last, languageModel)
    }
    var file = try Output(path: output, model: model.model)
    var matrix = NumPyWriter(columns: columns, rows: ids.count)
    let bar = ProgressBar("logits", isShown: true)
    defer { bar.finish() }
    try file.write(matrix.header)
    var done = 0
    try await languageModel.forEachLogits(tokens: ids) { values in
      try file.write(matrix.append(values))
      done += values.count / columns
      bar.update(Double(done) / Double(ids.count))
    }
    try file.finish()
  }

  private func printBest(_ logits: [Float], _ model: LanguageModel) throws {
    // Of equals, the lower id first.
    let best = logits.indices.sorted { (logits[$0], $1) > (logits[$1], $0) }.prefix(10)
    var output = try Output(path: nil)
    for id in best {
      try output.write("\(id)\t\(logits[id])\t\(model.tokenizer.token(for: Int32(id)) ?? "")\n")
    }
    try output.finish()
  }
}
