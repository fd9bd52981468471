/// The second stage of a tokenizer: cuts normalised text into the pieces that the model sees one by one.
package protocol PreTokenizer: Sendable {
  /// Calls `body` with the range of each piece of `text`, in order, until `body` returns false.
  ///
  /// No piece is empty; text between the pieces is dropped.
  ///
  /// - Returns: False if `body` returned false.
  func forEachPiece(in text: UTF8Text, _ body: (Range<Int>) -> Bool) -> Bool
}

/// Pre-tokenizers applied one after the other, each to the pieces of the one before.
package struct SequencePreTokenizer: PreTokenizer {
  /// The stages, in order.
  var stages: [any PreTokenizer]

  package func forEachPiece(in text: UTF8Text, _ body: (Range<Int>) -> Bool) -> Bool {
    forEachPiece(in: text, 0..<text.count, stage: 0, body)
  }

  private func forEachPiece(
    in text: UTF8Text, _ range: Range<Int>, stage: Int, _ body: (Range<Int>) -> Bool
  ) -> Bool {
    guard stage < stages.count else { return range.isEmpty || body(range) }
    return stages[stage].forEachPiece(in: text.slice(range)) { piece in
      let whole = range.lowerBound + piece.lowerBound..<range.lowerBound + piece.upperBound
      return forEachPiece(in: text, whole, stage: stage + 1, body)
    }
  }
}

/// Splits at white space, and makes every punctuation character a piece (`BertPreTokenizer`).
package struct BertPreTokenizer: PreTokenizer {
  package init() {}

  package func forEachPiece(in text: UTF8Text, _ body: (Range<Int>) -> Bool) -> Bool {
    let tables = UnicodeTables.shared
    var start = 0
    var position = 0
    while position < text.count {
      let (scalar, length) = text.scalar(at: position)
      let properties = tables.properties(of: scalar)
      if properties.hasAny([.whitespace, .bertPunctuation]) {
        if start < position, !body(start..<position) { return false }
        start = position + length
        if !properties.hasAny(.whitespace), !body(position..<start) { return false }
      }
      position += length
    }
    return start == text.count || body(start..<text.count)
  }
}

/// Splits at white space (`WhitespaceSplit` of the tokenizers library).
struct WhitespacePreTokenizer: PreTokenizer {
  func forEachPiece(in text: UTF8Text, _ body: (Range<Int>) -> Bool) -> Bool {
    let tables = UnicodeTables.shared
    var start = 0
    var position = 0
    while position < text.count {
      let (scalar, length) = text.scalar(at: position)
      if tables.properties(of: scalar).hasAny(.whitespace) {
        if start < position, !body(start..<position) { return false }
        start = position + length
      }
      position += length
    }
    return start == text.count || body(start..<text.count)
  }
}
