/// The unigram language model of SentencePiece: the split of a piece whose tokens have the greatest sum of
/// scores (Kudo 2018), found by Viterbi's algorithm.
struct Unigram: TokenModel {
  let vocabulary: Vocabulary
  private let trie: TokenTrie
  /// The score of each id.
  private let scores: [Double]
  private let unknown: Int32
  private let unknownScore: Double
  private let byteTokens: ByteTokens?
  private let roundsSums: Bool
  /// Added to the scores of user-defined tokens for each byte, so that they always win.
  private let bonus: (ids: Set<Int32>, perByte: Double)?

  /// - Parameters:
  ///   - vocabulary: All tokens.
  ///   - matched: The tokens that are looked for in the text.
  ///   - scores: A finite score for each id.
  ///   - lowest: The score from which that of unknown code points is 10 away.
  ///   - unknown: The token of runs of code points without one.
  ///   - byteTokens: Spell such runs, if given.
  ///   - roundsSums: Whether sums are kept in single precision, which decides between splits of nearly
  ///     equal scores: SentencePiece does, the tokenizers library and llama.cpp do not.
  ///   - userDefined: Tokens that always win, and what they score for each byte.
  init(
    vocabulary: Vocabulary, matched: some Sequence<Int32>, scores: [Double], lowest: Double,
    unknown: Int32, byteTokens: ByteTokens?, roundsSums: Bool,
    userDefined: (ids: Set<Int32>, perByte: Double)? = nil
  ) {
    self.vocabulary = vocabulary
    trie = TokenTrie(vocabulary, ids: matched)
    self.scores = scores
    self.unknown = unknown
    unknownScore = roundsSums ? Double(Float(lowest) - 10) : lowest - 10
    self.byteTokens = byteTokens
    self.roundsSums = roundsSums
    bonus = userDefined
  }

  /// The best split up to one offset, and the token that it ends with.
  struct Path {
    var score: Double
    /// The offset where the token begins, or -1 if no split leads here.
    var start: Int
    var id: Int32

    static let none = Path(score: 0, start: -1, id: -1)
  }

  func tokenize(_ piece: UTF8Text, scratch: inout TokenModelScratch, into ids: inout [Int32]) {
    // Taken out of the scratch memory while it is used.
    var paths = scratch.paths
    scratch.paths = []
    // Paths are kept from the last offset on that all splits share, and their indices count from it.
    var shared = 0
    // The furthest end of a token yet.
    var reach = 0
    var unknownStart = -1
    paths.removeAll(keepingCapacity: true)
    paths.append(Path(score: 0, start: 0, id: -1))
    var position = 0
    while position < piece.count {
      if position == reach, position > shared {
        write(paths, from: shared, to: position, of: piece, &unknownStart, into: &ids)
        paths[0] = Path(score: paths[position - shared].score, start: position, id: -1)
        paths.removeSubrange(1...)
        shared = position
      }
      let length = piece.scalar(at: position).length
      let score = paths[position - shared].score
      var hasSingle = false
      trie.forEachPrefix(of: piece, at: position) { id, end in
        // Tokens are valid UTF-8, so that a match ends where a code point does.
        if end &- position == length { hasSingle = true }
        offer(self.score(of: id, length: end &- position) + score, id, position, end, shared, &paths)
        reach = max(reach, end)
      }
      if !hasSingle {
        let end = position + length
        let sum = unknownScore + score
        offer(sum, unknown, position, end, shared, &paths)
        reach = max(reach, end)
      }
      position += length
    }
    write(paths, from: shared, to: position, of: piece, &unknownStart, into: &ids)
    if unknownStart >= 0 { writeUnknown(piece.slice(unknownStart..<piece.count), into: &ids) }
    scratch.paths = paths
  }

  @inline(__always)
  private func score(of id: Int32, length: Int) -> Double {
    if let bonus, bonus.ids.contains(id) {
      return Double(Float(Double(length) * bonus.perByte - 0.1))
    }
    return scores[Int(id)]
  }

  /// Keeps a path to `end` if it is the first or better than the one before: of equals the longer last
  /// token stays, whose start was met first.
  @inline(__always)
  private func offer(
    _ score: Double, _ id: Int32, _ start: Int, _ end: Int, _ shared: Int, _ paths: inout [Path]
  ) {
    let score = roundsSums ? Double(Float(score)) : score
    let index = end &- shared
    while paths.count <= index { paths.append(.none) }
    if paths[index].start < 0 || score > paths[index].score {
      paths[index] = Path(score: score, start: start, id: id)
    }
  }

  /// Writes the tokens of the best split between two offsets that all splits share.
  private func write(
    _ paths: [Path], from shared: Int, to end: Int, of piece: UTF8Text, _ unknownStart: inout Int,
    into ids: inout [Int32]
  ) {
    // Turn the links around: from each start to the end of its token.
    var position = end
    var reversed: [(start: Int, id: Int32)] = []
    if position > shared, paths[position - shared].start == shared {
      return write(paths[position - shared].id, shared, of: piece, &unknownStart, into: &ids)
    }
    while position > shared {
      let path = paths[position - shared]
      reversed.append((path.start, path.id))
      position = path.start
    }
    for (start, id) in reversed.reversed() { write(id, start, of: piece, &unknownStart, into: &ids) }
  }

  /// Writes one token, or keeps it back as part of an unknown run.
  @inline(__always)
  private func write(
    _ id: Int32, _ start: Int, of piece: UTF8Text, _ unknownStart: inout Int, into ids: inout [Int32]
  ) {
    if id == unknown {
      if unknownStart < 0 { unknownStart = start }
      return
    }
    if unknownStart >= 0 {
      writeUnknown(piece.slice(unknownStart..<start), into: &ids)
      unknownStart = -1
    }
    ids.append(id)
  }

  private func writeUnknown(_ text: UTF8Text, into ids: inout [Int32]) {
    if let byteTokens, vocabulary.id(of: text) == nil, byteTokens.append(text, to: &ids) { return }
    ids.append(unknown)
  }
}
