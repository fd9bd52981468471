/// The merges of a BPE model: which two neighbours become which token, and in what order.
///
/// A hash table over pairs of ids, in one piece of memory that never changes after it was filled.
final class MergeTable: @unchecked Sendable {
  /// What two neighbours become.
  struct Merge {
    /// The lower, the sooner; `.max` for neighbours that don't merge.
    var rank: UInt32
    var id: Int32

    static let none = Merge(rank: .max, id: -1)
  }

  /// Why a merge wasn't added.
  enum Conflict: Error {
    case duplicate, overfull
  }

  private struct Slot {
    /// Both ids, or `.max` where the slot is free.
    var pair: UInt64 = .max
    var merge: Merge = .none
  }

  private let slots: UnsafeMutablePointer<Slot>
  private let mask: Int
  private var left: Int

  /// Further pairs of one chain are refused: no merges have them unless they were made to be slow.
  private static let longestProbe = 1024

  /// Creates a table for at most `count` merges.
  init(capacity count: Int) {
    var capacity = 64
    // At most three quarters full: short probes in as few cache lines as that allows.
    while capacity * 3 < count * 4 { capacity *= 2 }
    slots = .allocate(capacity: capacity)
    slots.initialize(repeating: Slot(), count: capacity)
    mask = capacity - 1
    left = count
  }

  deinit { slots.deallocate() }

  @inline(__always)
  private func slot(_ pair: UInt64) -> Int {
    Int(truncatingIfNeeded: ((pair ^ pair >> 25) &* 0x9E37_79B9_7F4A_7C15) >> 32) & mask
  }

  @inline(__always)
  private static func pair(_ first: Int32, _ second: Int32) -> UInt64 {
    UInt64(UInt32(bitPattern: first)) << 32 | UInt64(UInt32(bitPattern: second))
  }

  /// Adds a merge; only while the table is being built.
  func add(_ first: Int32, _ second: Int32, _ merge: Merge) throws(Conflict) {
    precondition(left > 0, "more merges than the table was created for")
    let pair = Self.pair(first, second)
    var index = slot(pair)
    for _ in 0..<Self.longestProbe {
      if slots[index].pair == pair { throw .duplicate }
      if slots[index].pair == .max {
        slots[index] = Slot(pair: pair, merge: merge)
        left -= 1
        return
      }
      index = (index + 1) & mask
    }
    throw .overfull
  }

  /// What two neighbours become.
  @inline(__always)
  subscript(_ first: Int32, _ second: Int32) -> Merge {
    let pair = Self.pair(first, second)
    var index = slot(pair)
    while true {
      let found = slots[index].pair
      if found == pair { return slots[index].merge }
      if found == .max { return .none }
      index = (index &+ 1) & mask
    }
  }
}
