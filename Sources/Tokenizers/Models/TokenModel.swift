/// The third stage of a tokenizer: turns one piece of text into token ids.
protocol TokenModel: Sendable {
  /// Appends the ids of `piece` to `ids`.
  ///
  /// - Parameters:
  ///   - piece: Valid UTF-8, not empty.
  ///   - scratch: Memory that is kept from one piece to the next.
  ///   - ids: Where the ids go.
  func tokenize(_ piece: UTF8Text, scratch: inout TokenModelScratch, into ids: inout [Int32])
}

/// Memory that models reuse between the pieces of one text.
struct TokenModelScratch {
  /// Ends and hashes of the prefixes of a word.
  var prefixes: [(end: Int, hash: TokenHash)] = []
  /// A piece in another alphabet.
  var spelling: [UInt8] = []
  /// The best splits up to the offsets of a piece.
  var paths: [Unigram.Path] = []
}
