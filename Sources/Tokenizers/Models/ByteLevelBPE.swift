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

  /// Pieces of more bytes are merged with a priority queue, whose set-up shorter ones don't repay.
  private static let longestScan = 64

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
    if piece.count <= Self.longestScan {
      withUnsafeTemporaryAllocation(of: Symbol.self, capacity: piece.count) { symbols in
        let count = fill(symbols, from: piece)
        mergeByScanning(symbols, count: count, into: &ids)
      }
    } else {
      let symbols = UnsafeMutableBufferPointer<Symbol>.allocate(capacity: piece.count)
      defer { symbols.deallocate() }
      let count = fill(symbols, from: piece)
      mergeByPriority(symbols, count: count, into: &ids)
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

  /// A token of the piece, and what it and its right neighbour become.
  private struct Symbol {
    var id: Int32
    var merge: MergeTable.Merge
    /// Neighbours in the list of tokens that are left; -1 at the ends.
    ///
    /// Only the priority queue needs them.
    var previous: Int32 = -1
    var next: Int32 = -1
  }

  /// Writes the tokens of the bytes and the merges of neighbours; returns how many tokens there are.
  private func fill(_ symbols: UnsafeMutableBufferPointer<Symbol>, from piece: UTF8Text) -> Int {
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
      symbols.initializeElement(at: count, to: Symbol(id: id, merge: .none))
      if count > 0 { symbols[count - 1].merge = merges[symbols[count - 1].id, id] }
      count += 1
    }
    return count
  }

  /// Looks for the first merge again after each one: quadratic, but with the smallest constant.
  private func mergeByScanning(
    _ symbols: UnsafeMutableBufferPointer<Symbol>, count: Int, into ids: inout [Int32]
  ) {
    var count = count
    while true {
      var best = -1
      var rank = UInt32.max
      for index in 0..<max(count - 1, 0) where symbols[index].merge.rank < rank {
        rank = symbols[index].merge.rank
        best = index
      }
      guard best >= 0 else { break }
      symbols[best].id = symbols[best].merge.id
      count -= 1
      for index in best + 1..<max(count, best + 1) { symbols[index] = symbols[index + 1] }
      symbols[best].merge = best + 1 < count ? merges[symbols[best].id, symbols[best + 1].id] : .none
      if best > 0 { symbols[best - 1].merge = merges[symbols[best - 1].id, symbols[best].id] }
    }
    for index in 0..<count { ids.append(symbols[index].id) }
  }

  /// Keeps the possible merges in a heap: n log n for pieces of any length.
  private func mergeByPriority(
    _ symbols: UnsafeMutableBufferPointer<Symbol>, count: Int, into ids: inout [Int32]
  ) {
    guard count > 0 else { return }
    var queue = MergeQueue()
    for index in 0..<count {
      symbols[index].previous = Int32(truncatingIfNeeded: index - 1)
      symbols[index].next = index + 1 < count ? Int32(truncatingIfNeeded: index + 1) : -1
      queue.append(rank: symbols[index].merge.rank, position: index)
    }
    queue.heapify()
    while let (rank, position) = queue.pop() {
      // An entry is stale if the token was merged away, or has another neighbour by now.
      guard symbols[position].merge.rank == rank else { continue }
      let removed = Int(symbols[position].next)
      symbols[position].id = symbols[position].merge.id
      let next = symbols[removed].next
      symbols[removed].merge = .none
      symbols[position].next = next
      symbols[position].merge = .none
      if next >= 0 {
        symbols[Int(next)].previous = Int32(truncatingIfNeeded: position)
        symbols[position].merge = merges[symbols[position].id, symbols[Int(next)].id]
        queue.push(rank: symbols[position].merge.rank, position: position)
      }
      let previous = Int(symbols[position].previous)
      if previous >= 0 {
        symbols[previous].merge = merges[symbols[previous].id, symbols[position].id]
        queue.push(rank: symbols[previous].merge.rank, position: previous)
      }
    }
    var index = 0
    while index >= 0 {
      ids.append(symbols[index].id)
      index = Int(symbols[index].next)
    }
  }
}

/// A binary heap of merges: the lowest rank first, among equals the leftmost.
struct MergeQueue {
  /// The rank in the high half, the position in the low one.
  private var entries: [UInt64] = []

  /// Appends an entry without ordering it; call `heapify` before anything else.
  mutating func append(rank: UInt32, position: Int) {
    guard rank != .max else { return }
    entries.append(UInt64(rank) << 32 | UInt64(position))
  }

  /// Orders the entries that were appended.
  mutating func heapify() {
    for index in stride(from: entries.count / 2 - 1, through: 0, by: -1) { siftDown(index) }
  }

  /// Adds an entry; one without a rank is left out.
  mutating func push(rank: UInt32, position: Int) {
    guard rank != .max else { return }
    entries.append(UInt64(rank) << 32 | UInt64(position))
    var index = entries.count - 1
    while index > 0, entries[(index - 1) / 2] > entries[index] {
      entries.swapAt(index, (index - 1) / 2)
      index = (index - 1) / 2
    }
  }

  /// Takes the first entry out.
  mutating func pop() -> (rank: UInt32, position: Int)? {
    guard let first = entries.first else { return nil }
    let last = entries.removeLast()
    if !entries.isEmpty {
      entries[0] = last
      siftDown(0)
    }
    return (UInt32(truncatingIfNeeded: first >> 32), Int(first & 0xFFFF_FFFF))
  }

  private mutating func siftDown(_ start: Int) {
    var index = start
    while true {
      var least = index
      for child in [2 * index + 1, 2 * index + 2] where child < entries.count {
        if entries[child] < entries[least] { least = child }
      }
      if least == index { return }
      entries.swapAt(index, least)
      index = least
    }
  }
}
