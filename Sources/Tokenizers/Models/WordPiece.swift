import SalanganeFiles

/// WordPiece: the longest token that begins a word, then the longest that continues it, and so on; a word
/// that can't be covered is the unknown token ("Google's Neural Machine Translation System", 2016, in the
/// form of BERT, 2018).
struct WordPiece: TokenModel {
  private let vocabulary: Vocabulary
  private let unknown: Int32
  private let prefix: [UInt8]
  private let longestWord: Int

  /// - Parameters:
  ///   - vocabulary: The tokens; those that continue a word begin with `prefix`.
  ///   - unknown: The token for a word that can't be covered.
  ///   - prefix: What marks a token that continues a word: `##`.
  ///   - longestWord: Words of more code points are unknown.
  init(vocabulary: Vocabulary, unknown: Int32, prefix: [UInt8], longestWord: Int) {
    self.vocabulary = vocabulary
    self.unknown = unknown
    self.prefix = prefix
    self.longestWord = longestWord
  }

  func tokenize(_ piece: UTF8Text, scratch: inout TokenModelScratch, into ids: inout [Int32]) {
    // Every code point takes at most four bytes.
    if piece.count > longestWord, piece.scalarCount > longestWord { return ids.append(unknown) }
    let first = ids.count
    let isCovered = prefix.withUnsafeBufferPointer { prefix in
      cover(piece, prefix: prefix, scratch: &scratch, into: &ids)
    }
    if !isCovered {
      ids.removeSubrange(first...)
      ids.append(unknown)
    }
  }

  private func cover(
    _ word: UTF8Text, prefix: UTF8Text, scratch: inout TokenModelScratch, into ids: inout [Int32]
  ) -> Bool {
    var continuing = TokenHash()
    continuing.append(prefix)
    var start = 0
    while start < word.count {
      let isFirst = start == 0
      var hash = isFirst ? TokenHash() : continuing
      let longest = vocabulary.longestToken - (isFirst ? 0 : prefix.count)
      let end = min(word.count, start + max(longest, 0))
      scratch.prefixes.removeAll(keepingCapacity: true)
      var position = start
      while position < end {
        hash.append(word[position])
        position += 1
        // Tokens are valid UTF-8, so that a match can only end where a code point does.
        if position == word.count || word[position] & 0xC0 != 0x80 {
          scratch.prefixes.append((position, hash))
        }
      }
      let marker = isFirst ? UTF8Text(start: nil, count: 0) : prefix
      var match: Int32?
      while let (end, hash) = scratch.prefixes.popLast() {
        match = vocabulary.id(hash: hash, prefix: marker, word.slice(start..<end))
        if match != nil {
          start = end
          break
        }
      }
      guard let match else { return false }
      ids.append(match)
    }
    return true
  }
}
