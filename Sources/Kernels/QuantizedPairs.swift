import SalanganeKernelOperands

// The product of several rows with packed weights whose codes are bytes in memory: there is nothing to unpack, so
// that a tile of rows and a pair of panels reads them from where they are.

/// Whether weights of a format are multiplied like this.
@inline(__always)
func haveByteCodes<F: PackedFormat>(_ format: F.Type) -> Bool {
  F.Layout.isPlain && !F.Scaling.hasHalves && !F.Scaling.hasMinimum
}

/// `R` rows by `P` panels.
///
/// - Parameter isFirst: Whether no other rows have passed by these panels before.
@inline(__always)
private func pairProduct<F: PackedFormat, let R: Int, let P: Int>(
  _ format: F.Type, _ seed: TileTotals<R, P>, _ groups: Int, _ weights: UnsafeRawPointer,
  _ panelStride: Int, _ a: QuantizedActivations, _ out: ProductOutput, isFirst: Bool
) {
  let hasBias = wideBias != 0
  let step = a.step
  var totals = seed
  loadTotals(&totals, out, 0)
  var record = weights
  var left = a.codes
  var factors = a.scales
  var integers = a.auxiliary.assumingMemoryBound(to: Int32.self)
  let recordBytes = F.Scaling.byteCount &+ F.Scaling.groupsPerRecord &* F.Layout.byteCount
  for _ in 0..<groups / F.Scaling.groupsPerRecord {
    if isFirst {
      for p in 0..<P { prefetchLines(record + (p &* panelStride &+ prefetchDistance), recordBytes) }
    }
    for part in 0..<F.Scaling.groupsPerRecord {
      let code = record + (F.Scaling.byteCount &+ part &* F.Layout.byteCount)
      var sums: TileSums<R, P> = noSums()
      startingSums(&sums, hasBias: hasBias, offset: sumOffset, integers)
      var partial = partials(sums)
      for vector in 0..<8 {
        var codes = InlineArray<P, Codes>(repeating: Codes())
        for p in 0..<P { codes[unchecked: p] = nativeWide(loadCodes(code + (p &* panelStride), vector)) }
        addProducts(&partial, codes, isWide: true, left + (vector &* step))
      }
      complete(&sums, partial, isWide: true)
      var scales = InlineArray<P, Lanes>(repeating: Lanes())
      for p in 0..<P { scales[unchecked: p] = F.Scaling.scales(record + (p &* panelStride), part).scale }
      addScaled(F.Scaling.self, &totals, sums, scales, factors)
      left += 8 &* step
      factors += step
      integers += step
    }
    record += recordBytes
  }
  storeTotals(totals, out, 0)
}

/// More rows than `quantizedVectorRows` by any number of panels, two at a time; an odd one is left over.
///
/// - Returns: How many panels were multiplied.
@inline(__always)
func quantizedPairs<F: PackedFormat>(
  _ format: F.Type, _ rows: Int, _ panels: Int, _ groups: Int, _ weights: UnsafeRawPointer,
  _ panelStride: Int, _ a: QuantizedActivations, _ out: ProductOutput
) -> Int {
  let passes = (rows &+ quantizedTileRows &- 1) / quantizedTileRows
  let most = (rows &+ passes &- 1) / passes
  for pair in 0..<panels / 2 {
    let source = weights + (2 &* pair &* panelStride)
    var row = 0
    while row < rows {
      let count = min(most, rows &- row)
      let part = a.moved(byRows: row)
      let place = out.moved(byRows: row).moved(byColumns: 32 &* pair)
      let isFirst = row == 0
      // One straight-line loop a row count.
      switch count {
      case 3:
        let seed: TileTotals<3, 2> = noTotals()
        pairProduct(F.self, seed, groups, source, panelStride, part, place, isFirst: isFirst)
      case 4:
        let seed: TileTotals<4, 2> = noTotals()
        pairProduct(F.self, seed, groups, source, panelStride, part, place, isFirst: isFirst)
      case 5:
        let seed: TileTotals<5, 2> = noTotals()
        pairProduct(F.self, seed, groups, source, panelStride, part, place, isFirst: isFirst)
      case 6:
        let seed: TileTotals<6, 2> = noTotals()
        pairProduct(F.self, seed, groups, source, panelStride, part, place, isFirst: isFirst)
      case 2:
        let seed: TileTotals<2, 2> = noTotals()
        pairProduct(F.self, seed, groups, source, panelStride, part, place, isFirst: isFirst)
      default:
        let seed: TileTotals<1, 2> = noTotals()
        pairProduct(F.self, seed, groups, source, panelStride, part, place, isFirst: isFirst)
      }
      row = row &+ count
    }
  }
  return panels & ~1
}
