import SalanganeKernels

/// A chunk of keys and values as floats, in a cache or in scratch.
struct KeyValueChunk {
  /// Feature `f` of key `i` is `keys[i / 16 * keyPanelStride + f * keyStep + i % 16]`.
  let keys: UnsafePointer<Float>
  let keyStep: Int
  let keyPanelStride: Int
  /// A row for each value.
  let values: UnsafePointer<Float>
  let valueStride: Int
}

/// A matrix for each head of an attention, stored in whatever way.
package protocol HeadMatrices: Sendable {
  /// Writes the matrix of a head as floats, a row for each output feature, without gaps.
  ///
  /// - Parameter destination: Room for as many rows as panels of 16 have.
  func copyRows(ofHead head: Int, to destination: UnsafeMutablePointer<Float>, kernels: KernelTable)
}

/// How the latents of an attention become keys and values of its heads (multi-head latent attention; DeepSeek-V2,
/// 2024).
///
/// The last features of a latent, its rotary part, are the same in the keys of all heads; a head's own part of a
/// key, and its value, are products with the other ones.
package struct LatentExpansion: Sendable {
  /// Features of a latent that keys and values are made of.
  let rank: Int
  /// Features of a key that are a head's own.
  let ownDimension: Int
  /// Features of a key that all heads share.
  let sharedDimension: Int
  /// Features of a value.
  let valueDimension: Int
  /// For each head, `[rank, ownDimension]`: what a latent is multiplied by, transposed.
  let keys: any HeadMatrices
  /// For each head, `[valueDimension, rank]`.
  let values: any HeadMatrices

  /// Describes an expansion.
  package init(
    rank: Int, ownDimension: Int, sharedDimension: Int, valueDimension: Int, keys: any HeadMatrices,
    values: any HeadMatrices
  ) {
    self.rank = rank
    self.ownDimension = ownDimension
    self.sharedDimension = sharedDimension
    self.valueDimension = valueDimension
    self.keys = keys
    self.values = values
  }

  var paddedValueDimension: Int { (valueDimension + 15) & ~15 }
}

/// Where an attention's keys and values come from, a block of the cache at a time.
struct KeyValueSource {
  private let layer: KVCache.LayerShape
  private let elementType: KVCache.ElementType
  private let expansion: LatentExpansion?
  // Where things lie in scratch, in floats.
  private let keys: Int
  private let rows: Int
  private let panels: Int
  private let keyWeights: Int
  private let valueWeights: Int
  /// Floats of scratch that are needed.
  let scratchCount: Int

  /// Describes the source of a layer.
  init(
    _ layer: KVCache.LayerShape, _ elementType: KVCache.ElementType, shape: AttentionShape,
    expansion: LatentExpansion?
  ) {
    precondition(layer.isLatent || expansion == nil)
    self.layer = layer
    self.elementType = elementType
    self.expansion = expansion
    let chunk = KVCache.blockLength
    keys = 0
    rows = keys + chunk * shape.headDimension
    panels = rows + chunk * max(layer.valueStride, expansion?.paddedValueDimension ?? 0)
    if let expansion {
      precondition(
        layer.keyDimension == expansion.rank + expansion.sharedDimension
          && shape.headDimension == expansion.ownDimension + expansion.sharedDimension
          && shape.valueDimension == expansion.valueDimension)
      keyWeights = panels + chunk * layer.keyDimension
      valueWeights = keyWeights + ((expansion.rank + 15) & ~15) * expansion.ownDimension
      scratchCount = valueWeights + 2 * expansion.paddedValueDimension * expansion.rank
    } else {
      precondition(
        shape.headDimension == layer.keyDimension && shape.valueDimension == layer.valueDimension)
      keyWeights = panels
      valueWeights = panels
      scratchCount = panels
    }
  }

  /// Features of the keys that are loaded.
  var keyDimension: Int {
    guard let expansion else { return layer.keyDimension }
    return expansion.ownDimension + expansion.sharedDimension
  }

