import ArgumentParser
import Salangane

/// The texts to embed, and what they are for.
struct TextSourceOptions: ParsableArguments {
  @Option(help: ArgumentHelp("Read texts from a file; - is standard input.", valueName: "file"))
  var input: String?

  @Option(
    help: ArgumentHelp(
      #"What a line of --input is: a text (lines), or {"id":..., "text":"..."} (jsonl)."#,
      valueName: "format"))
  var inputFormat: InputFormat?

  @Option(
    help: ArgumentHelp(
      "Embed these token ids as they are, instead of a text; repeat it for more sequences.", valueName: "ids")
  )
  var tokens: [TokenList] = []

  @Option(
    help: ArgumentHelp(
      "Put the prompt of this name in the model's files before each text.", valueName: "name"))
  var promptName: String?

  @Option(parsing: .unconditional, help: ArgumentHelp("Put this before each text.", valueName: "text"))
  var prompt: String?

  @Argument(help: "Texts, each of which becomes a vector.")
  var text: [String] = []

  func validate() throws {
    guard [input != nil, !tokens.isEmpty, !text.isEmpty].filter(\.self).count == 1 else {
      throw ValidationError("expected one of TEXT, --input and --tokens")
    }
    guard inputFormat == nil || input != nil else {
      throw ValidationError("--input-format: expected --input with it")
    }
    guard promptName == nil || prompt == nil else {
      throw ValidationError("expected only one of --prompt-name and --prompt")
    }
    guard tokens.isEmpty || (promptName == nil && prompt == nil) else {
      throw ValidationError("--tokens: expected no prompt with it")
    }
  }

  /// What the texts are for.
  var role: EmbeddingRole {
    if let promptName { return .prompt(named: promptName) }
    if let prompt { return .text(prompt) }
    return .plain
  }

  /// Opens the source.
  ///
  /// - Throws: `ModelFileError` if its file can't be opened.
  func open() throws -> TextSource {
    if let input { return try TextSource(path: input, format: inputFormat ?? .lines) }
    return tokens.isEmpty ? TextSource(texts: text) : TextSource(tokens: tokens.map(\.ids))
  }
}
