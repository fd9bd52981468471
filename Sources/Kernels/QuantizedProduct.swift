import SalanganeKernelOperands

// The arithmetic that the quantised products share, whether they read packed weights (`QuantizedVector.swift`)
// or weights that were unpacked into a tile (`QuantizedTile.swift`).
//
// Inputs go in groups of 32. Of every group the products of codes are summed as integers, exactly; then
// `sum = sum + (float(integers) * scale) * activationScale`, group after group. That order is the same in all
// products of an instruction set, so an output's bits don't depend on which of them computed it, nor on the rows
// and panels beside it.

/// Integer sums of `R` rows and `P` panels.
typealias TileSums<let R: Int, let P: Int> = InlineArray<R, InlineArray<P, IntegerLanes>>

/// Integer sums on their way.
typealias TilePartials<let R: Int, let P: Int> = InlineArray<R, InlineArray<P, PartialSums>>

/// Float sums of `R` rows and `P` panels.
typealias TileTotals<let R: Int, let P: Int> = InlineArray<R, InlineArray<P, Lanes>>

/// What the integer sums of 16 or 32 products start from: what `biasedSums` made of the activations, or the offset
/// alone for formats that add a minimum instead.
@inline(__always)
func startingSums<let R: Int, let P: Int>(
  _ sums: inout TileSums<R, P>, hasBias: Bool, offset: Int32, _ auxiliary: UnsafePointer<Int32>
) {
  for r in 0..<R {
    let start = IntegerLanes(repeating: hasBias ? auxiliary[r] : offset)
    for p in 0..<P { sums[unchecked: r][unchecked: p] = start }
  }
}

/// Partial sums that go on from `sums`.
@inline(__always)
func partials<let R: Int, let P: Int>(_ sums: TileSums<R, P>) -> TilePartials<R, P> {
  var result = TilePartials<R, P>(repeating: InlineArray(repeating: partialSums(IntegerLanes())))
  for r in 0..<R {
    for p in 0..<P { result[unchecked: r][unchecked: p] = partialSums(sums[unchecked: r][unchecked: p]) }
  }
  return result
}

/// Adds the products of one vector of codes of each panel; `a` has a word of activations for each row.
@inline(__always)
func addProducts<let R: Int, let P: Int>(
  _ partials: inout TilePartials<R, P>, _ w: InlineArray<P, Codes>, isWide: Bool, _ a: UnsafePointer<UInt32>
) {
  for r in 0..<R {
    let word = a[r]
    for p in 0..<P {
      partials[unchecked: r][unchecked: p] = multiplyAdd(
        partials[unchecked: r][unchecked: p], w[unchecked: p], word, isWide: isWide)
    }
  }
}

/// Brings partial sums into `sums`.
@inline(__always)
func complete<let R: Int, let P: Int>(
  _ sums: inout TileSums<R, P>, _ partials: TilePartials<R, P>, isWide: Bool
) {
  for r in 0..<R {
    for p in 0..<P {
      sums[unchecked: r][unchecked: p] = completeSums(
        sums[unchecked: r][unchecked: p], partials[unchecked: r][unchecked: p], isWide: isWide)
    }
  }
}

/// `totals += (sums * scales) * activationScales`, with sums that began at `sumOffset`.
@inline(__always)
func addScaled<S: ScaleLayout, let R: Int, let P: Int>(
  _ scaling: S.Type, _ totals: inout TileTotals<R, P>, _ sums: TileSums<R, P>,
  _ scales: InlineArray<P, Lanes>, _ activationScales: UnsafePointer<Float>
) {
  let corrections = corrections(S.self, scales)
  for r in 0..<R {
    let factor = Lanes(repeating: activationScales[r])
    for p in 0..<P {
      let scaled = product(
        S.self, sums[unchecked: r][unchecked: p], scales[unchecked: p], corrections[unchecked: p])
      totals[unchecked: r][unchecked: p] = multiplyAdd(scaled, factor, totals[unchecked: r][unchecked: p])
    }
  }
}

/// `totals += (first + second * secondScales) * activationScales`, for groups whose halves have scales of their own;
/// the second sums began at zero.
@inline(__always)
func addScaled<let R: Int, let P: Int>(
  _ totals: inout TileTotals<R, P>, _ first: TileTotals<R, P>, _ second: TileSums<R, P>,
  _ secondScales: InlineArray<P, Lanes>, _ activationScales: UnsafePointer<Float>
) {
  for r in 0..<R {
    let factor = Lanes(repeating: activationScales[r])
    for p in 0..<P {
      let scaled = multiplyAdd(
        floats(second[unchecked: r][unchecked: p]), secondScales[unchecked: p],
        first[unchecked: r][unchecked: p])
      totals[unchecked: r][unchecked: p] = multiplyAdd(scaled, factor, totals[unchecked: r][unchecked: p])
    }
  }
}

