// Searches a text file by meaning: prints the three lines that are closest to a query.
//
//   swift run -c release SemanticSearch MODEL corpus.txt "Which bird finds its way in the dark?"

import Foundation
import Salangane

@main
struct SemanticSearch {
  static func main() async {
    let arguments = CommandLine.arguments
    guard arguments.count == 4 else {
      print("usage: SemanticSearch MODEL FILE QUERY")
      exit(64)
    }
    do {
      try await search(model: arguments[1], file: arguments[2], query: arguments[3])
    } catch {
      print("error: \(error)")
      exit(1)
    }
  }

  static func search(model: String, file: String, query: String) async throws {
    let embedder = try await Embedder(contentsOf: URL(filePath: model))
    let lines = try String(contentsOfFile: file, encoding: .utf8).split(separator: "\n").map(String.init)

    let corpus = try await embedder.embed(lines, as: .document)
    let wanted = try await embedder.embed(query, as: .query)

    let scores = lines.indices.map { corpus[$0].cosineSimilarity(to: wanted) }
    for index in lines.indices.sorted(by: { scores[$0] > scores[$1] }).prefix(3) {
      print(scores[index].formatted(.number.precision(.fractionLength(3))), lines[index])
    }
  }
}
