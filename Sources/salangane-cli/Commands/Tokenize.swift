import ArgumentParser
import SalanganeFiles
import SalanganeTokenizers

/// Splits a text into tokens.
struct Tokenize: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Splits one text into the tokens of a model.",
    discussion: #"Prints {"ids":[...],"tokens":[...]}. The whole input is one text, its line ends included."#)

  @OptionGroup var tokenizer: TokenizerOptions

  @Flag(help: "Don't add the tokens that the model expects around a text.")
  var noSpecial = false

  @Flag(
    help: """
      Take the text as it is, as llama.cpp does: the names of special and added tokens are plain text, and \
      Qwen's texts aren't brought into the form NFC.
      """)
  var literal = false

  @Option(help: ArgumentHelp("Read the text from a file; - is standard input.", valueName: "file"))
  var input: String?

  @Argument(help: "The text.")
  var text: String?

  func validate() throws {
    guard (input == nil) != (text == nil) else {
      throw ValidationError("expected either TEXT or --input")
    }
  }

  func run() throws {
    let tokenizer = try TokenizerLoader.load(path: tokenizer.model)
    let options = EncodingOptions(
      addsSpecialTokens: !noSpecial, recognizesAddedTokens: !literal, normalizesText: !literal)
    let ids = try tokenizer.encode(readText(), options: options).ids
    var writer = JSONWriter()
    writer.object { writer in
      writer.key("ids")
      writer.array(ids)
      writer.key("tokens")
      writer.array { writer in
        for id in ids {
          if let token = tokenizer.token(for: id) { writer.value(token) } else { writer.null() }
        }
      }
    }
    writer.newline()
    var output = try Output(path: nil)
    try output.write(writer.bytes)
    try output.finish()
  }

  private func readText() throws -> String {
    guard let input else { return text ?? "" }
    let file = try InputFile(path: input)
    return try Text.validate(file.readAll(), file: file.name, line: nil)
  }
}
