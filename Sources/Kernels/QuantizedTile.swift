import SalanganeKernelOperands

// The product of many rows with a tile of unpacked weights: see `UnpackedTile`.

/// Unpacks groups of one panel, which begin a record.
@inline(__always)
func unpackTile<F: PackedFormat>(
  _ format: F.Type, _ groups: Int, _ weights: UnsafeRawPointer, _ tile: UnpackedTile
) {
  let step = F.Scaling.hasHalves ? 32 : 16
  var group = 0
  var record = weights
  var codes = tile.codes
  var scales = tile.scales
  var minimums = tile.minimums
  while group < groups {
    prefetchLines(record + prefetchDistance, F.Scaling.byteCount)
    for part in 0..<F.Scaling.groupsPerRecord {
      let code = record + (F.Scaling.byteCount &+ part &* F.Layout.byteCount)
      prefetchLines(code + prefetchDistance, F.Layout.byteCount)
      let vectors = F.Layout.codes(code)
      for vector in 0..<8 {
        (codes + (vector &* 64)).storeBytes(of: vectors[unchecked: vector], as: Codes.self)
      }
      let scale = F.Scaling.scales(record, part)
      store(scale.scale, scales)
      if F.Scaling.hasHalves { store(scale.secondScale, scales + 16) }
      if F.Scaling.hasMinimum {
        store(scale.minimum, minimums)
        if F.Scaling.hasHalves { store(scale.secondMinimum, minimums + 16) }
      }
      codes += 512
      scales += step
      minimums += step
    }
    record += F.Scaling.byteCount &+ F.Scaling.groupsPerRecord &* F.Layout.byteCount
    group = group &+ F.Scaling.groupsPerRecord
  }
}

@inline(__always)
private func panelCodes<let P: Int>(
  _ codes: UnsafeRawPointer, _ panelStride: Int, _ vector: Int
) -> InlineArray<P, Codes> {
  var result = InlineArray<P, Codes>(repeating: Codes())
  for p in 0..<P { result[unchecked: p] = loadCodes(codes + (p &* panelStride), vector) }
  return result
}

@inline(__always)
private func panelLanes<let P: Int>(_ values: UnsafePointer<Float>, _ panelStride: Int) -> InlineArray<
  P, Lanes
> {
  var result = InlineArray<P, Lanes>(repeating: Lanes())
  for p in 0..<P { result[unchecked: p] = load(values + (p &* panelStride)) }
  return result
}

/// Adds the products of `count` vectors of a group, from `first` on.
@inline(__always)
private func addVectors<F: PackedFormat, let R: Int, let P: Int>(
  _ format: F.Type, _ sums: inout TileSums<R, P>, _ codes: UnsafeRawPointer, _ panelStride: Int,
  _ first: Int, _ count: Int, _ a: UnsafePointer<UInt32>, _ step: Int
) {
  let run = min(count, vectorsPerPartialSum(F.Layout.maximumCode))
  for begin in 0..<count / run {
    var partial = partials(sums)
    for index in 0..<run {
      let vector = first &+ begin &* run &+ index
      addProducts(
        &partial, panelCodes(codes, panelStride, vector), isWide: F.Layout.isWide, a + (vector &* step))
    }
    complete(&sums, partial, isWide: F.Layout.isWide)
  }
}