/// What is added to products of sums with these scales.
@inline(__always)
private func corrections<S: ScaleLayout, let P: Int>(
  _ scaling: S.Type, _ scales: InlineArray<P, Lanes>
) -> InlineArray<P, Lanes> {
  var result = InlineArray<P, Lanes>(repeating: Lanes())
  for p in 0..<P where S.isShort { result[unchecked: p] = sumCorrection(scales[unchecked: p]) }
  return result
}

/// `(sums - sumOffset) * scale`, rounded once.
@inline(__always)
private func product<S: ScaleLayout>(
  _ scaling: S.Type, _ sums: IntegerLanes, _ scale: Lanes, _ correction: Lanes
) -> Lanes {
  S.isShort
    ? scaled(sums, scale, correction) : floats(sums &- IntegerLanes(repeating: sumOffset)) * scale
}

/// `sums * scales`, with sums that began at `sumOffset`.
@inline(__always)
func scaled<S: ScaleLayout, let R: Int, let P: Int>(
  _ scaling: S.Type, _ sums: TileSums<R, P>, _ scales: InlineArray<P, Lanes>
) -> TileTotals<R, P> {
  let corrections = corrections(S.self, scales)
  var result = TileTotals<R, P>(repeating: InlineArray(repeating: Lanes()))
  for r in 0..<R {
    for p in 0..<P {
      result[unchecked: r][unchecked: p] = product(
        S.self, sums[unchecked: r][unchecked: p], scales[unchecked: p], corrections[unchecked: p])
    }
  }
  return result
}

/// `totals += minimums * auxiliary`, where `auxiliary` has the sums of the dequantised activations.
@inline(__always)
func addMinimums<let R: Int, let P: Int>(
  _ totals: inout TileTotals<R, P>, _ minimums: InlineArray<P, Lanes>, _ auxiliary: UnsafePointer<Float>
) {
  for r in 0..<R {
    let sum = Lanes(repeating: auxiliary[r])
    for p in 0..<P {
      totals[unchecked: r][unchecked: p] = multiplyAdd(
        minimums[unchecked: p], sum, totals[unchecked: r][unchecked: p])
    }
  }
}

/// Zeros for `R` rows and `P` panels.
@inline(__always)
func noTotals<let R: Int, let P: Int>() -> TileTotals<R, P> {
  InlineArray(repeating: InlineArray(repeating: Lanes()))
}

@inline(__always)
func noSums<let R: Int, let P: Int>() -> TileSums<R, P> {
  InlineArray(repeating: InlineArray(repeating: IntegerLanes()))
}

/// Loads what totals start from.
@inline(__always)
func loadTotals<let R: Int, let P: Int>(_ totals: inout TileTotals<R, P>, _ out: ProductOutput, _ column: Int)
{
  guard let initial = out.initial else { return }
  for r in 0..<R {
    let row = initial + (r &* out.initialRowStride &+ column)
    for p in 0..<P { totals[unchecked: r][unchecked: p] = load(row + (p &* 16)) }
  }
}

@inline(__always)
func storeTotals<let R: Int, let P: Int>(_ totals: TileTotals<R, P>, _ out: ProductOutput, _ column: Int) {
  for r in 0..<R {
    let row = out.values + (r &* out.rowStride &+ column)
    for p in 0..<P { store(totals[unchecked: r][unchecked: p], row + (p &* 16)) }
  }
}

extension QuantizedActivations {
  /// The activations from a row on.
  @inline(__always) func moved(byRows rows: Int) -> QuantizedActivations {
    QuantizedActivations(
      codes: codes + rows, scales: scales + rows, auxiliary: auxiliary + rows &* 4, step: step)
  }
}

extension ProductOutput {
  @inline(__always) func moved(byRows rows: Int) -> ProductOutput {
    var result = self
    result.values += rows &* rowStride
    if let initial { result.initial = initial + (rows &* initialRowStride) }
    return result
  }

  @inline(__always) func moved(byColumns columns: Int) -> ProductOutput {
    var result = self
    result.values += columns
    if let initial { result.initial = initial + columns }
    return result
  }
}
