import SalanganeKernels

/// How attention computes.
package enum AttentionArithmetic: Sendable {
  /// Products of floats.
  case float
  /// Products of integers of 8 bits: keys and queries with a scale for 32 features, values with one a position, weights
  /// with one for 64 positions.
  case integer
}

/// Where a task's temporary values lie in its worker's scratch when attention computes with integers, in floats.
struct IntegerScratch {
  /// Queries that meet a chunk of keys together.
  static let blockLanes = 16
  private static let chunk = KVCache.blockLength

  /// Groups of 32 features of a key.
  let groups: Int
  /// Panels of 16 features of a value.
  let panels: Int
  private let keyCodes: Int
  private let keyScales: Int
  private let valueCodes: Int
  private let valueScales: Int
  private let row: Int
  private let queries: Int
  private let scores: Int
  private let weightCodes: Int
  private let running: Int
  private let bounds: Int
  /// Behind all of it.
  let end: Int

  init(shape: AttentionShape, start: Int, lanes: Int) {
    groups = (shape.headDimension + 31) / 32
    panels = (shape.valueDimension + 15) / 16
    keyCodes = start
    keyScales = keyCodes + Self.chunk * 8 * groups
    valueCodes = keyScales + Self.chunk * groups
    valueScales = valueCodes + Self.chunk * 4 * panels
    row = valueScales + Self.chunk
    // A query with zeros behind, or 16 latents of a byte a feature.
    queries = row + 128 * groups
    scores = queries + lanes * Self.queryWords(groups)
    weightCodes = scores + Self.blockLanes * Self.chunk
    running = weightCodes + Self.blockLanes * Self.chunk / 4
    bounds = running + 6 * Self.blockLanes
    end = bounds + 2 * Self.blockLanes
  }

  /// Words that a query takes: codes, scales, and sums of two kinds.
  private static func queryWords(_ groups: Int) -> Int { 12 * groups }

  /// The keys of a panel of 16 positions.
  func keys(_ scratch: UnsafeMutablePointer<Float>, panel: Int) -> UnpackedTile {
    let scales = scratch + keyScales + panel * groups * 16
    return UnpackedTile(
      codes: UnsafeMutableRawPointer(scratch + keyCodes + panel * groups * 128), scales: scales,
      minimums: scales)
  }

  func values(_ scratch: UnsafeMutablePointer<Float>) -> UnsafeMutableRawPointer {
    UnsafeMutableRawPointer(scratch + valueCodes)
  }

  func valueScales(_ scratch: UnsafeMutablePointer<Float>) -> UnsafeMutablePointer<Float> {
    scratch + valueScales
  }

  /// The queries of a block of lanes, side by side.
  func queries(_ scratch: UnsafeMutablePointer<Float>, block: Int) -> IntegerQueries {
    IntegerQueries(
      base: scratch + queries + block * Self.blockLanes * Self.queryWords(groups), groups: groups)
  }

  /// One query, with zeros behind.
  func row(_ scratch: UnsafeMutablePointer<Float>) -> UnsafeMutablePointer<Float> { scratch + row }

  /// `[16, 32 * groups]` bytes, in the same place as `row`.
  func bytes(_ scratch: UnsafeMutablePointer<Float>) -> UnsafeMutableRawPointer {
    UnsafeMutableRawPointer(scratch + row)
  }

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
  /// For whole blocks; what belongs to positions that aren't there doesn't matter, but it is finite.
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

  /// Takes a query with features in whole groups.
  func fill(_ lane: Int, _ query: UnsafePointer<Float>, _ kernels: KernelTable) {
    kernels.quantizeActivations(1, groups, query, 0, Self.step, codes + lane, scales + lane, sums + lane)
  }

  /// To be called once all lanes are filled.
  func finish(bias: Int32, _ kernels: KernelTable) {
    kernels.biasedSums(groups, Self.step, false, bias, sums, auxiliary)
  }

  /// What the product takes.
  var activations: QuantizedActivations {
    QuantizedActivations(codes: codes, scales: scales, auxiliary: auxiliary, step: Self.step)
  }
}

extension KeyValueSource {
  /// Loads the keys and values of a head from a block as codes, into the scratch that `integers` describes.
  ///
  /// - Parameters:
  ///   - positions: How many positions of the block are needed.
  ///   - floats: Scratch for floats in between.
  /// - Returns: Where they lie.
  func loadIntegers(
    _ cache: KVCache, layer index: Int, head: Int, block: Int, positions: Int,
    floats: UnsafeMutablePointer<Float>, _ integers: IntegerScratch, _ scratch: UnsafeMutablePointer<Float>,
    kernels: KernelTable
  ) -> IntegerChunk {
    if let coded = codes(of: cache, layer: index, head: head, block: block) { return coded }
    convert(
      cache, layer: index, head: head, block: block, positions: positions, floats: floats, integers, scratch,
      kernels: kernels)
    let tile = integers.keys(scratch, panel: 0)
    return IntegerChunk(
      groups: integers.groups, keyCodes: tile.codes, keyScales: tile.scales, values: integers.values(scratch),
      valueScales: integers.valueScales(scratch))
  }

