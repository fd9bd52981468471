import SalanganeKernels

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// The keys and values of the tokens that a sequence has seen, for attention by later ones.
///
/// Positions are stored in blocks of `blockLength`, for all layers together; blocks are added as the
/// sequence grows and never moved. Full blocks may be held by several caches at once: one that writes to such a
/// block takes a copy of its own first. In a block, a head's keys lie in panels of 16 positions with the 16
/// values of one feature side by side, so that they are the right operand of a product with queries, or the
/// left one of a product from the other side; a head's values lie in rows, padded to whole vectors. Latents (of
/// DeepSeek-V2's attention), whose leading features are the values too, lie in such rows only. What has 8 bits lies
/// otherwise: see `CodedHead` and `CodedLatents`.
///
/// A cache belongs to one request. It is written by the thread that leads the team and by the team's tasks,
/// which write disjoint positions.
package final class KVCache {
  /// How numbers are stored.
  package enum ElementType: String, CaseIterable, Sendable {
    /// As computed.
    case f32
    /// Rounded to half precision.
    case f16
    /// Rounded to 8 bits: keys with a scale for 32 features, values with one a position, latents with two. Attention
    /// computes with these integers.
    case q8
  }

  /// What one layer stores of a position.
  package struct LayerShape: Hashable, Sendable {
    /// Key and value heads.
    package let heads: Int
    /// Features of a key.
    package let keyDimension: Int
    /// Features of a value.
    package let valueDimension: Int
    /// Whether a key's leading features are the value, so that it is stored but once.
    package let isLatent: Bool

    /// Describes a layer.
    package init(heads: Int, keyDimension: Int, valueDimension: Int) {
      precondition(heads > 0 && keyDimension > 0 && valueDimension > 0)
      self.heads = heads
      self.keyDimension = keyDimension
      self.valueDimension = valueDimension
      isLatent = false
    }

    /// Describes a layer of latents: one key for all heads, whose leading features are the value.
    package init(latentDimension: Int, valueDimension: Int) {
      precondition((1...latentDimension).contains(valueDimension))
      heads = 1
      keyDimension = latentDimension
      self.valueDimension = valueDimension
      isLatent = true
    }

    /// Numbers from one row of values to the next.
    package var valueStride: Int { ((isLatent ? keyDimension : valueDimension) + 15) & ~15 }

    /// Numbers that are kept of a position.
    package var valuesPerPosition: Int {
      isLatent ? keyDimension : heads * (keyDimension + valueDimension)
    }
  }

  /// Positions of a block; attention merges its results block by block.
  package static let blockLength = 128

  /// How numbers are stored.
  package let elementType: ElementType
  /// What each layer stores.
  package let layers: [LayerShape]
  /// The most positions that the cache may hold.
  package let capacity: Int
  /// Whether layers share their memory: enough for sequences that run whole, once.
  package let isTransient: Bool
  /// How many positions hold keys and values.
  package private(set) var count = 0

  private let layerOffsets: [Int]
  private let blockBytes: Int
  /// Where the blocks lie.
  private var blocks: [UnsafeMutableRawPointer] = []
  /// Who holds them.
  private var owners: [KVBlock] = []

  /// Creates an empty cache.
  ///
  /// - Parameters:
  ///   - layers: What each layer stores.
  ///   - elementType: How numbers are stored.
  ///   - capacity: The most positions, normally the context length.
  ///   - isTransient: Whether every layer overwrites the one before it, for a sequence that runs whole and is
  ///     never continued, such as a text to embed.
  package init(
    layers: [LayerShape], elementType: ElementType, capacity: Int, isTransient: Bool = false
  ) {
    precondition(!layers.isEmpty && capacity > 0)
    self.layers = layers
    self.elementType = elementType
    self.capacity = capacity
    self.isTransient = isTransient
    (layerOffsets, blockBytes) = Self.layout(layers, elementType, isTransient: isTransient)
    blocks.reserveCapacity(min((capacity + Self.blockLength - 1) / Self.blockLength, 1 << 12))
  }

  private static func layout(
    _ layers: [LayerShape], _ elementType: ElementType, isTransient: Bool
  ) -> (offsets: [Int], blockBytes: Int) {
    var offsets: [Int] = []
    var end = 0
    var largest = 0
    for layer in layers {
      let bytes = layer.heads * layer.headBytes(elementType)
      offsets.append(isTransient ? 0 : end)
      end += bytes
      largest = max(largest, bytes)
    }
    return (offsets, isTransient ? largest : end)
  }

  /// The bytes that a cache takes for a number of positions; nil beyond what can be addressed.
  package static func byteCount(
    layers: [LayerShape], elementType: ElementType, positions: Int, isTransient: Bool = false
  ) -> Int? {
    let blocks = positions / blockLength + (positions % blockLength == 0 ? 0 : 1)
    let (bytes, overflow) = layout(layers, elementType, isTransient: isTransient).blockBytes
      .multipliedReportingOverflow(by: blocks)
    return overflow ? nil : bytes
  }

  /// The bytes that the cache takes now.
  package var byteCount: Int { blocks.count * blockBytes }

  /// Makes room for the first `positions` positions.
  ///
  /// - Throws: `KVCacheError` if that is more than `capacity`, or memory is short; the cache stays as it is.
  package func reserve(_ positions: Int) throws(KVCacheError) {
    guard positions <= capacity else { throw .contextExceeded(positions: positions, capacity: capacity) }
    try checkMemory(for: positions)
    while blocks.count * Self.blockLength < positions { append(try KVBlock(byteCount: blockBytes)) }
    // What is about to be written must be this cache's alone.
    let end = (positions + Self.blockLength - 1) / Self.blockLength
    for index in min(count / Self.blockLength, end)..<end where !isKnownUniquelyReferenced(&owners[index]) {
      let copy = try owners[index].copy()
      owners[index] = copy
      blocks[index] = copy.base
    }
  }

  /// Checks that there is memory for the first `positions` positions.
  ///
  /// The system promises more than it has, and ends a process that takes it: what can't be had is refused before.
  ///
  /// - Throws: `KVCacheError.outOfMemory`.
  package func checkMemory(for positions: Int) throws(KVCacheError) {
    let missing = (positions + Self.blockLength - 1) / Self.blockLength - blocks.count
    guard missing > 0, !isTransient else { return }
    let (bytes, overflow) = missing.multipliedReportingOverflow(by: blockBytes)
    // Asking takes longer than a small block is worth.
    guard overflow || bytes >= 1 << 20 else { return }
    guard !overflow, bytes <= SystemMemory.current.available else {
      throw .outOfMemory(bytes: overflow ? .max : bytes)
    }
  }

  private func append(_ block: KVBlock) {
    owners.append(block)
    blocks.append(block.base)
  }

  // MARK: Sharing

  /// How many blocks are full.
  package var fullBlocks: Int { count / Self.blockLength }

  /// A full block, for others to hold too.
  package func sharedBlock(_ index: Int) -> KVBlock {
    precondition(!isTransient && index >= 0 && index < fullBlocks)
    return owners[index]
  }

  /// Replaces all positions from a block on by full blocks of a cache of the same form.
  ///
  /// - Parameters:
  ///   - shared: The blocks, which stay as they are.
  ///   - first: The block that the first of them becomes; all before it are full.
  package func adopt(_ shared: some Collection<KVBlock>, from first: Int) {
    precondition(!isTransient && first >= 0 && first <= fullBlocks)
    precondition((first + shared.count) * Self.blockLength <= capacity)
    owners.removeSubrange(first...)
    blocks.removeSubrange(first...)
    for block in shared {
      precondition(block.byteCount == blockBytes)
      append(block)
    }
    count = owners.count * Self.blockLength
  }

  /// Counts positions that all layers have stored by now.
  package func advance(by positions: Int) {
    precondition(positions >= 0 && count + positions <= blocks.count * Self.blockLength && !isTransient)
    count += positions
  }

  /// Forgets all positions from `count` on; memory is kept.
  package func truncate(to count: Int) {
    precondition(count >= 0 && count <= self.count)
    self.count = count
  }

  // MARK: Places

  /// The panels of a head's keys in a block; for latents, there are none.
  func keys(layer: Int, head: Int, block: Int) -> UnsafeMutableRawPointer {
    blocks[block] + (layerOffsets[layer] + head * layers[layer].headBytes(elementType))
  }

  /// The rows of a head's values, or of latents, in a block.
  func values(layer: Int, head: Int, block: Int) -> UnsafeMutableRawPointer {
    keys(layer: layer, head: head, block: block) + layers[layer].keyBytes(elementType)
  }

  /// Floats of scratch that storing a key and a value of at most so many features, or a latent, needs.
  package static func storeScratchCount(dimension: Int) -> Int { (dimension + 31) / 32 * 72 }

  /// Stores the key and the value of a head at a position for which there is room.
  ///
  /// - Parameters:
  ///   - key: `keyDimension` floats.
  ///   - value: `valueDimension` floats.
  ///   - scratch: Room for `storeScratchCount` floats, for rounding.
  package func store(
    layer: Int, head: Int, position: Int, key: UnsafePointer<Float>, value: UnsafePointer<Float>,
    scratch: UnsafeMutablePointer<Float>, kernels: KernelTable
  ) {
    let shape = layers[layer]
    precondition(!shape.isLatent)
    let block = position / Self.blockLength
    let row = position % Self.blockLength
    let panel = row / 16 * 16 * shape.keyDimension + row % 16
    let keys = keys(layer: layer, head: head, block: block)
    let values = values(layer: layer, head: head, block: block)
    switch elementType {
    case .f32:
      let column = keys.assumingMemoryBound(to: Float.self) + panel
      for feature in 0..<shape.keyDimension { column[feature * 16] = key[feature] }
      (values.assumingMemoryBound(to: Float.self) + row * shape.valueStride)
        .update(from: value, count: shape.valueDimension)
    case .f16:
      let column = keys.assumingMemoryBound(to: UInt16.self) + panel
      let halves = UnsafeMutableRawPointer(scratch).assumingMemoryBound(to: UInt16.self)
      kernels.roundToHalf(shape.keyDimension, key, halves)
      for feature in 0..<shape.keyDimension { column[feature * 16] = halves[feature] }
      kernels.roundToHalf(
        shape.valueDimension, value,
        values.assumingMemoryBound(to: UInt16.self) + row * shape.valueStride)
    case .q8:
      CodedHead(shape: shape, keys: keys, values: values).store(
        row: row, key: key, value: value, scratch: scratch, kernels: kernels)
    }
  }

  /// Stores a latent at a position for which there is room.
  ///
  /// - Parameters:
  ///   - latent: `keyDimension` floats.
  ///   - scratch: Room for `storeScratchCount` floats, for rounding.
  package func store(
    layer: Int, position: Int, latent: UnsafePointer<Float>, scratch: UnsafeMutablePointer<Float>,
    kernels: KernelTable
  ) {
    let shape = layers[layer]
    precondition(shape.isLatent)
    let rows = values(layer: layer, head: 0, block: position / Self.blockLength)
    let offset = position % Self.blockLength * shape.valueStride
    switch elementType {
    case .f32:
      (rows.assumingMemoryBound(to: Float.self) + offset).update(from: latent, count: shape.keyDimension)
    case .f16:
      kernels.roundToHalf(shape.keyDimension, latent, rows.assumingMemoryBound(to: UInt16.self) + offset)
    case .q8:
      CodedLatents(shape: shape, base: rows).store(
        row: position % Self.blockLength, latent: latent, scratch: scratch, kernels: kernels)
    }
  }
}

/// Why a cache can't grow.
package enum KVCacheError: Error, Equatable {
  /// More positions than the cache may hold.
  case contextExceeded(positions: Int, capacity: Int)
  /// The system has no memory for another block.
  case outOfMemory(bytes: Int)
}
