import ArgumentParser
import Salangane

/// Continues a text.
struct Generate: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Continues a text, or a sequence of tokens.",
    discussion: """
      Prints the text as it comes. Without --temperature the most probable token is taken every time. \
      --format json prints {"ids":[...],"text":"...","stop":"...","timings":{...}} at the end. With --prompt-cache, \
      a prompt that starts like an earlier one goes on where they part.
      """)

  enum Format: String, ExpressibleByArgument, CaseIterable {
    case text, json
  }

  @OptionGroup var model: ModelOptions
  @OptionGroup var language: LanguageModelOptions
  @OptionGroup var promptCache: PromptCacheOptions

  @Option(parsing: .unconditional, help: "The text to continue.")
  var prompt: String?

  @Option(
    help: ArgumentHelp(
      "The tokens to continue, separated by commas; nothing is added to them.", valueName: "ids"))
  var tokens: String?

  @Option(
    help: ArgumentHelp(
      "The most tokens to generate; otherwise until the text or the context ends.", valueName: "n"))
  var maxTokens: Int?

  @Option(help: ArgumentHelp("What logits are divided by; 0 takes the most probable token.", valueName: "t"))
  var temperature: Float = 0

  @Option(help: ArgumentHelp("Keep the k most probable tokens; 0 for all.", valueName: "k"))
  var topK = 0

  @Option(help: ArgumentHelp("Keep the most probable tokens that sum to p.", valueName: "p"))
  var topP: Float = 1

  @Option(help: ArgumentHelp("Keep tokens at least p times as probable as the first.", valueName: "p"))
  var minP: Float = 0

  @Option(
    name: .customLong("typical"),
    help: ArgumentHelp("Keep the most typical tokens that sum to p.", valueName: "p"))
  var typicalP: Float = 1

  @Option(help: ArgumentHelp("Divide the logits of recent tokens by r.", valueName: "r"))
  var repeatPenalty: Float = 1

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("Subtract p from the logits of recent tokens.", valueName: "p"))
  var presencePenalty: Float = 0

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("Subtract p from the logits of recent tokens for each time.", valueName: "p"))
  var frequencyPenalty: Float = 0

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("How many tokens back penalties look; -1 for all.", valueName: "n"))
  var repeatLastN = 64

  @Option(help: ArgumentHelp("The same seed gives the same text.", valueName: "s"))
  var seed: UInt64?

  @Option(
    parsing: .unconditionalSingleValue,
    help: ArgumentHelp("Stop before this text; may be given several times.", valueName: "text"))
  var stop: [String] = []

  @Flag(help: "Treat the tokens that end a text like any other.")
  var ignoreEos = false

  @Flag(help: "Print the names of special tokens too.")
  var special = false

  @Option(help: "What to print.")
  var format = Format.text

  func validate() throws {
    guard (prompt == nil) != (tokens == nil) else {
      throw ValidationError("expected either --prompt or --tokens")
    }
  }

  private var options: GenerationOptions {
    GenerationOptions(
      maximumTokens: maxTokens,
      sampling: SamplingOptions(
        temperature: temperature, topK: topK, topP: topP, minP: minP, typicalP: typicalP,
        repetitionPenalty: repeatPenalty, presencePenalty: presencePenalty,
        frequencyPenalty: frequencyPenalty, penaltyWindow: repeatLastN, seed: seed),
      stopStrings: stop, ignoresEndOfSequence: ignoreEos, includesSpecialTokens: special)
  }

  func run() async throws {
    let ids = try tokens.map { try TokenList($0).ids }
    let languageModel = try await language.load(model)
    let cache = try promptCache.load(for: languageModel)
    let session =
      try cache.map { try languageModel.makeSession(promptCache: $0) } ?? languageModel.makeSession()
    let stream =
      if let ids {
        session.generate(tokens: ids, options: options)
      } else {
        session.generate(prompt ?? "", options: options)
      }
    var output = try Output(path: nil)
    for try await event in stream {
      switch event {
      case .text(let piece):
        if format == .text {
          try output.write(piece.text)
          try output.flush()
        }
      case .finished(let summary):
        try output.write(format == .json ? Self.json(summary) : Array("\n".utf8))
      }
    }
    try output.finish()
    try promptCache.save(cache)
  }

  private static func json(_ summary: GenerationSummary) -> [UInt8] {
    var json = JSONWriter()
    json.object { json in
      json.key("ids")
      json.array(summary.ids)
      json.key("text")
      json.value(summary.text)
      json.key("stop")
      switch summary.stopReason {
      case .endOfSequence: json.value("end")
      case .maximumTokens: json.value("max-tokens")
      case .stopString: json.value("stop-string")
      case .contextFull: json.value("context-full")
      }
      json.key("timings")
      json.object { json in
        json.key("prompt_tokens")
        json.value(summary.promptTokens)
        json.key("cached_tokens")
        json.value(summary.cachedTokens)
        json.key("prompt_seconds")
        json.value(summary.promptSeconds)
        json.key("generated_tokens")
        json.value(summary.ids.count)
        json.key("generation_seconds")
        json.value(summary.generationSeconds)
      }
    }
    json.newline()
    return json.bytes
  }
}