  private func convert(
    _ cache: KVCache, layer index: Int, head: Int, block: Int, positions: Int,
    floats: UnsafeMutablePointer<Float>, _ integers: IntegerScratch, _ scratch: UnsafeMutablePointer<Float>,
    kernels: KernelTable
  ) {
    let panels = (positions + 15) / 16
    let scales = integers.valueScales(scratch)
    // Codes beyond may be anything: their weights are zero.
    for position in positions..<KVCache.blockLength { scales[position] = 0 }
    if let halves = halves(of: cache, layer: index, head: head, block: block) {
      for panel in 0..<panels {
        let tile = integers.keys(scratch, panel: panel)
        kernels.integerKeysOfHalves(
          keyDimension, halves.keys + panel * 16 * keyDimension, 16, tile.codes, tile.scales)
      }
      kernels.integerValuesOfHalves(
        positions, integers.panels, halves.values, halves.valueStride, integers.values(scratch), scales)
      return
    }
    if let latents = latents(of: cache, layer: index, block: block) {
      for panel in 0..<panels {
        let tile = integers.keys(scratch, panel: panel)
        let first = panel * 16 * latents.stride
        let rows = min(16, positions - panel * 16)
        let bytes = integers.bytes(scratch)
        let values = integers.values(scratch) + panel * 256
        switch latents.rows {
        case .floats(let base):
          kernels.integerLatentsOfFloats(
            rows, keyDimension, integers.panels, base + first, latents.stride, bytes, tile.codes, tile.scales,
            values, scales + panel * 16)
        case .halves(let base):
          kernels.integerLatentsOfHalves(
            rows, keyDimension, integers.panels, base + first, latents.stride, bytes, tile.codes, tile.scales,
            values, scales + panel * 16)
        }
      }
      return
    }
    let chunk = load(
      cache, layer: index, head: head, block: block, positions: positions, scratch: floats, kernels: kernels)
    for panel in 0..<panels {
      let tile = integers.keys(scratch, panel: panel)
      kernels.integerKeysOfFloats(
        keyDimension, chunk.keys + panel * chunk.keyPanelStride, chunk.keyStep, tile.codes, tile.scales)
    }
    kernels.integerValuesOfFloats(
      positions, integers.panels, chunk.values, chunk.valueStride, integers.values(scratch), scales)
  }
}

extension CausalHead {
  /// `run(blocks:_:)` with integers.
  func run(blocks: Range<Int>, _ state: AttentionState, _ integers: IntegerScratch) {
    let step = IntegerScratch.blockLanes
    let product = kernels.quantized(.q8_0)
    for lane in 0..<(count + step - 1) / step * step {
      state.maximum[lane] = -.infinity
      state.total[lane] = 0
    }
    state.output.update(repeating: 0, count: count * layout.paddedDimension)
    let last = position(firstLane + count - 1)
    for chunk in blocks where !isCancelled {
      let start = chunk * KVCache.blockLength
      let loaded = source.loadIntegers(
        span.cache, layer: layer, head: head, block: chunk,
        positions: min(KVCache.blockLength, last + 1 - start), floats: scratch + layout.loaded, integers,
        scratch, kernels: kernels)
      for block in 0..<(count + step - 1) / step {
        let lanes = block * step..<min((block + 1) * step, count)
        let lastSeen = position(firstLane + lanes.upperBound - 1)
        let isBefore = start + KVCache.blockLength <= firstKey(position(firstLane + lanes.lowerBound))
        guard start <= lastSeen, !isBefore else { continue }
        attend(
          lanes, start: start, visible: min(KVCache.blockLength, lastSeen + 1 - start), loaded, state,
          integers, product)
      }
    }
  }

  /// Brings the queries into codes.
  func packQueries(_ integers: IntegerScratch) {
    let bias = kernels.quantized(.q8_0).bias
    let row = integers.row(scratch)
    row.update(repeating: 0, count: 32 * integers.groups)
    let step = IntegerScratch.blockLanes
    for block in 0..<(count + step - 1) / step {
      let packed = integers.queries(scratch, block: block)
      for lane in 0..<min(step, count - block * step) {
        row.update(from: query(block * step + lane), count: layout.dimension)
        packed.fill(lane, row, kernels)
      }
      packed.finish(bias: bias, kernels)
    }
  }

  /// What the loaded chunk gives to a block of lanes.
  private func attend(
    _ lanes: Range<Int>, start: Int, visible: Int, _ chunk: IntegerChunk, _ state: AttentionState,
    _ integers: IntegerScratch, _ product: QuantizedKernels
  ) {
    let queries = integers.queries(scratch, block: lanes.lowerBound / IntegerScratch.blockLanes).activations
    let scores = integers.scores(scratch)
    let length = KVCache.blockLength
    let panels = (visible + 15) / 16
    for panel in stride(from: 0, to: panels, by: 2) {
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
    kernels.integerAttentionWeights(
      lanes.count, scores, length, scale, bounds, groups, chunk.valueScales, codes, scales,
      maximum, total)
    kernels.attentionFactors(
      lanes.count, maximum, total, state.maximum + lanes.lowerBound, state.total + lanes.lowerBound, keep,
      take)
    kernels.integerAttentionValues(
      lanes.count, integers.panels, groups, codes, chunk.values, scales, keep, take,
      state.output + lanes.lowerBound * layout.paddedDimension, layout.paddedDimension)
  }
}
