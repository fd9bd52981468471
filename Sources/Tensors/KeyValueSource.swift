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

/// Where an attention's keys and values come from, a block of the cache at a time, for attention on floats.
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
    scratchCount = elementType == .q8 ? 0 : rows + chunk * layer.valueStride
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
    case .q8: preconditionFailure("attention on integers takes codes as they are")
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
    case .q8: preconditionFailure("attention on integers takes codes as they are")
    }
    return KeyValueChunk(
      keys: scratch + self.keys, keyStep: 16, keyPanelStride: dimension * 16, values: scratch + rows,
      valueStride: layer.valueStride)
  }
}
