import SalanganeKernels

/// Floats, or numbers in half precision that become floats on the way into a product.
enum ProductOperand {
  case floats(UnsafePointer<Float>)
  case halves(UnsafePointer<UInt16>)
}

/// A chunk of keys and values, in a cache or in scratch.
struct KeyValueChunk {
  /// Feature `f` of key `i` is `keys[i / 16 * keyPanelStride + f * keyStep + i % 16]`.
  let keys: ProductOperand
  let keyStep: Int
  let keyPanelStride: Int
  /// A row for each value.
  let values: ProductOperand
  let valueStride: Int
}

extension KernelTable {
  /// `matmulPanels` or `matmulHalfPanels`, which have the same bits: `[rows, 16 * panels]` into `out`.
  func multiply(
    _ rows: Int, _ panels: Int, _ depth: Int, _ packed: UnsafePointer<Float>, _ packedStep: Int,
    _ operand: ProductOperand, _ step: Int, _ panelStride: Int, into out: UnsafeMutablePointer<Float>,
    _ outStride: Int
  ) {
    switch operand {
    case .floats(let floats):
      matmulPanels(
        rows, panels, depth, packed, packedStep, floats, step, panelStride, out, outStride, nil, 0)
    case .halves(let halves):
      matmulHalfPanels(
        rows, panels, depth, packed, packedStep, halves, step, panelStride, out, outStride, nil, 0)
    }
  }
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
  /// - Parameters:
  ///   - positions: How many positions of the block are needed.
  ///   - takesHalves: Whether numbers in half precision may stay what they are; for few queries, which meet each number
  ///     about as often as making it a float would.
  func load(
    _ cache: KVCache, layer index: Int, head: Int, block: Int, positions: Int, takesHalves: Bool,
    scratch: UnsafeMutablePointer<Float>, kernels: KernelTable
  ) -> KeyValueChunk {
    guard layer.isLatent else {
      return loadSeparate(
        cache, layer: index, head: head, block: block, positions: positions, takesHalves: takesHalves,
        scratch: scratch, kernels: kernels)
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
      keys: .floats(transposed), keyStep: 16, keyPanelStride: dimension * 16, values: .floats(latents),
      valueStride: layer.valueStride)
  }

  private func loadSeparate(
    _ cache: KVCache, layer index: Int, head: Int, block: Int, positions: Int, takesHalves: Bool,
    scratch: UnsafeMutablePointer<Float>, kernels: KernelTable
  ) -> KeyValueChunk {
    let keys = cache.keys(layer: index, head: head, block: block)
    let values = cache.values(layer: index, head: head, block: block)
    let dimension = layer.keyDimension
    func chunk(_ keys: ProductOperand, _ values: ProductOperand) -> KeyValueChunk {
      KeyValueChunk(
        keys: keys, keyStep: 16, keyPanelStride: dimension * 16, values: values,
        valueStride: layer.valueStride)
    }
    switch elementType {
    case .f32:
      return chunk(
        .floats(keys.assumingMemoryBound(to: Float.self)), .floats(values.assumingMemoryBound(to: Float.self))
      )
    case .f16 where takesHalves:
      return chunk(
        .halves(keys.assumingMemoryBound(to: UInt16.self)),
        .halves(values.assumingMemoryBound(to: UInt16.self)))
    case .f16:
      let count = (positions + 15) & ~15
      kernels.widenHalf(count * dimension, keys.assumingMemoryBound(to: UInt16.self), scratch + self.keys)
      kernels.widenHalf(
        positions * layer.valueStride, values.assumingMemoryBound(to: UInt16.self), scratch + rows)
    case .q8: preconditionFailure("attention on integers takes codes as they are")
    }
    return chunk(.floats(scratch + self.keys), .floats(scratch + rows))
  }
}
