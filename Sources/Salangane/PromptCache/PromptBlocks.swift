import SalanganeTensors

/// Blocks of keys and values in the order of their last use, found by the tokens that they and all blocks before them
/// hold.
///
/// They form a tree, whose edges are the tokens of a block. A block is looked for among the
/// children of the one before it, by a hash and then by the tokens themselves, so that what is found has exactly the
/// tokens asked for, from the first one on. Every block was used at least as late as those behind it: the one that was
/// used longest ago is always a leaf, and can go.
package struct PromptBlocks {
  /// What a block holds, and after what.
  package struct Key: Hashable {
    /// The place of the block before it; -1 for a first block.
    package var parent: Int
    /// Its tokens, `KVCache.blockLength` of them.
    package var tokens: [Int32]

    /// Describes a block.
    package init(parent: Int, tokens: [Int32]) {
      self.parent = parent
      self.tokens = tokens
    }
  }

  private struct Node {
    var key: Key
    var block: KVBlock
    /// The places of those that were used just after and just before it; -1 for none.
    var newer: Int
    var older: Int
  }

  /// The most bytes that the blocks may take together.
  package let maximumBytes: Int
  /// The bytes that they take.
  package private(set) var byteCount = 0
  /// How many there are.
  package var count: Int { places.count }

  private var places: [Key: Int] = [:]
  private var nodes: [Node?] = []
  private var free: [Int] = []
  private var newest = -1
  private var oldest = -1

  /// Creates an empty store.
  package init(maximumBytes: Int) { self.maximumBytes = maximumBytes }

  /// The bytes that a block is counted with: its own, and those of its tokens.
  package static func bytes(ofBlock byteCount: Int) -> Int { byteCount + KVCache.blockLength * 4 }

  // MARK: Looking up

  /// Whether there is a block for just this.
  package func contains(_ key: Key) -> Bool { places[key] != nil }

  /// The places of the blocks that hold the start of a sequence, as many as there are.
  ///
  /// - Parameters:
  ///   - tokens: The sequence.
  ///   - most: The most blocks.
  private func chain(_ tokens: [Int32], most: Int) -> [Int] {
    var chain: [Int] = []
    while chain.count < most {
      let key = Self.key(tokens, chain.count, after: chain.last ?? -1)
      guard let place = places[key] else { break }
      chain.append(place)
    }
    return chain
  }

  private static func key(_ tokens: [Int32], _ index: Int, after parent: Int) -> Key {
    let first = index * KVCache.blockLength
    return Key(parent: parent, tokens: Array(tokens[first..<first + KVCache.blockLength]))
  }

  /// The blocks that hold the start of a sequence, as many as there are; they count as used.
  ///
  /// - Parameters:
  ///   - tokens: The sequence, at least `most` blocks long.
  ///   - most: The most blocks.
  package mutating func blocks(of tokens: [Int32], most: Int) -> [KVBlock] {
    let chain = chain(tokens, most: most)
    use(chain)
    return chain.compactMap { nodes[$0]?.block }
  }

  // MARK: Adding

  /// Adds the first blocks of a sequence that aren't there yet, as far as there is room, and uses all of them.
  ///
  /// - Parameters:
  ///   - tokens: The sequence, at least `count` blocks long.
  ///   - count: How many blocks.
  ///   - block: Gives a block by its index.
  /// - Returns: Whether any was added.
  package mutating func insert(
    _ tokens: [Int32], count: Int, block: (Int) -> KVBlock
  ) -> Bool {
    let chain = chain(tokens, most: count)
    use(chain)
    var last = chain.last ?? -1
    for index in chain.count..<count {
      guard let place = insert(Self.key(tokens, index, after: last), block(index), behind: last)
      else { return index > chain.count }
      last = place
    }
    return count > chain.count
  }

  /// Adds a block that isn't there yet, used just before another.
  ///
  /// - Parameters:
  ///   - key: What it holds.
  ///   - block: The block.
  ///   - newer: The place of the block that was used next; -1 if it is the newest itself. What is older than that
  ///     one may go to make room.
  /// - Returns: The block's place; nil if there is no room.
  package mutating func insert(_ key: Key, _ block: KVBlock, behind newer: Int) -> Int? {
    precondition(key.tokens.count == KVCache.blockLength && places[key] == nil)
    let bytes = Self.bytes(ofBlock: block.byteCount)
    guard bytes <= maximumBytes else { return nil }
    while byteCount > maximumBytes - bytes {
      guard oldest != newer else { return nil }
      removeOldest()
    }
    let place = free.popLast() ?? nodes.count
    let node = Node(key: key, block: block, newer: -1, older: -1)
    if place == nodes.count { nodes.append(node) } else { nodes[place] = node }
    places[key] = place
    byteCount += bytes
    link(place, behind: newer)
    return place
  }

  private mutating func removeOldest() {
    let place = oldest
    unlink(place)
    guard let node = nodes[place] else { return }
    places[node.key] = nil
    byteCount -= Self.bytes(ofBlock: node.block.byteCount)
    nodes[place] = nil
    free.append(place)
  }

  // MARK: The order of use

  /// Makes the blocks of a chain the newest, the first of them the newest of all.
  private mutating func use(_ chain: [Int]) {
    for place in chain.reversed() {
      unlink(place)
      link(place, behind: -1)
    }
  }

  private mutating func link(_ place: Int, behind newer: Int) {
    let older = newer < 0 ? newest : nodes[newer]?.older ?? -1
    nodes[place]?.newer = newer
    nodes[place]?.older = older
    if newer < 0 { newest = place } else { nodes[newer]?.older = place }
    if older < 0 { oldest = place } else { nodes[older]?.newer = place }
  }

  private mutating func unlink(_ place: Int) {
    guard let node = nodes[place] else { return }
    if node.newer < 0 { newest = node.older } else { nodes[node.newer]?.older = node.older }
    if node.older < 0 { oldest = node.newer } else { nodes[node.older]?.newer = node.newer }
  }

  /// All blocks, those used last first, and so each behind the one before it in its sequence; in keys, `parent` is
  /// the index in this list.
  package var newestFirst: [(key: Key, block: KVBlock)] {
    var list: [(key: Key, block: KVBlock)] = []
    list.reserveCapacity(count)
    var indices: [Int: Int] = [:]
    var place = newest
    while place >= 0, let node = nodes[place] {
      var key = node.key
      if key.parent >= 0 { key.parent = indices[key.parent] ?? -1 }
      indices[place] = list.count
      list.append((key, node.block))
      place = node.older
    }
    return list
  }
}
