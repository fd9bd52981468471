import SalanganeKernelOperands

// The product of a few rows with packed quantised weights, unpacked in registers: weights are read once, from
// the first byte to the last, and nothing is written but the result.

/// Adds the products of `count` vectors of a group, from `first` on.
@inline(__always)
private func addVectors<F: PackedFormat, let R: Int>(
  _ format: F.Type, _ sums: inout TileSums<R, 1>, _ vectors: CodeGroup, _ first: Int, _ count: Int,
  _ a: UnsafePointer<UInt32>, _ step: Int
) {
  let run = min(count, vectorsPerPartialSum(F.Layout.maximumCode))
  for begin in 0..<count / run {
    var partial = partials(sums)
    for index in 0..<run {
      let vector = first &+ begin &* run &+ index
      addProducts(
        &partial, [vectors[unchecked: vector]], isWide: F.Layout.isWide, a + (vector &* step))
    }
    complete(&sums, partial, isWide: F.Layout.isWide)
  }
}

/// One panel.
@inline(__always)
private func panelProduct<F: PackedFormat, let R: Int>(
  _ format: F.Type, _ seed: TileTotals<R, 1>, _ groups: Int, _ weights: UnsafeRawPointer,
  _ a: QuantizedActivations, _ out: ProductOutput, _ column: Int
) {
  let hasBias = !F.Scaling.hasMinimum && !(F.Layout.isWide && wideBias == 0)
  let step = a.step
  var totals = seed
  loadTotals(&totals, out, column)
  var record = weights
  var left = a.codes
  var factors = a.scales
  var integers = a.auxiliary.assumingMemoryBound(to: Int32.self)
  var reals = a.auxiliary.assumingMemoryBound(to: Float.self)
  var group = 0
  while group < groups {
    prefetchLines(record + prefetchDistance, F.Scaling.byteCount)
    for part in 0..<F.Scaling.groupsPerRecord {
      let code = record + (F.Scaling.byteCount &+ part &* F.Layout.byteCount)
      prefetchLines(code + prefetchDistance, F.Layout.byteCount)
      let scale = F.Scaling.scales(record, part)
      let vectors = F.Layout.codes(code)
      var sums: TileSums<R, 1> = noSums()
      startingSums(&sums, hasBias: hasBias, offset: sumOffset, integers)
      if F.Scaling.hasHalves {
        addVectors(F.self, &sums, vectors, 0, 4, left, step)
        let first = scaled(F.Scaling.self, sums, [scale.scale])
        startingSums(&sums, hasBias: hasBias, offset: 0, integers + step)
        addVectors(F.self, &sums, vectors, 4, 4, left, step)
        addScaled(&totals, first, sums, [scale.secondScale], factors)
        if F.Scaling.hasMinimum {
          addMinimums(&totals, [scale.minimum], reals)
          addMinimums(&totals, [scale.secondMinimum], reals + step)
        }
      } else {
        addVectors(F.self, &sums, vectors, 0, 8, left, step)
        addScaled(F.Scaling.self, &totals, sums, [scale.scale], factors)
        if F.Scaling.hasMinimum { addMinimums(&totals, [scale.minimum], reals) }
      }
      left += 8 &* step
      factors += step
      integers += F.Scaling.hasHalves ? 2 &* step : step
      reals += F.Scaling.hasHalves ? 2 &* step : step
    }
    record += F.Scaling.byteCount &+ F.Scaling.groupsPerRecord &* F.Layout.byteCount
    group = group &+ F.Scaling.groupsPerRecord
  }
  storeTotals(totals, out, column)
}

/// Some rows by any number of panels: as many at a time as there are registers for, which pass by a panel one after
/// the other while it is in the cache.
@inline(__always)
func quantizedVector<F: PackedFormat>(
  _ format: F.Type, _ rows: Int, _ panels: Int, _ groups: Int, _ weights: UnsafeRawPointer,
  _ panelStride: Int, _ a: QuantizedActivations, _ out: ProductOutput
) {
  var first = 0
  if haveByteCodes(F.self) && quantizedTilePanels == 2 && rows > quantizedVectorRows {
    first = quantizedPairs(F.self, rows, panels, groups, weights, panelStride, a, out)
  }
  let passes = (rows &+ quantizedVectorRows &- 1) / quantizedVectorRows
  let most = (rows &+ passes &- 1) / passes
  for panel in first..<panels {
    let source = weights + (panel &* panelStride)
    var row = 0
    while row < rows {
      let count = min(most, rows &- row)
      let part = a.moved(byRows: row)
      let place = out.moved(byRows: row)
      // One straight-line loop a row count: the compiler drops the cases beyond `quantizedVectorRows`.
      switch count {
      case 1:
        let seed: TileTotals<1, 1> = noTotals()
        panelProduct(F.self, seed, groups, source, part, place, panel &* 16)
      case 2:
        let seed: TileTotals<2, 1> = noTotals()
        panelProduct(F.self, seed, groups, source, part, place, panel &* 16)
      case 3:
        let seed: TileTotals<3, 1> = noTotals()
        panelProduct(F.self, seed, groups, source, part, place, panel &* 16)
      default:
        let seed: TileTotals<4, 1> = noTotals()
        if quantizedVectorRows >= 4 {
          panelProduct(F.self, seed, groups, source, part, place, panel &* 16)
        }
      }
      row = row &+ count
    }
  }
}
