/// Byte-level byte pair encoding: a piece begins as its bytes, and the neighbours whose merge ranks first
/// are joined until none are left.
///
/// Sennrich et al., "Neural Machine Translation of Rare Words with Subword Units", 2016; over bytes as in
/// GPT-2, 2019.
struct ByteLevelBPE: TokenModel {
  private let merges: MergeTable
  /// The token of each byte, or -1.
  private let byteTokens: [Int32]
  /// The tokens that a whole piece may be at once, where merges are ignored for those.
  private let wholePieces: Vocabulary?
  private let unknown: Int32?
  private let fusesUnknown: Bool

  /// Whether pieces may be tokens at once.
  var ignoresMerges: Bool { wholePieces != nil }

  /// - Parameters:
  ///   - merges: The merges.
  ///   - byteTokens: The token of each of the 256 bytes, or -1 where there is none.
  ///   - wholePieces: Where given, a piece that is one of these tokens, spelled in the alphabet of
  ///     `ByteAlphabet`, becomes it without any merge (`ignore_merges`).
  ///   - unknown: Stands for bytes without a token; without it they are dropped.
  ///   - fusesUnknown: Whether a run of such bytes is one unknown token.
  init(
    merges: MergeTable, byteTokens: [Int32], wholePieces: Vocabulary?, unknown: Int32? = nil,
    fusesUnknown: Bool = false
  ) {
    precondition(byteTokens.count == 256)
    self.merges = merges
    self.byteTokens = byteTokens
    self.wholePieces = wholePieces
    self.unknown = unknown
    self.fusesUnknown = fusesUnknown
  }

  func tokenize(_ piece: UTF8Text, scratch: inout TokenModelScratch, into ids: inout [Int32]) {
    if let wholePieces, let id = wholeToken(piece, in: wholePieces, scratch: &scratch) {
      return ids.append(id)
    }
    merges.withSymbols(capacity: piece.count) { symbols in
      let count = merges.merge(symbols, count: fill(symbols, from: piece))
      for index in 0..<count { ids.append(symbols[index].id) }
    }
  }

  private func wholeToken(
    _ piece: UTF8Text, in vocabulary: Vocabulary, scratch: inout TokenModelScratch
  ) -> Int32? {
    guard piece.count <= vocabulary.longestToken else { return nil }
    scratch.spelling.removeAll(keepingCapacity: true)
    for byte in piece { scratch.spelling.append(scalar: ByteAlphabet.scalars[Int(byte)]) }
    return scratch.spelling.withUnsafeBufferPointer { vocabulary.id(of: $0) }
  }

  /// Writes the tokens of the bytes and the merges of neighbours; returns how many tokens there are.
  private func fill(_ symbols: UnsafeMutableBufferPointer<MergeTable.Symbol>, from piece: UTF8Text) -> Int {
    var count = 0
    var isUnknown = false
    for byte in piece {
      var id = byteTokens[Int(byte)]
      if id < 0 {
        guard let unknown, !(isUnknown && fusesUnknown) else { continue }
        id = unknown
        isUnknown = true
      } else {
        isUnknown = false
      }
      symbols.initializeElement(at: count, to: MergeTable.Symbol(id: id, merge: .none))
      if count > 0 { symbols[count - 1].merge = merges[symbols[count - 1].id, id] }
      count += 1
    }
    return count
  }
}
