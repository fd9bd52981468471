/// A token that is looked for in the text itself, before the model sees it.
struct AddedToken: Sendable, Equatable {
  /// The spelling, not empty.
  var content: [UInt8]
  var id: Int32
  /// Matches only where no word character touches it.
  var singleWord = false
  /// Takes the white space on its left with it.
  var stripsLeft = false
  /// Takes the white space on its right with it.
  var stripsRight = false
  /// Is looked for in the normalised text, in its own normalised form.
  var isNormalized = false
  /// Controls the model and is no part of a text.
  var isSpecial = false
  /// Is part of plain text too, and matched even where added tokens are not recognised.
  var isPlainText = false
}

/// Finds added tokens in a text: at each place the longest, from left to right (as `AddedVocabulary` of the
/// tokenizers library).
struct AddedTokenMatcher: Sendable {
  private var tokens: [AddedToken] = []
  private var nodes = [Node()]
  /// For each byte whether a token begins with it.
  private var beginnings = [Bool](repeating: false, count: 256)

  /// A node of a trie over bytes.
  private struct Node {
    var byte: UInt8 = 0
    /// Index of the first node one level down, or 0.
    var child: Int32 = 0
    /// Index of the next node on this level, or 0.
    var sibling: Int32 = 0
    /// Index of the token that ends here, or -1.
    var token: Int32 = -1
  }

  /// True if there is nothing to find.
  var isEmpty: Bool { tokens.isEmpty }

  /// Adds a token, found by `spelling`; of two with the same spelling the first stays.
  mutating func add(_ token: AddedToken, spelling: [UInt8]) {
    guard let first = spelling.first else { return }
    var node = 0
    for byte in spelling {
      var next = Int(nodes[node].child)
      while next != 0, nodes[next].byte != byte { next = Int(nodes[next].sibling) }
      if next == 0 {
        next = nodes.count
        nodes.append(Node(byte: byte, sibling: nodes[node].child))
        nodes[node].child = Int32(next)
      }
      node = next
    }
    guard nodes[node].token < 0 else { return }
    nodes[node].token = Int32(tokens.count)
    tokens.append(token)
    beginnings[Int(first)] = true
  }

  /// Calls `body` with each stretch of `text`, until it returns false: the id of an added token, or -1 and
  /// the range of what lies between.
  ///
  /// - Returns: False if `body` returned false.
  func forEachSplit(in text: UTF8Text, _ body: (Int32, Range<Int>) -> Bool) -> Bool {
    // What precedes this offset has been reported.
    var reported = 0
    // The white space that was skipped last: tokens made of it must not skip it again and again.
    var space = 0..<0
    var position = 0
    while position < text.count {
      guard beginnings[Int(text[position])], let (index, end) = longestMatch(in: text, at: position) else {
        position += 1
        continue
      }
      let token = tokens[index]
      var start = position
      var stop = end
      position = end
      if token.singleWord, touchesWord(text, start, stop) { continue }
      // The white space may already belong to the token before.
      if token.stripsLeft { start = max(text.skippingWhitespace(backFrom: start, to: reported), reported) }
      if token.stripsRight {
        if !space.contains(stop) { space = stop..<text.skippingWhitespace(from: stop) }
        stop = max(stop, space.upperBound)
      }
      if reported < start, !body(-1, reported..<start) { return false }
      // White space that the token before took leaves nothing of a token made of white space.
      if start < stop, !body(token.id, start..<stop) { return false }
      reported = stop
    }
    return reported >= text.count || body(-1, reported..<text.count)
  }

  private func longestMatch(in text: UTF8Text, at start: Int) -> (token: Int, end: Int)? {
    var found: (Int, Int)?
    var node = 0
    var position = start
    while position < text.count {
      var next = Int(nodes[node].child)
      while next != 0, nodes[next].byte != text[position] { next = Int(nodes[next].sibling) }
      guard next != 0 else { break }
      node = next
      position += 1
      if nodes[node].token >= 0 { found = (Int(nodes[node].token), position) }
    }
    return found
  }

  private func touchesWord(_ text: UTF8Text, _ start: Int, _ end: Int) -> Bool {
    let tables = UnicodeTables.shared
    if start > 0, tables.properties(of: text.scalar(before: start).scalar).hasAny(.word) { return true }
    return end < text.count && tables.properties(of: text.scalar(at: end).scalar).hasAny(.word)
  }
}
