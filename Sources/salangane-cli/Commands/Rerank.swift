import ArgumentParser
import Salangane

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// Orders documents by how well they answer a query.
struct Rerank: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Scores how well each line of a file answers a query.",
    discussion: """
      Prints a JSON line for each document, best first: {"index":0,"score":0.9,"text":"..."}. Blank lines are \
      passed over.
      """)

  @OptionGroup var model: ModelOptions

  @Option(
    help: ArgumentHelp("The file whose lines are the documents; - is standard input.", valueName: "file"))
  var input: String?

  @Option(help: ArgumentHelp("How many lines to print; otherwise all.", valueName: "k"))
  var top: Int?

  @Option(parsing: .unconditional, help: "What to look for.")
  var query: String

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "What the documents are wanted for, for models that take an instruction, such as Qwen3-Reranker.",
      valueName: "text"))
  var instruction: String?

  @Argument(help: "The documents, if there is no --input.")
  var documents: [String] = []

  func validate() throws {
    guard (input == nil) != documents.isEmpty else {
      throw ValidationError("expected either documents or --input")
    }
    if let top, top < 1 { throw ValidationError("--top: expected at least 1, found \(top)") }
  }

  func run() async throws {
    let texts = try readDocuments()
    let options = try model.options
    let loading = ProgressBar("loading", isShown: true)
    let reranker = try await Reranker(contentsOf: URL(filePath: model.model), options: options) {
      loading.update($0)
    }
    loading.finish()
    let bar = ProgressBar("scoring", isShown: true)
    let scores = try await reranker.score(
      query: query, documents: texts, options: RerankingOptions(instruction: instruction)
    ) {
      bar.update(Double($0) / Double(texts.count))
    }
    bar.finish()
    var output = try Output(path: nil)
    let order = scores.indices.sorted { (scores[$0], $1) > (scores[$1], $0) }
    for index in order.prefix(top ?? order.count) {
      var json = JSONWriter()
      json.object { json in
        json.key("index")
        json.value(index)
        json.key("score")
        json.value(scores[index])
        json.key("text")
        json.value(texts[index])
      }
      json.newline()
      try output.write(json.bytes)
    }
    try output.finish()
  }

  private func readDocuments() throws -> [String] {
    guard let input else { return documents }
    var source = try TextSource(path: input, format: .lines, skippingBlankLines: true)
    var texts: [String] = []
    while true {
      let batch = try source.nextBatch(limit: 1024)
      if batch.isEmpty { return texts }
      for line in batch {
        switch line.content {
        case .success(.text(let text)): texts.append(text)
        case .success: throw InputError("\(input): line \(line.line): expected a text")
        case .failure(let problem): throw InputError("\(input): line \(line.line): \(problem.message)")
        }
      }
    }
  }
}
