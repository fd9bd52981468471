import Salangane
import SalanganeFiles

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// The corpus of malformed files, as `Scripts/check-corpus --make` writes it: models, and what is to be said of them.
package struct MalformedCorpus: Sendable {
  /// A model, and the exit status of every command that it is for.
  package struct Case: Decodable, Sendable {
    /// What is wrong, behind the kind of file.
    package let name: String
    /// The path to open, in the corpus or an absolute one.
    package let path: String
    /// Exit statuses by command.
    package let statuses: [String: Int]
    /// What an error must name.
    package let message: String
  }

  /// The directory.
  package let path: String
  /// What there is in it.
  package let cases: [Case]

  /// Reads the list of cases in a directory.
  ///
  /// - Throws: `ModelFileError` if there is none; `DecodingError`.
  package init(path: String) throws {
    self.path = path
    let list = try FileBytes.contents(of: path + "/corpus.json")
    cases = try JSONDecoder().decode([Case].self, from: Data(list))
  }

  /// Puts a model to every use that it is for.
  ///
  /// - Parameter number: Its place in `cases`.
  /// - Returns: What is wrong with what the library says of it, a line each.
  /// - Throws: What isn't an error of ours.
  package func faults(ofCase number: Int) async throws -> [String] {
    let model = cases[number]
    let location = model.path.hasPrefix("/") ? model.path : "\(path)/\(model.path)"
    var lines: [String] = []
    for use in ModelUse.allCases {
      guard let status = model.statuses[use.rawValue] else { continue }
      // Nobody has the memory to read a file of a terabyte.
      let mapped = number % 2 == 0 || model.name.contains("sparse")
      let found = try await use.result(path: location, mapped: mapped)
      var faults: [String] = []
      if found.status != status { faults.append("status \(found.status), expected \(status)") }
      if found.status != 0 {
        if !found.line.contains(model.message) { faults.append("expected it to name \(model.message)") }
        if found.line.utf8.contains(where: { $0 < 0x20 }) || found.line.utf8.count > 1500 {
          faults.append("expected one line")
        }
      }
      if !faults.isEmpty {
        lines.append("\(model.name): \(use): \(faults.joined(separator: ", ")): \(found.line)")
      }
    }
    return lines
  }
}
