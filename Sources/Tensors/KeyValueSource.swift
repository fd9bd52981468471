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

/// Where an attention's keys and values come from, a block of the cache at a time.
struct KeyValueSource {
  private let layer: KVCache.LayerShape
  private let elementType: KVCache.ElementType
  // Where things lie in scratch, in floats.
  private let keys: Int
  private let rows: Int
  /// Floats of scratch that are needed.
  let scratchCount: Int

  /// Describes the source of a layer.
  init(
    _ layer: KVCache.LayerShape, _ elementType: KVCache.ElementType, shape: AttentionShape
  ) {
    precondition(shape.headDimension == layer.keyDimension && shape.valueDimension == layer.valueDimension)
    self.layer = layer
    self.elementType = elementType
    let chunk = KVCache.blockLength
    keys = 0
    rows = keys + chunk * shape.headDimension
    scratchCount = rows + chunk * layer.valueStride
  }

  /// Features of the keys that are loaded.
  var keyDimension: Int { layer.keyDimension }

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
    guard layer.isLatent, layer.valueDimension % 32 == 0 else { return nil }
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
    let transposed = scratch + keys
    for row in stride(from: 0, to: positions, by: 16) {
      kernels.packRows(
        min(16, positions - row), 16, dimension, latents + row * layer.valueStride, layer.valueStride,
        transposed + row * dimension)
    }
    return KeyValueChunk(
      keys: transposed, keyStep: 16, keyPanelStride: dimension * 16, values: latents,
      valueStride: layer.valueStride)
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
}
