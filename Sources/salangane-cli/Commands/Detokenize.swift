import ArgumentParser
import SalanganeTokenizers

/// Turns tokens back into text.
struct Detokenize: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Prints the text that tokens stand for.",
    discussion: "The text is followed by a line end. Special tokens are left out unless --special is given.")

  @OptionGroup var tokenizer: TokenizerOptions

  @Flag(help: "Print the names of special tokens too.")
  var special = false

  @Argument(help: ArgumentHelp("Token ids, separated by commas or spaces.", valueName: "ids"))
  var ids: [String] = []

  func run() throws {
    let ids = try ids.flatMap { try TokenList($0).ids }
    let text = try TokenizerLoader.load(path: tokenizer.model).decode(ids, skippingSpecialTokens: !special)
    var output = try Output(path: nil)
    try output.write(text + "\n")
    try output.finish()
  }
}
