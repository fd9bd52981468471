import SalanganeKernels

/// Where a task's temporary values lie in its worker's scratch when attention computes with integers, in floats.
struct IntegerScratch {
  /// Queries that meet a chunk of keys together.
  static let blockLanes = 16
  private static let chunk = KVCache.blockLength

  /// Groups of 32 features of a key.
  let groups: Int
  /// Panels of 16 features of a value.
  let panels: Int
  // What latents need, whose codes are stored in the order of keys, with one scale for many features.
  private let keyScales: Int
  private let valueCodes: Int
  private let rows: Int
  private let queries: Int
  private let scores: Int
  private let weightCodes: Int
  private let running: Int
  private let bounds: Int
  /// Behind all of it.
  let end: Int

  init(_ layer: KVCache.LayerShape, start: Int, lanes: Int) {
    groups = layer.keyGroups
    panels = layer.valuePanels
    keyScales = start
    valueCodes = keyScales + (layer.isLatent ? Self.chunk * groups : 0)
    rows = valueCodes + (layer.isLatent ? Self.chunk * 4 * panels : 0)
    queries = rows + Self.blockLanes * 32 * groups
    scores = queries + lanes * Self.queryWords(groups)
    weightCodes = scores + Self.blockLanes * Self.chunk
    running = weightCodes + Self.blockLanes * Self.chunk / 4
    bounds = running + 6 * Self.blockLanes
    end = bounds + 2 * Self.blockLanes
  }

  /// Words that a query takes: codes, scales, and sums of two kinds.
  private static func queryWords(_ groups: Int) -> Int { 12 * groups }

  /// `[8 panels][groups][16]`.
  func keyScales(_ scratch: UnsafeMutablePointer<Float>) -> UnsafeMutablePointer<Float> {
    scratch + keyScales
  }

  /// The codes of latents as values.
  func valueCodes(_ scratch: UnsafeMutablePointer<Float>) -> UnsafeMutableRawPointer {
    UnsafeMutableRawPointer(scratch + valueCodes)
  }

  /// The queries of a block of lanes, side by side.
  func queries(_ scratch: UnsafeMutablePointer<Float>, block: Int) -> IntegerQueries {
    IntegerQueries(
      base: scratch + queries + block * Self.blockLanes * Self.queryWords(groups), groups: groups)
  }

  /// The queries of a block of lanes, with zeros behind each: `[16, 32 * groups]`.
  func rows(_ scratch: UnsafeMutablePointer<Float>) -> UnsafeMutablePointer<Float> { scratch + rows }

  /// `[16, 128]`.
  func scores(_ scratch: UnsafeMutablePointer<Float>) -> UnsafeMutablePointer<Float> { scratch + scores }

  /// `[16, 128]`, four a word.
  func weightCodes(_ scratch: UnsafeMutablePointer<Float>) -> UnsafeMutablePointer<UInt32> {
    UnsafeMutableRawPointer(scratch + weightCodes).assumingMemoryBound(to: UInt32.self)
  }

  /// Sixteen numbers each: the maximum, the total, what is kept, what is taken, and twice the scales of the codes.
  func running(_ scratch: UnsafeMutablePointer<Float>, _ index: Int) -> UnsafeMutablePointer<Float> {
    scratch + running + index * Self.blockLanes
  }

  /// Two numbers for each lane.
  func bounds(_ scratch: UnsafeMutablePointer<Float>) -> UnsafeMutablePointer<Int32> {
    UnsafeMutableRawPointer(scratch + bounds).assumingMemoryBound(to: Int32.self)
  }
}

/// The keys and values of a head in a block as codes, in a cache or in scratch.
struct IntegerChunk {
  let groups: Int
  let keyCodes: UnsafeMutableRawPointer
  let keyScales: UnsafeMutablePointer<Float>
  let values: UnsafeRawPointer
  /// For whole blocks; what belongs to positions that aren't seen doesn't matter.
  let valueScales: UnsafePointer<Float>

  /// The keys of a panel of 16 positions, and those behind.
  func keys(panel: Int) -> UnpackedTile {
    let scales = keyScales + panel * groups * 16
    return UnpackedTile(codes: keyCodes + panel * groups * 512, scales: scales, minimums: scales)
  }
}

/// Sixteen queries as codes, side by side.
struct IntegerQueries {
  private static let step = IntegerScratch.blockLanes
  let base: UnsafeMutablePointer<Float>
  let groups: Int

