import SalanganeFiles

/// A trie over the bytes of tokens, as a double array (Aoe 1989): one memory access a byte.
struct TokenTrie: Sendable {
  /// Children of a node lie at `base ^ byte`, in one block of 256.
  private struct Unit {
    var base: UInt32 = 0
    /// The parent, or -1 where the unit is free.
    var parent: Int32 = -1
    /// The token that ends here, or -1.
    var id: Int32 = -1
  }

  private let units: [Unit]
  /// Bytes of the longest token.
  let longestToken: Int

  /// Creates the trie of the tokens `ids` of a vocabulary; empty tokens are left out.
  ///
  /// It ends early if `ReadInterruption` says so.
  init(_ vocabulary: Vocabulary, ids: some Sequence<Int32>) {
    var builder = Builder()
    var count = 0
    for id in ids {
      if ReadInterruption.isDue(after: count) { break }
      count += 1
      _ = vocabulary.withToken(id) { builder.add($0, id: id) }
    }
    longestToken = builder.longestToken
    units = builder.units()
  }

  /// Calls `body` with each token that `text` continues with at `start`, from short to long, and the
  /// offset where it ends.
  @inline(__always)
  func forEachPrefix(of text: UTF8Text, at start: Int, _ body: (Int32, Int) -> Void) {
    units.withUnsafeBufferPointer { units in
      var node = 0
      var position = start
      while position < text.count {
        // A base and its block are within the array, whatever the byte.
        let next = Int(units[node].base ^ UInt32(text[position]))
        let unit = units[next]
        guard unit.parent == Int32(truncatingIfNeeded: node) else { return }
        position &+= 1
        node = next
        if unit.id >= 0 { body(unit.id, position) }
      }
    }
  }

  /// The longest token that `text` continues with at `start`.
  func longestPrefix(of text: UTF8Text, at start: Int) -> (id: Int32, end: Int)? {
    var longest: (Int32, Int)?
    forEachPrefix(of: text, at: start) { longest = ($0, $1) }
    return longest
  }

  /// Collects tokens in a trie of linked nodes, then lays it out.
  private struct Builder {
    private struct Node {
      var byte: UInt8 = 0
      /// The first node one level down, or 0.
      var child: Int32 = 0
      /// The next node on this level, or 0.
      var sibling: Int32 = 0
      var id: Int32 = -1
    }

    private var nodes = [Node()]
    var longestToken = 0

    mutating func add(_ token: UTF8Text, id: Int32) {
      guard !token.isEmpty else { return }
      longestToken = max(longestToken, token.count)
      var node = 0
      for byte in token {
        var next = Int(nodes[node].child)
        while next != 0, nodes[next].byte != byte { next = Int(nodes[next].sibling) }
        if next == 0 {
          next = nodes.count
          nodes.append(Node(byte: byte, sibling: nodes[node].child))
          nodes[node].child = Int32(truncatingIfNeeded: next)
        }
        node = next
      }
      nodes[node].id = id
    }

    func units() -> [Unit] {
      var layout = Layout()
      layout.units.reserveCapacity(nodes.count * 5 / 4 + 512)
      layout.nextFree.reserveCapacity(nodes.count * 5 / 4 + 512)
      layout.previousFree.reserveCapacity(nodes.count * 5 / 4 + 512)
      layout.grow()
      layout.take(0, parent: 0)
      // The root is nobody's child, but its unit must not look like one of its own children.
      layout.units[0].parent = -2
      var stack: [(node: Int, unit: Int)] = [(0, 0)]
      var labels: [UInt8] = []
      var count = 0
      while !ReadInterruption.isDue(after: count), let (node, unit) = stack.popLast() {
        count += 1
        labels.removeAll(keepingCapacity: true)
        var child = Int(nodes[node].child)
        while child != 0 {
          labels.append(nodes[child].byte)
          child = Int(nodes[child].sibling)
        }
        guard !labels.isEmpty else { continue }
        let base = layout.base(for: labels)
        layout.units[unit].base = UInt32(base)
        child = Int(nodes[node].child)
        while child != 0 {
          let place = base ^ Int(nodes[child].byte)
          layout.take(place, parent: unit)
          layout.units[place].id = nodes[child].id
          stack.append((child, place))
          child = Int(nodes[child].sibling)
        }
      }
      return layout.units
    }
  }

  /// The array while it is filled, with a list of the free units.
  private struct Layout {
    var units: [Unit] = []
    var nextFree: [Int32] = []
    var previousFree: [Int32] = []
    private var firstFree: Int32 = -1
    private var lastFree: Int32 = -1

    /// So many free units are tried for nodes with several children.
    private static let attempts = 24

    /// Adds a block of 256 free units, at the end of the list.
    mutating func grow() {
      for _ in 0..<256 {
        let unit = Int32(truncatingIfNeeded: units.count)
        units.append(Unit())
        nextFree.append(-1)
        previousFree.append(lastFree)
        if lastFree >= 0 { nextFree[Int(lastFree)] = unit } else { firstFree = unit }
        lastFree = unit
      }
    }

    /// A base at which all `labels` are free.
    mutating func base(for labels: [UInt8]) -> Int {
      let first = Int(labels[0])
      var unit = firstFree
      var left = labels.count == 1 ? 1 : Self.attempts
      while unit >= 0, left > 0 {
        let base = Int(unit) ^ first
        if labels.allSatisfy({ units[base ^ Int($0)].parent == -1 }) { return base }
        unit = nextFree[Int(unit)]
        left -= 1
      }
      let base = units.count
      grow()
      return base
    }

    mutating func take(_ unit: Int, parent: Int) {
      units[unit].parent = Int32(truncatingIfNeeded: parent)
      let (previous, next) = (previousFree[unit], nextFree[unit])
      if previous >= 0 { nextFree[Int(previous)] = next } else { firstFree = next }
      if next >= 0 { previousFree[Int(next)] = previous } else { lastFree = previous }
    }
  }
}