/// `R` rows by `P` panels.
@inline(__always)
private func tileProduct<F: PackedFormat, let R: Int, let P: Int>(
  _ format: F.Type, _ seed: TileTotals<R, P>, _ groups: Int, _ tile: UnpackedTile,
  _ a: QuantizedActivations, _ row: Int, _ out: ProductOutput
) {
  let hasBias = !F.Scaling.hasMinimum && !(F.Layout.isWide && wideBias == 0)
  let scaleStep = F.Scaling.hasHalves ? 32 : 16
  let codeStride = groups &* 512
  let scaleStride = groups &* scaleStep
  let step = a.step
  var totals = seed
  loadTotals(&totals, out, 0)
  var codes = UnsafeRawPointer(tile.codes)
  var scales = UnsafePointer(tile.scales)
  var minimums = UnsafePointer(tile.minimums)
  var left = a.codes + row
  var factors = a.scales + row
  var integers = a.auxiliary.assumingMemoryBound(to: Int32.self) + row
  var reals = a.auxiliary.assumingMemoryBound(to: Float.self) + row
  for _ in 0..<groups {
    var sums: TileSums<R, P> = noSums()
    startingSums(&sums, hasBias: hasBias, offset: sumOffset, integers)
    if F.Scaling.hasHalves {
      addVectors(F.self, &sums, codes, codeStride, 0, 4, left, step)
      let first = scaled(F.Scaling.self, sums, panelLanes(scales, scaleStride))
      startingSums(&sums, hasBias: hasBias, offset: 0, integers + step)
      addVectors(F.self, &sums, codes, codeStride, 4, 4, left, step)
      addScaled(&totals, first, sums, panelLanes(scales + 16, scaleStride), factors)
      if F.Scaling.hasMinimum {
        addMinimums(&totals, panelLanes(minimums, scaleStride), reals)
        addMinimums(&totals, panelLanes(minimums + 16, scaleStride), reals + step)
      }
    } else {
      addVectors(F.self, &sums, codes, codeStride, 0, 8, left, step)
      addScaled(F.Scaling.self, &totals, sums, panelLanes(scales, scaleStride), factors)
      if F.Scaling.hasMinimum { addMinimums(&totals, panelLanes(minimums, scaleStride), reals) }
    }
    codes += 512
    scales += scaleStep
    minimums += scaleStep
    left += 8 &* step
    factors += step
    integers += F.Scaling.hasHalves ? 2 &* step : step
    reals += F.Scaling.hasHalves ? 2 &* step : step
  }
  storeTotals(totals, out, 0)
}

/// Up to 12 rows by `P` panels.
@inline(__always)
private func tileRows<F: PackedFormat, let P: Int>(
  _ format: F.Type, _ panels: InlineArray<P, Lanes>, _ rows: Int, _ groups: Int, _ tile: UnpackedTile,
  _ a: QuantizedActivations, _ out: ProductOutput
) {
  var row = 0
  while row < rows {
    let count = min(quantizedTileRows, rows &- row)
    let place = out.moved(byRows: row)
    // One straight-line loop a row count: the compiler drops the cases beyond `quantizedTileRows`.
    switch count {
    case 1:
      let seed: TileTotals<1, P> = noTotals()
      tileProduct(F.self, seed, groups, tile, a, row, place)
    case 2:
      let seed: TileTotals<2, P> = noTotals()
      tileProduct(F.self, seed, groups, tile, a, row, place)
    case 3:
      let seed: TileTotals<3, P> = noTotals()
      tileProduct(F.self, seed, groups, tile, a, row, place)
    case 4 where quantizedTileRows >= 4:
      let seed: TileTotals<4, P> = noTotals()
      tileProduct(F.self, seed, groups, tile, a, row, place)
    case 5 where quantizedTileRows >= 5:
      let seed: TileTotals<5, P> = noTotals()
      tileProduct(F.self, seed, groups, tile, a, row, place)
    default:
      let seed: TileTotals<6, P> = noTotals()
      if quantizedTileRows >= 6 { tileProduct(F.self, seed, groups, tile, a, row, place) }
    }
    row = row &+ count
  }
}

/// Up to 12 rows by a pair of panels.
@inline(__always)
func tilePair<F: PackedFormat>(
  _ format: F.Type, _ rows: Int, _ groups: Int, _ tile: UnpackedTile, _ a: QuantizedActivations,
  _ out: ProductOutput
) {
  tileRows(F.self, InlineArray<2, Lanes>(repeating: Lanes()), rows, groups, tile, a, out)
}

/// Up to 12 rows by one of several panels.
@inline(__always)
func tilePanel<F: PackedFormat>(
  _ format: F.Type, _ panel: Int, _ rows: Int, _ groups: Int, _ tile: UnpackedTile,
  _ a: QuantizedActivations, _ out: ProductOutput
) {
  let scales = panel &* groups &* (F.Scaling.hasHalves ? 32 : 16)
  let part = UnpackedTile(
    codes: tile.codes + panel &* groups &* 512, scales: tile.scales + scales,
    minimums: tile.minimums + scales)
  tileRows(
    F.self, InlineArray<1, Lanes>(repeating: Lanes()), rows, groups, part, a,
    out.moved(byColumns: panel &* 16))
}
