/// The merging itself: neighbours whose merge ranks first are joined, the leftmost of equals before the
/// others, until no neighbours merge.
extension MergeTable {
  /// A token of a piece, and what it and its right neighbour become.
  struct Symbol {
    var id: Int32
    var merge: Merge
    /// The left neighbour among the tokens that are left, or -1; only the priority queue needs it.
    var previous: Int32 = -1
    /// The right neighbour, or -1.
    var next: Int32 = -1
  }

  /// Pieces of more symbols are merged with a priority queue, whose set-up shorter ones don't repay.
  private static let longestScan = 64

  /// Calls `body` with uninitialised memory for `capacity` symbols.
  @inline(__always)
  func withSymbols(capacity: Int, _ body: (UnsafeMutableBufferPointer<Symbol>) -> Void) {
    if capacity <= Self.longestScan {
      withUnsafeTemporaryAllocation(of: Symbol.self, capacity: capacity, body)
    } else {
      let symbols = UnsafeMutableBufferPointer<Symbol>.allocate(capacity: capacity)
      defer { symbols.deallocate() }
      body(symbols)
    }
  }

  /// Merges the first `count` symbols, each of which holds its merge with the next one.
  ///
  /// - Returns: How many symbols are left, at the beginning of `symbols`.
  func merge(_ symbols: UnsafeMutableBufferPointer<Symbol>, count: Int) -> Int {
    count <= Self.longestScan
      ? mergeByScanning(symbols, count: count) : mergeByPriority(symbols, count: count)
  }

  /// Looks for the first merge again after each one: quadratic, but with the smallest constant.
  private func mergeByScanning(_ symbols: UnsafeMutableBufferPointer<Symbol>, count: Int) -> Int {
    var count = count
    while true {
      var best = -1
      var rank = UInt32.max
      for index in 0..<max(count - 1, 0) where symbols[index].merge.rank < rank {
        rank = symbols[index].merge.rank
        best = index
      }
      guard best >= 0 else { return count }
      symbols[best].id = symbols[best].merge.id
      count -= 1
      for index in best + 1..<max(count, best + 1) { symbols[index] = symbols[index + 1] }
      symbols[best].merge = best + 1 < count ? self[symbols[best].id, symbols[best + 1].id] : .none
      if best > 0 { symbols[best - 1].merge = self[symbols[best - 1].id, symbols[best].id] }
    }
  }

  /// Keeps the possible merges in a heap: n log n for pieces of any length.
  private func mergeByPriority(_ symbols: UnsafeMutableBufferPointer<Symbol>, count: Int) -> Int {
    var queue = MergeQueue()
    for index in 0..<count {
      symbols[index].previous = Int32(truncatingIfNeeded: index - 1)
      symbols[index].next = index + 1 < count ? Int32(truncatingIfNeeded: index + 1) : -1
      // What the last symbol holds doesn't matter to the scan.
      if index + 1 == count { symbols[index].merge = .none }
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
        symbols[position].merge = self[symbols[position].id, symbols[Int(next)].id]
        queue.push(rank: symbols[position].merge.rank, position: position)
      }
      let previous = Int(symbols[position].previous)
      if previous >= 0 {
        symbols[previous].merge = self[symbols[previous].id, symbols[position].id]
        queue.push(rank: symbols[previous].merge.rank, position: previous)
      }
    }
    var left = 0
    var index = 0
    while index >= 0, index < count {
      let next = Int(symbols[index].next)
      symbols[left] = symbols[index]
      left += 1
      index = next
    }
    return left
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
