/// Byte pair encoding over characters, as SentencePiece trains it (Kudo and Richardson 2018): a piece
/// begins as its code points, and neighbours are merged in the order of the merges' ranks.
///
/// Code points without a token become the tokens of their UTF-8 bytes, or the unknown token.
struct CharacterBPE: TokenModel {
  /// When code points without a token are replaced.
  enum Fallback: Sendable {
    /// By byte tokens that are merged as all others (the tokenizers library).
    case beforeMerging
    /// After merging, in which they may take part (SentencePiece and llama.cpp).
    case afterMerging
  }

  /// U+2581, which stands for a space.
  static let spaceMark: [UInt8] = [0xE2, 0x96, 0x81]
  static let spaceScalar: UInt32 = 0x2581

  let merges: MergeTable
  /// The token of each code point, or -1.
  let characters: ScalarTable
  var fallback: Fallback
  /// The tokens of bytes, if code points without a token are spelled with them.
  var byteTokens: ByteTokens?
  /// Stands for what has no token; without it that is dropped.
  var unknown: Int32?
  /// Whether a run of unknown tokens is one.
  var fusesUnknown = true
  /// Tokens that are found before anything is merged: at each place the longest.
  var userDefined: TokenTrie?
  /// Where given, a piece that is one of these tokens becomes it without any merge.
  var wholePieces: Vocabulary?
  /// Whether no merge joins a space mark to what precedes it, unless that is one too.
  ///
  /// A text can then be cut there, with the same result.
  var cutsBeforeSpaces: Bool

  /// The stand-in for a code point that has no token, which merges may name too.
  ///
  /// It is never -1, so that a pair of them is not what marks a free slot of the table.
  @inline(__always)
  static func placeholder(_ scalar: UInt32) -> Int32 { -2 - Int32(truncatingIfNeeded: scalar) }

  func tokenize(_ piece: UTF8Text, scratch: inout TokenModelScratch, into ids: inout [Int32]) {
    if let wholePieces, let id = wholePieces.id(of: piece) { return ids.append(id) }
    var run = UnknownRun()
    guard let userDefined else { return tokenize(piece, &run, into: &ids) }
    var start = 0
    var position = 0
    while position < piece.count {
      if let match = userDefined.longestPrefix(of: piece, at: position) {
        tokenize(piece.slice(start..<position), &run, into: &ids)
        ids.append(match.id)
        run = UnknownRun()
        position = match.end
        start = position
      } else {
        position += piece.scalar(at: position).length
      }
    }
    tokenize(piece.slice(start..<piece.count), &run, into: &ids)
  }

  /// What unknown tokens depend on besides the code point itself.
  private struct UnknownRun {
    /// Whether the last token is the unknown one.
    var isOpen = false
  }

  private func tokenize(_ text: UTF8Text, _ run: inout UnknownRun, into ids: inout [Int32]) {
    guard cutsBeforeSpaces else { return merge(text, &run, into: &ids) }
    var start = 0
    var afterMark = true
    var position = 0
    while position < text.count {
      // No other code point has this first byte and these continuations.
      let isMark =
        text[position] == 0xE2 && text[position &+ 1] == 0x96 && text[position &+ 2] == 0x81
      if isMark {
        if !afterMark {
          merge(text.slice(start..<position), &run, into: &ids)
          start = position
        }
        position &+= 3
      } else {
        position &+= 1
        while position < text.count, text[position] & 0xC0 == 0x80 { position &+= 1 }
      }
      afterMark = isMark
    }
    merge(text.slice(start..<text.count), &run, into: &ids)
  }

  private func merge(_ text: UTF8Text, _ run: inout UnknownRun, into ids: inout [Int32]) {
    guard !text.isEmpty else { return }
    merges.withSymbols(capacity: text.count) { symbols in
      switch fallback {
      case .beforeMerging:
        let count = merges.merge(symbols, count: fillReplacing(symbols, from: text))
        for index in 0..<count { ids.append(symbols[index].id) }
      case .afterMerging:
        let count = merges.merge(symbols, count: fill(symbols, from: text))
        for index in 0..<count { append(symbols[index].id, &run, to: &ids) }
      }
    }
  }

  // MARK: Replacing after merging

  private func fill(_ symbols: UnsafeMutableBufferPointer<MergeTable.Symbol>, from text: UTF8Text) -> Int {
    var count = 0
    var position = 0
    var previous: Int32 = 0
    while position < text.count {
      let (scalar, length) = text.scalar(at: position)
      position &+= length
      var id = characters[scalar]
      if id < 0 { id = Self.placeholder(scalar) }
      if count > 0 { symbols[count &- 1].merge = merges[previous, id] }
      symbols.initializeElement(at: count, to: MergeTable.Symbol(id: id, merge: .none))
      previous = id
      count &+= 1
    }
    return count
  }

  @inline(__always)
  private func append(_ id: Int32, _ run: inout UnknownRun, to ids: inout [Int32]) {
    guard id < 0 else {
      ids.append(id)
      run.isOpen = false
      return
    }
    if let byteTokens {
      var bytes: [UInt8] = []
      bytes.append(scalar: UInt32(-2 - id))
      if bytes.withUnsafeBufferPointer({ byteTokens.append($0, to: &ids) }) {
        run.isOpen = false
        return
      }
    }
    guard let unknown, !(run.isOpen && fusesUnknown) else { return }
    ids.append(unknown)
    run.isOpen = true
  }

  // MARK: Replacing before merging

  private func fillReplacing(
    _ symbols: UnsafeMutableBufferPointer<MergeTable.Symbol>, from text: UTF8Text
  ) -> Int {
    var count = 0
    func add(_ id: Int32) {
      if count > 0 { symbols[count - 1].merge = merges[symbols[count - 1].id, id] }
      symbols.initializeElement(at: count, to: MergeTable.Symbol(id: id, merge: .none))
      count += 1
    }
    // The library writes an unknown token only when the next known character comes, or the end.
    var pending: Int32?
    var position = 0
    while position < text.count {
      let (scalar, length) = text.scalar(at: position)
      let bytes = text.slice(position..<position + length)
      position += length
      let id = characters[scalar]
      if id >= 0 {
        if let unknown = pending.take() { add(unknown) }
        add(id)
        continue
      }
      if let byteTokens, bytes.allSatisfy({ byteTokens.ids[Int($0)] >= 0 }) {
        for byte in bytes { add(byteTokens.ids[Int(byte)]) }
        continue
      }
      if let pending, !fusesUnknown { add(pending) }
      pending = unknown
    }
    if let pending { add(pending) }
    return count
  }
}