  /// Where keys in panels and values in rows lie in half precision; nil if they don't.
  func halves(
    of cache: KVCache, layer index: Int, head: Int, block: Int
  ) -> (keys: UnsafePointer<UInt16>, values: UnsafePointer<UInt16>, valueStride: Int)? {
    guard !layer.isLatent, elementType == .f16 else { return nil }
    return (
      UnsafePointer(cache.keys(layer: index, head: head, block: block).assumingMemoryBound(to: UInt16.self)),
      UnsafePointer(
        cache.values(layer: index, head: head, block: block).assumingMemoryBound(to: UInt16.self)),
      layer.valueStride
    )
  }

  /// Rows of latents in a cache.
  enum LatentRows {
    case floats(UnsafePointer<Float>)
    case halves(UnsafePointer<UInt16>)
  }

  /// Where rows of latents lie that are keys and values themselves; nil if they aren't, or lie otherwise.
  func latents(of cache: KVCache, layer index: Int, block: Int) -> (rows: LatentRows, stride: Int)? {
    // Values must be whole groups of keys' features.
    guard layer.isLatent, expansion == nil, layer.valueDimension % 32 == 0 else { return nil }
    let base = UnsafeRawPointer(cache.values(layer: index, head: 0, block: block))
    return switch elementType {
    case .f32: (.floats(base.assumingMemoryBound(to: Float.self)), layer.valueStride)
    case .f16: (.halves(base.assumingMemoryBound(to: UInt16.self)), layer.valueStride)
    case .q8: nil
    }
  }

  /// Where keys and values lie that are stored as codes; nil if they aren't, or are latents.
  func codes(of cache: KVCache, layer index: Int, head: Int, block: Int) -> IntegerChunk? {
    guard !layer.isLatent, elementType == .q8 else { return nil }
    let coded = cache.coded(layer: index, head: head, block: block)
    return IntegerChunk(
      groups: layer.keyGroups, keyCodes: coded.keyCodes(panel: 0), keyScales: coded.keyScales(panel: 0),
      values: UnsafeRawPointer(coded.values), valueScales: coded.valueScales)
  }

  /// To be called before the blocks of a head are loaded.
  func begin(head: Int, scratch: UnsafeMutablePointer<Float>, kernels: KernelTable) {
    guard let expansion else { return }
    expansion.keys.copyRows(ofHead: head, to: scratch + keyWeights, kernels: kernels)
    // Values are the right operand of their product, and so in panels.
    let padded = expansion.paddedValueDimension
    let plain = scratch + valueWeights + padded * expansion.rank
    expansion.values.copyRows(ofHead: head, to: plain, kernels: kernels)
    for row in stride(from: 0, to: padded, by: 16) {
      kernels.packRows(
        min(16, expansion.valueDimension - row), 16, expansion.rank, plain + row * expansion.rank,
        expansion.rank, scratch + valueWeights + row * expansion.rank)
    }
  }

  /// Loads the keys and values of a head from a block.
  ///
  /// - Parameter positions: How many positions of the block are needed.
  func load(
    _ cache: KVCache, layer index: Int, head: Int, block: Int, positions: Int,
    scratch: UnsafeMutablePointer<Float>, kernels: KernelTable
  ) -> KeyValueChunk {
    guard layer.isLatent else {
      return loadSeparate(
        cache, layer: index, head: head, block: block, positions: positions, scratch: scratch,
        kernels: kernels)
    }
    var latents = UnsafePointer(scratch + rows)
    let stored = cache.values(layer: index, head: 0, block: block)
    switch elementType {
    case .f32: latents = UnsafePointer(stored.assumingMemoryBound(to: Float.self))
    case .f16:
      kernels.widenHalf(
        positions * layer.valueStride, stored.assumingMemoryBound(to: UInt16.self), scratch + rows)
    case .q8:
      cache.coded(layer: index, head: 0, block: block).copyLatents(positions, to: scratch + rows)
    }
    // Keys are needed with the features of 16 positions side by side.
    let dimension = layer.keyDimension
    let transposed = scratch + (expansion == nil ? keys : panels)
    for row in stride(from: 0, to: positions, by: 16) {
      kernels.packRows(
        min(16, positions - row), 16, dimension, latents + row * layer.valueStride, layer.valueStride,
        transposed + row * dimension)
    }
    guard let expansion else {
      return KeyValueChunk(
        keys: transposed, keyStep: 16, keyPanelStride: dimension * 16, values: latents,
        valueStride: layer.valueStride)
    }
    return expand(expansion, positions: positions, scratch: scratch, kernels: kernels)
  }

