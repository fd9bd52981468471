/// Makes spaces visible as U+2581 and puts one at the beginning (`Metaspace` of the tokenizers library).
///
/// It rewrites what lies between added tokens; where it splits too, `SpaceMarkPreTokenizer` follows.
struct Metaspace: Sendable, Equatable {
  /// When a segment that doesn't begin with the mark gets one.
  enum Prepending: String, Sendable {
    case always
    /// Only at the beginning of the whole text.
    case first
    case never
  }

  /// What stands for a space; not empty.
  var replacement: [UInt8]
  var prepending: Prepending
  /// Whether the text is split at white space first, which is dropped, so that every word gets a mark.
  var splitsWords = false

  /// Appends the rewritten form of `text`.
  ///
  /// - Parameter isFirst: Whether it begins the whole text.
  func rewrite(_ text: UTF8Text, isFirst: Bool, into output: inout [UInt8]) {
    guard splitsWords else { return rewriteWord(text, isFirst: isFirst, into: &output) }
    let tables = UnicodeTables.shared
    var start = 0
    var position = 0
    while position < text.count {
      let (scalar, length) = text.scalar(at: position)
      if tables.properties(of: scalar).hasAny(.whitespace) {
        rewriteWord(text.slice(start..<position), isFirst: isFirst && start == 0, into: &output)
        start = position + length
      }
      position += length
    }
    rewriteWord(text.slice(start..<text.count), isFirst: isFirst && start == 0, into: &output)
  }

  private func rewriteWord(_ text: UTF8Text, isFirst: Bool, into output: inout [UInt8]) {
    guard let first = text.first else { return }
    let hasMark = first == 0x20 || text.starts(with: replacement)
    if !hasMark, prepending == .always || prepending == .first && isFirst {
      output.append(contentsOf: replacement)
    }
    for byte in text {
      if byte == 0x20 { output.append(contentsOf: replacement) } else { output.append(byte) }
    }
  }
}

/// Begins a piece at every mark.
struct SpaceMarkPreTokenizer: PreTokenizer {
  /// What stands for a space; not empty.
  var mark: [UInt8]

  func forEachPiece(in text: UTF8Text, _ body: (Range<Int>) -> Bool) -> Bool {
    var start = 0
    var position = 0
    while position < text.count {
      if text[position] == mark[0], text[position...].starts(with: mark) {
        if start < position, !body(start..<position) { return false }
        start = position
        position += mark.count
      } else {
        position += 1
      }
    }
    return start == text.count || body(start..<text.count)
  }
}