  private var codes: UnsafeMutablePointer<UInt32> {
    UnsafeMutableRawPointer(base).assumingMemoryBound(to: UInt32.self)
  }
  private var scales: UnsafeMutablePointer<Float> { base + 8 * groups * Self.step }
  private var auxiliary: UnsafeMutablePointer<Int32> {
    UnsafeMutableRawPointer(base + 9 * groups * Self.step).assumingMemoryBound(to: Int32.self)
  }
  private var sums: UnsafeMutablePointer<Int32> {
    UnsafeMutableRawPointer(base + 10 * groups * Self.step).assumingMemoryBound(to: Int32.self)
  }

  /// Takes up to 16 queries with features in whole groups, `[count, 32 * groups]`.
  func fill(_ queries: UnsafePointer<Float>, count: Int, bias: Int32, _ kernels: KernelTable) {
    kernels.quantizeActivations(count, groups, queries, 32 * groups, Self.step, codes, scales, sums)
    kernels.biasedSums(groups, Self.step, false, bias, sums, auxiliary)
  }

  /// What the product takes.
  var activations: QuantizedActivations {
    QuantizedActivations(codes: codes, scales: scales, auxiliary: auxiliary, step: Self.step)
  }
}

extension KVCache {
  /// The keys and values of a head in a block of 8 bits a number.
  ///
  /// - Parameters:
  ///   - positions: How many positions of the block are needed.
  ///   - integers: Where the codes of latents go in `scratch`, brought into the order of values, and their scales.
  func codes(
    layer: Int, head: Int, block: Int, positions: Int, _ integers: IntegerScratch,
    _ scratch: UnsafeMutablePointer<Float>, kernels: KernelTable
  ) -> IntegerChunk {
    let shape = layers[layer]
    let values = values(layer: layer, head: head, block: block)
    guard shape.isLatent else {
      let coded = CodedHead(
        shape: shape, keys: keys(layer: layer, head: head, block: block), values: values)
      return IntegerChunk(
        groups: shape.keyGroups, keyCodes: coded.keyCodes(panel: 0), keyScales: coded.keyScales(panel: 0),
        values: UnsafeRawPointer(coded.values), valueScales: coded.valueScales)
    }
    let coded = CodedLatents(shape: shape, base: values)
    let groups = shape.keyGroups
    let chunk = IntegerChunk(
      groups: groups, keyCodes: coded.keyCodes(panel: 0), keyScales: integers.keyScales(scratch),
      values: UnsafeRawPointer(integers.valueCodes(scratch)), valueScales: coded.scales(ofValues: true))
    for panel in 0..<(positions + 15) / 16 {
      let tile = chunk.keys(panel: panel)
      kernels.latentValues(integers.panels, tile.codes, integers.valueCodes(scratch) + panel * 256)
      for group in 0..<groups {
        (tile.scales + group * 16).update(
          from: coded.scales(ofValues: group < shape.valueDimension / 32) + panel * 16, count: 16)
      }
    }
    return chunk
  }
}

/// Asks for the keys and values of a head in a block, a part at a time while the block before is computed.
private struct BlockPrefetch {
  /// Parts for a block of lanes: one for each pair of panels of keys, one for the weights, and one for the values.
  private static let steps = KVCache.blockLength / 32 + 2

  private var next: UnsafeRawPointer
  private let end: UnsafeRawPointer
  private let bytesPerStep: Int

  /// Prepares for the block of the cache that follows the one that some blocks of lanes attend to.
  init(_ cache: KVCache, layer: Int, head: Int, block: Int, laneBlocks: Int) {
    let bytes = cache.layers[layer].headBytes(cache.elementType)
    next = UnsafeRawPointer(cache.keys(layer: layer, head: head, block: block))
    end = next + bytes
    // A core waits for more than a few lines at once.
    bytesPerStep = (bytes / (Self.steps * laneBlocks) + 63) & ~63
  }

  mutating func step(_ kernels: KernelTable) {
    guard next < end else { return }
    kernels.prefetchBytes(min(bytesPerStep, end - next), next)
    next += bytesPerStep
  }
}

