import ArgumentParser

/// Token ids on the command line: `1,2,3`.
struct TokenList: ExpressibleByArgument, Sendable {
  /// The ids, in order.
  let ids: [Int32]

  /// Reads ids separated by commas or white space.
  ///
  /// - Throws: `UsageError` for anything that isn't an id.
  init(_ text: String) throws {
    var ids: [Int32] = []
    for part in text.split(whereSeparator: { $0 == "," || $0.isWhitespace }) {
      guard let id = Int32(part), id >= 0 else {
        throw UsageError("'\(part)': expected a token id, as in 1,2,3")
      }
      ids.append(id)
    }
    self.ids = ids
  }

  init?(argument: String) {
    guard let list = try? TokenList(argument) else { return nil }
    self = list
  }
}
