import ArgumentParser
import Salangane
import SalanganeFiles

/// Finds the lines of a file that are closest in meaning to a query.
struct Search: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Finds the lines of a file that are closest in meaning to a query.",
    discussion: """
      Prints the score (the cosine of the angle between the vectors), the line's number and the line, best \
      first. Blank lines are passed over. Models that have prompts for queries and documents get them.
      """)

  enum Format: String, ExpressibleByArgument, CaseIterable {
    case text, json
  }

  @OptionGroup var model: ModelOptions

  @Option(help: ArgumentHelp("The file whose lines are searched; - is standard input.", valueName: "file"))
  var corpus: String

  @Option(help: ArgumentHelp("How many lines to print.", valueName: "k"))
  var top = 5

  @Option(help: "How to print them.")
  var format = Format.text

  @Argument(help: "What to look for.")
  var query: String

  /// A line and how close it is to the query.
  private struct Match {
    let score: Float
    let line: Int
    let text: String
  }

  func validate() throws {
    guard top > 0 else { throw ValidationError("--top: expected at least 1, found \(top)") }
  }

  func run() async throws {
    var output = try Output(path: nil)
    var source = try TextSource(path: corpus, format: .lines, skippingBlankLines: true)
    let embedder = try await model.loadEmbedder(showingProgress: true)
    var queryRun = EmbeddingRun(
      embedder, model: model.model, role: .query, options: .init(), showsProgress: false)
    var querySource = TextSource(texts: [query])
    guard let row = try await queryRun.next(from: &querySource)?.first else { return }
    let wanted = try row.result.get().values

    var run = EmbeddingRun(
      embedder, model: model.model, role: .document, options: .init(), showsProgress: true)
    var best: [Match] = []
    while let rows = try await run.next(from: &source) {
      for row in rows {
        guard case .success(let vector) = row.result, case .success(.text(let text)) = row.input.content
        else {
          continue
        }
        let score = vector.values.cosineSimilarity(to: wanted)
        best.append(Match(score: score, line: row.input.line, text: text))
      }
      // Among equals the earlier line comes first, whatever the batches.
      best.sort { ($0.score, $1.line) > ($1.score, $0.line) }
      best.removeLast(max(0, best.count - top))
    }
    run.finish()
    try output.write(format == .text ? Self.text(best) : Self.json(best))
    try output.finish()
    try run.report(source)
  }

  private static func text(_ matches: [Match]) -> [UInt8] {
    matches.flatMap { match in
      let thousandths = Int((match.score * 1000).rounded().magnitude)
      let digits = String(thousandths % 1000)
      let fraction = String(repeating: "0", count: 3 - digits.utf8.count) + digits
      let score = "\(match.score < 0 && thousandths > 0 ? "-" : " ")\(thousandths / 1000).\(fraction)"
      return Array("\(score)  \(match.line)\t\(match.text)\n".utf8)
    }
  }

  private static func json(_ matches: [Match]) -> [UInt8] {
    var json = JSONWriter()
    json.array { json in
      for (index, match) in matches.enumerated() {
        json.object { json in
          json.key("rank")
          json.value(index + 1)
          json.key("score")
          json.value(match.score)
          json.key("line")
          json.value(match.line)
          json.key("text")
          json.value(match.text)
        }
      }
    }
    json.newline()
    return json.bytes
  }
}
