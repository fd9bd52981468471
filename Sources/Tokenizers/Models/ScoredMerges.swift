import SalanganeFiles

/// Derives the merges of SentencePiece BPE, whose files give each token a score instead: two neighbours
/// merge if together they are a token, and the best score goes first.
struct ScoredMerges {
  /// Why there is no table of merges.
  enum Failure: Error, Equatable {
    /// The tokens can be put together in far more ways than those of any trained vocabulary.
    case overfull
  }

  let table: MergeTable
  /// The token of each code point, or -1.
  let characters: ScalarTable
  /// See `CharacterBPE.cutsBeforeSpaces`.
  let cutsBeforeSpaces: Bool
  /// Those of the watched tokens that merges lead to.
  let reachable: Set<Int32>

  /// Derives the merges of a vocabulary; ends early if `ReadInterruption` says so.
  ///
  /// - Parameters:
  ///   - vocabulary: The tokens.
  ///   - scores: A finite score for each id.
  ///   - watched: The tokens that `reachable` is about.
  ///   - isMerged: Whether merges may lead to a token.
  init(
    _ vocabulary: Vocabulary, scores: [Float], watched: Set<Int32> = [],
    isMerged: (Int32) -> Bool
  ) throws(Failure) {
    var characters = ScalarTable()
    var merged = [Bool](repeating: false, count: vocabulary.size)
    for id in 0..<Int32(vocabulary.size) where vocabulary.contains(id) && isMerged(id) {
      merged[Int(id)] = true
      _ = vocabulary.withToken(id) { token in
        if !token.isEmpty, token.scalar(at: 0).length == token.count {
          characters[token.scalar(at: 0).scalar] = id
        }
      }
    }
    struct Pair {
      var left: Int32
      var right: Int32
      var merge: MergeTable.Merge
    }
    var pairs: [Pair] = []
    pairs.reserveCapacity(vocabulary.count * 3)
    var reachable: Set<Int32> = []
    // Cutting must leave the space mark itself known, so that runs of unknown tokens end there.
    var cuts = characters[CharacterBPE.spaceScalar] >= 0
    var left = vocabulary.count * 64 + 65_536

    /// The token or placeholder that a part of a token is.
    func part(_ text: UTF8Text, hash: TokenHash) -> Int32? {
      if let id = vocabulary.id(hash: hash, prefix: UTF8Text(start: nil, count: 0), text), merged[Int(id)] {
        return id
      }
      let (scalar, length) = text.scalar(at: 0)
      return length == text.count ? CharacterBPE.placeholder(scalar) : nil
    }

    for id in 0..<Int32(vocabulary.size) where merged[Int(id)] {
      if ReadInterruption.isDue(after: Int(id)) { break }
      vocabulary.withToken(id) { token in
        guard !token.isEmpty, token.scalar(at: 0).length < token.count else { return }
        let merge = MergeTable.Merge(rank: Self.rank(scores[Int(id)]), id: id)
        var hash = TokenHash()
        var position = 0
        var afterMark = true
        var joinsMark = false
        var isReachable = false
        defer {
          if isReachable {
            if joinsMark { cuts = false }
            if watched.contains(id) { reachable.insert(id) }
          }
        }
        while true {
          let (scalar, length) = token.scalar(at: position)
          let isMark = scalar == CharacterBPE.spaceScalar
          if isMark, !afterMark { joinsMark = true }
          afterMark = isMark
          for offset in position..<position + length { hash.append(token[offset]) }
          position += length
          guard position < token.count, left > 0 else { return }
          guard let first = part(token.slice(0..<position), hash: hash) else { continue }
          left -= 1
          let rest = token.slice(position..<token.count)
          var restHash = TokenHash()
          restHash.append(rest)
          guard let second = part(rest, hash: restHash) else { continue }
          pairs.append(Pair(left: first, right: second, merge: merge))
          isReachable = true
        }
      }
    }
    guard left > 0 else { throw .overfull }
    table = MergeTable(capacity: pairs.count)
    for (index, pair) in pairs.enumerated() {
      if ReadInterruption.isDue(after: index) { break }
      do throws(MergeTable.Conflict) {
        try table.add(pair.left, pair.right, pair.merge)
      } catch {
        throw .overfull
      }
    }
    self.characters = characters
    self.reachable = reachable
    cutsBeforeSpaces = cuts
  }

  /// A rank that falls as the score rises, and is equal for equal scores.
  static func rank(_ score: Float) -> UInt32 {
    // Adding zero makes one of the two zeros.
    let bits = (score + 0).bitPattern
    let ascending = bits >> 31 == 1 ? ~bits : bits | 1 << 31
    return ~ascending
  }
}