  private func loadSeparate(
    _ cache: KVCache, layer index: Int, head: Int, block: Int, positions: Int,
    scratch: UnsafeMutablePointer<Float>, kernels: KernelTable
  ) -> KeyValueChunk {
    let keys = cache.keys(layer: index, head: head, block: block)
    let values = cache.values(layer: index, head: head, block: block)
    let dimension = layer.keyDimension
    switch elementType {
    case .f32:
      return KeyValueChunk(
        keys: UnsafePointer(keys.assumingMemoryBound(to: Float.self)), keyStep: 16,
        keyPanelStride: dimension * 16, values: UnsafePointer(values.assumingMemoryBound(to: Float.self)),
        valueStride: layer.valueStride)
    case .f16:
      let count = (positions + 15) & ~15
      kernels.widenHalf(count * dimension, keys.assumingMemoryBound(to: UInt16.self), scratch + self.keys)
      kernels.widenHalf(
        positions * layer.valueStride, values.assumingMemoryBound(to: UInt16.self), scratch + rows)
    case .q8:
      cache.coded(layer: index, head: head, block: block).copyFloats(
        positions, keys: scratch + self.keys, values: scratch + rows, kernels: kernels)
    }
    return KeyValueChunk(
      keys: scratch + self.keys, keyStep: 16, keyPanelStride: dimension * 16, values: scratch + rows,
      valueStride: layer.valueStride)
  }

  /// Makes a head's keys and values out of the latents, whose panels are in scratch.
  private func expand(
    _ expansion: LatentExpansion, positions: Int, scratch: UnsafeMutablePointer<Float>, kernels: KernelTable
  ) -> KeyValueChunk {
    let length = KVCache.blockLength
    let rank = expansion.rank
    let latents = scratch + panels
    let latentStride = layer.keyDimension * 16
    let count = (positions + 15) / 16
    let keys = scratch + self.keys
    let own = expansion.ownDimension
    for feature in stride(from: 0, to: own, by: KernelTable.packedRows) {
      kernels.matmulPanels(
        min(KernelTable.packedRows, own - feature), count, rank, scratch + keyWeights + feature, own, latents,
        16,
        latentStride, keys + feature * length, length, nil, 0)
    }
    for panel in 0..<count {
      for feature in 0..<expansion.sharedDimension {
        (keys + (own + feature) * length + panel * 16).update(
          from: latents + panel * latentStride + (rank + feature) * 16, count: 16)
      }
    }
    let padded = expansion.paddedValueDimension
    let values = scratch + rows
    var row = 0
    while row < positions {
      // The rows of a panel of 16 positions, in two goes.
      let inPanel = row % 16
      let tile = min(inPanel == 0 ? KernelTable.packedRows : 16 - inPanel, positions - row)
      kernels.matmulPanels(
        tile, padded / 16, rank, latents + row / 16 * latentStride + inPanel, 16, scratch + valueWeights, 16,
        rank * 16, values + row * padded, padded, nil, 0)
      row += tile
    }
    return KeyValueChunk(
      keys: keys, keyStep: length, keyPanelStride: 16, values: values, valueStride: padded)
  }
}