extension CausalHead {
  /// `run(blocks:_:)` with a cache of 8 bits.
  func run(blocks: Range<Int>, _ state: AttentionState, _ integers: IntegerScratch) {
    let step = IntegerScratch.blockLanes
    let product = kernels.quantized(.q8_0)
    for lane in 0..<(count + step - 1) / step * step {
      state.maximum[lane] = -.infinity
      state.total[lane] = 0
    }
    state.output.update(repeating: 0, count: count * layout.paddedDimension)
    let last = position(firstLane + count - 1)
    let seen = self.blocks
    let laneBlocks = (count + step - 1) / step
    for chunk in blocks where !isCancelled {
      let start = chunk * KVCache.blockLength
      let loaded = span.cache.codes(
        layer: layer, head: head, block: chunk, positions: min(KVCache.blockLength, last + 1 - start),
        integers,
        scratch, kernels: kernels)
      // What comes next begins somewhere else in memory, which no processor guesses.
      var ahead =
        chunk + 1 < seen.upperBound
        ? BlockPrefetch(
          span.cache, layer: layer, head: head, block: chunk + 1, laneBlocks: laneBlocks) : nil
      for block in 0..<laneBlocks {
        let lanes = block * step..<min((block + 1) * step, count)
        let lastSeen = position(firstLane + lanes.upperBound - 1)
        let isBefore = start + KVCache.blockLength <= firstKey(position(firstLane + lanes.lowerBound))
        guard start <= lastSeen, !isBefore else { continue }
        attend(
          lanes, start: start, visible: min(KVCache.blockLength, lastSeen + 1 - start), loaded, state,
          integers, product, &ahead)
      }
    }
  }

  /// Brings the queries into codes.
  func packQueries(_ integers: IntegerScratch) {
    let bias = kernels.quantized(.q8_0).bias
    let rows = integers.rows(scratch)
    let width = 32 * integers.groups
    let step = IntegerScratch.blockLanes
    if layout.dimension < width { rows.update(repeating: 0, count: min(step, count) * width) }
    for first in stride(from: 0, to: count, by: step) {
      let lanes = min(step, count - first)
      for lane in 0..<lanes {
        (rows + lane * width).update(from: query(first + lane), count: layout.dimension)
      }
      integers.queries(scratch, block: first / step).fill(rows, count: lanes, bias: bias, kernels)
    }
  }

  /// What the loaded chunk gives to a block of lanes.
  private func attend(
    _ lanes: Range<Int>, start: Int, visible: Int, _ chunk: IntegerChunk, _ state: AttentionState,
    _ integers: IntegerScratch, _ product: QuantizedKernels, _ ahead: inout BlockPrefetch?
  ) {
    let queries = integers.queries(scratch, block: lanes.lowerBound / IntegerScratch.blockLanes).activations
    let scores = integers.scores(scratch)
    let length = KVCache.blockLength
    let panels = (visible + 15) / 16
    for panel in stride(from: 0, to: panels, by: 2) {
      ahead?.step(kernels)
      product.tile(
        lanes.count, min(2, panels - panel), integers.groups, chunk.keys(panel: panel), queries,
        ProductOutput(values: scores + panel * 16, rowStride: length))
    }
    let bounds = integers.bounds(scratch)
    for lane in 0..<lanes.count {
      let position = position(firstLane + lanes.lowerBound + lane)
      let first = min(max(firstKey(position) - start, 0), visible)
      bounds[2 * lane] = Int32(first)
      bounds[2 * lane + 1] = Int32(min(max(position + 1 - start, first), visible))
    }
    let maximum = integers.running(scratch, 0)
    let total = integers.running(scratch, 1)
    let keep = integers.running(scratch, 2)
    let take = integers.running(scratch, 3)
    let scales = integers.running(scratch, 4)
    for lane in lanes.count..<IntegerScratch.blockLanes {
      maximum[lane] = -.infinity
      total[lane] = 0
    }
    let codes = integers.weightCodes(scratch)
    let groups = (visible + 63) / 64
    ahead?.step(kernels)
    kernels.integerAttentionWeights(
      lanes.count, scores, length, scale, bounds, groups, chunk.valueScales, codes, scales,
      maximum, total)
    kernels.attentionFactors(
      lanes.count, maximum, total, state.maximum + lanes.lowerBound, state.total + lanes.lowerBound, keep,
      take)
    ahead?.step(kernels)
    kernels.integerAttentionValues(
      lanes.count, integers.panels, groups, codes, chunk.values, scales, keep, take,
      state.output + lanes.lowerBound * layout.paddedDimension, layout.paddedDimension)
  }
}
