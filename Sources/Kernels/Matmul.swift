// The float matrix product on packed operands.
//
// Both operands are panels: `a` holds, for every step of depth, the values of up to 12 rows side by side;
// `b` holds, for every step of depth, 16 output columns side by side.
//
// The order of an output element's sum is fixed: the depth is cut in blocks of 256 from its start, the
// products of a block are one chain of multiply-adds from zero, and the blocks' sums are added in order to the
// element's initial value. So its bits are the same whatever the tile, the number of rows beside it, or the
// thread; and a product cut into several calls at multiples of 256 is the product of one call. (Blocks also
// keep the rounding error small: it grows with their length and their number, not with their product.)

/// The steps of depth that are summed up before they meet the sum of the steps before them.
@inline(__always) var blockDepth: Int { 256 }

/// How many bytes ahead weights are fetched: measured on Zen 5, from 4 KB to 16 KB are alike.
@inline(__always) private var lookahead: Int { 8192 }

/// The operands of one product, as `matmulPanels` describes them.
struct PanelProduct {
  let depth: Int
  let a: UnsafePointer<Float>
  let aStep: Int
  let b: UnsafeRawPointer
  let bStep: Int
  let bPanelStride: Int
  let c: UnsafeMutablePointer<Float>
  let cRowStride: Int
  let initial: UnsafePointer<Float>?
  let initialRowStride: Int

  /// The product of the rows and panels from these on.
  @inline(__always)
  func from(row: Int, panel: Int, _ format: WeightFormat) -> PanelProduct {
    var start = initial
    if let initial { start = initial + ((row &* initialRowStride) &+ (panel &* 16)) }
    return PanelProduct(
      depth: depth, a: a + row, aStep: aStep, b: b + (panel &* bPanelStride &* format.byteCount),
      bStep: bStep, bPanelStride: bPanelStride, c: c + ((row &* cRowStride) &+ (panel &* 16)),
      cRowStride: cRowStride, initial: start, initialRowStride: initialRowStride)
  }
}

/// One register tile: `R` rows by `P` panels of 16 columns.
@inline(__always)
private func tile<let R: Int, let P: Int>(
  _ zeros: InlineArray<R, InlineArray<P, Lanes>>, _ format: WeightFormat, _ product: PanelProduct
) {
  let step = product.bStep &* format.byteCount
  let panelStride = product.bPanelStride &* format.byteCount
  var left = product.a
  var right = product.b
  var initial = product.initial
  var initialRowStride = product.initialRowStride
  var remaining = product.depth
  var otherPanel = 0
  repeat {
    let steps = min(blockDepth, remaining)
    var sums = zeros
    for _ in 0..<steps {
      if format.byteCount == 4 {
        for p in 0..<P { prefetch(right + (lookahead / P &+ (p &* panelStride))) }
      } else {
        // Every other panel: a line holds two steps.
        for p in 0..<((P + 1) / 2) {
          prefetch(right + (lookahead / P &+ otherPanel &+ (2 &* p &* panelStride)))
        }
        if P > 1 { otherPanel = panelStride &- otherPanel }
      }
      if R < P {
        // Few rows: their values stay in registers, and each weight is used as it comes.
        var values = InlineArray<R, Lanes>(repeating: Lanes())
        for r in 0..<R { values[unchecked: r] = Lanes(repeating: left[r]) }
        for p in 0..<P {
          let weight = format.load(right + (p &* panelStride))
          for r in 0..<R {
            sums[unchecked: r][unchecked: p] = multiplyAdd(
              values[unchecked: r], weight, sums[unchecked: r][unchecked: p])
          }
        }
      } else {
        var column = InlineArray<P, Lanes>(repeating: Lanes())
        for p in 0..<P { column[unchecked: p] = format.load(right + (p &* panelStride)) }
        for r in 0..<R {
          let value = Lanes(repeating: left[r])
          for p in 0..<P {
            sums[unchecked: r][unchecked: p] = multiplyAdd(
              value, column[unchecked: p], sums[unchecked: r][unchecked: p])
          }
        }
      }
      left += product.aStep
      right += step
    }
    if let initial {
      // In two halves: one loop of 12 rows is too long for the compiler to unroll, and sums that are indexed
      // by a loop's variable would live in memory.
      for r in 0..<(R / 2) { addRow(initial + (r &* initialRowStride), to: &sums[unchecked: r]) }
      for r in (R / 2)..<R { addRow(initial + (r &* initialRowStride), to: &sums[unchecked: r]) }
    }
    for r in 0..<R {
      let row = product.c + (r &* product.cRowStride)
      for p in 0..<P { store(sums[unchecked: r][unchecked: p], row + (p &* 16)) }
    }
    initial = UnsafePointer(product.c)
    initialRowStride = product.cRowStride
    remaining = remaining &- steps
  } while remaining > 0
}

@inline(__always)
private func addRow<let P: Int>(_ row: UnsafePointer<Float>, to sums: inout InlineArray<P, Lanes>) {
  for p in 0..<P { sums[unchecked: p] += load(row + (p &* 16)) }
}

@inline(__always)
private func zeros<let R: Int, let P: Int>() -> InlineArray<R, InlineArray<P, Lanes>> {
  InlineArray(repeating: InlineArray(repeating: Lanes()))
}

/// All rows of all tile columns of `P` panels, in tiles of at most `most` rows, as even as can be.
@inline(__always)
private func tileColumns<let P: Int>(
  _ columns: InlineArray<P, Lanes>, _ format: WeightFormat, _ most: Int, _ rows: Int, _ panels: Range<Int>,
  _ whole: PanelProduct
) {
  var panel = panels.lowerBound
  var row = 0
  while panel < panels.upperBound {
    let left = rows &- row
    let count = left <= most ? left : min(most, (left &+ 1) / 2)
    let product = whole.from(row: row, panel: panel, format)
    // One straight-line loop a row count: the compiler drops the cases beyond `most`.
    switch count {
    case 1:
      let none: InlineArray<1, InlineArray<P, Lanes>> = zeros()
      tile(none, format, product)
    case 2:
      let none: InlineArray<2, InlineArray<P, Lanes>> = zeros()
      tile(none, format, product)
    case 3:
      let none: InlineArray<3, InlineArray<P, Lanes>> = zeros()
      tile(none, format, product)
    case 4 where most >= 4:
      let none: InlineArray<4, InlineArray<P, Lanes>> = zeros()
      tile(none, format, product)
    case 5 where most >= 5:
      let none: InlineArray<5, InlineArray<P, Lanes>> = zeros()
      tile(none, format, product)
    case 6 where most >= 6:
      let none: InlineArray<6, InlineArray<P, Lanes>> = zeros()
      tile(none, format, product)
    case 7 where most >= 7:
      let none: InlineArray<7, InlineArray<P, Lanes>> = zeros()
      tile(none, format, product)
    case 8 where most >= 8:
      let none: InlineArray<8, InlineArray<P, Lanes>> = zeros()
      tile(none, format, product)
    case 9 where most >= 9:
      let none: InlineArray<9, InlineArray<P, Lanes>> = zeros()
      tile(none, format, product)
    case 10 where most >= 10:
      let none: InlineArray<10, InlineArray<P, Lanes>> = zeros()
      tile(none, format, product)
    case 11 where most >= 11:
      let none: InlineArray<11, InlineArray<P, Lanes>> = zeros()
      tile(none, format, product)
    default:
      let none: InlineArray<12, InlineArray<P, Lanes>> = zeros()
      if most >= 12 { tile(none, format, product) }
    }
    row = row &+ count
    if row == rows {
      row = 0
      panel = panel &+ P
    }
  }
}

/// `c = initial + a b` for up to 12 rows and any number of panels.
///
/// - Parameters:
///   - rows: How many rows, 1 to 12.
///   - panels: How many panels of 16 columns.
///   - depth: The length of each sum.
///   - a: Element (row, k) is `a[k * aStep + row]`.
///   - b: Element (k, panel, lane) is `b[panel * bPanelStride + k * bStep + lane]`.
///   - c: Element (row, panel, lane) is `c[row * cRowStride + panel * 16 + lane]`; all 16 lanes of every
///     panel are written.
///   - initial: What the blocks' sums are added to, addressed like `c` with a row stride of its own (0 for a
///     bias); nil for zero. May be `c` itself.
@inline(never)
package func matmulPanels(
  _ rows: Int, _ panels: Int, _ depth: Int,
  _ a: UnsafePointer<Float>, _ aStep: Int,
  _ b: UnsafePointer<Float>, _ bStep: Int, _ bPanelStride: Int,
  _ c: UnsafeMutablePointer<Float>, _ cRowStride: Int,
  _ initial: UnsafePointer<Float>?, _ initialRowStride: Int
) {
  let product = PanelProduct(
    depth: depth, a: a, aStep: aStep, b: b, bStep: bStep, bPanelStride: bPanelStride, c: c,
    cRowStride: cRowStride, initial: initial, initialRowStride: initialRowStride)
  let (fours, pairs) = panelGroups(rows, panels)
  if fours > 0 { floatFours(rows, 0..<fours, product) }
  if fours < pairs { floatPairs(rows, fours..<pairs, product) }
  if pairs < panels { floatSingles(rows, pairs..<panels, product) }
}

/// `matmulPanels` with a right operand in IEEE half precision.
@inline(never)
package func matmulHalfPanels(
  _ rows: Int, _ panels: Int, _ depth: Int,
  _ a: UnsafePointer<Float>, _ aStep: Int,
  _ b: UnsafePointer<UInt16>, _ bStep: Int, _ bPanelStride: Int,
  _ c: UnsafeMutablePointer<Float>, _ cRowStride: Int,
  _ initial: UnsafePointer<Float>?, _ initialRowStride: Int
) {
  let product = PanelProduct(
    depth: depth, a: a, aStep: aStep, b: b, bStep: bStep, bPanelStride: bPanelStride, c: c,
    cRowStride: cRowStride, initial: initial, initialRowStride: initialRowStride)
  let (fours, pairs) = panelGroups(rows, panels)
  if fours > 0 { halfFours(rows, 0..<fours, product) }
  if fours < pairs { halfPairs(rows, fours..<pairs, product) }
  if pairs < panels { halfSingles(rows, pairs..<panels, product) }
}

/// `matmulPanels` with a right operand in bfloat16.
@inline(never)
package func matmulBFloat16Panels(
  _ rows: Int, _ panels: Int, _ depth: Int,
  _ a: UnsafePointer<Float>, _ aStep: Int,
  _ b: UnsafePointer<UInt16>, _ bStep: Int, _ bPanelStride: Int,
  _ c: UnsafeMutablePointer<Float>, _ cRowStride: Int,
  _ initial: UnsafePointer<Float>?, _ initialRowStride: Int
) {
  let product = PanelProduct(
    depth: depth, a: a, aStep: aStep, b: b, bStep: bStep, bPanelStride: bPanelStride, c: c,
    cRowStride: cRowStride, initial: initial, initialRowStride: initialRowStride)
  let (fours, pairs) = panelGroups(rows, panels)
  if fours > 0 { bfloat16Fours(rows, 0..<fours, product) }
  if fours < pairs { bfloat16Pairs(rows, fours..<pairs, product) }
  if pairs < panels { bfloat16Singles(rows, pairs..<panels, product) }
}

/// Where the panels end that go four by four, and those that go two by two: as many side by side as the
/// registers hold for this many rows, since few sums would wait for each other.
@inline(__always)
private func panelGroups(_ rows: Int, _ panels: Int) -> (fours: Int, pairs: Int) {
  let fours = rows <= rowsOfFourPanels ? panels & ~3 : 0
  return (fours, rows <= rowsOfTwoPanels ? panels & ~1 : fours)
}

// One concrete function for each tile width and format: a generic tile must be inlined whole, or its
// specialisation would come out as a weak symbol.

@inline(never)
func floatFours(_ rows: Int, _ panels: Range<Int>, _ product: PanelProduct) {
  tileColumns(InlineArray<4, Lanes>(repeating: Lanes()), .float, rowsOfFourPanels, rows, panels, product)
}

@inline(never)
func floatPairs(_ rows: Int, _ panels: Range<Int>, _ product: PanelProduct) {
  tileColumns(InlineArray<2, Lanes>(repeating: Lanes()), .float, rowsOfTwoPanels, rows, panels, product)
}

@inline(never)
func floatSingles(_ rows: Int, _ panels: Range<Int>, _ product: PanelProduct) {
  tileColumns(InlineArray<1, Lanes>(repeating: Lanes()), .float, rowsOfOnePanel, rows, panels, product)
}

@inline(never)
func halfFours(_ rows: Int, _ panels: Range<Int>, _ product: PanelProduct) {
  tileColumns(InlineArray<4, Lanes>(repeating: Lanes()), .half, rowsOfFourPanels, rows, panels, product)
}

@inline(never)
func halfPairs(_ rows: Int, _ panels: Range<Int>, _ product: PanelProduct) {
  tileColumns(InlineArray<2, Lanes>(repeating: Lanes()), .half, rowsOfTwoPanels, rows, panels, product)
}

@inline(never)
func halfSingles(_ rows: Int, _ panels: Range<Int>, _ product: PanelProduct) {
  tileColumns(InlineArray<1, Lanes>(repeating: Lanes()), .half, rowsOfOnePanel, rows, panels, product)
}

@inline(never)
func bfloat16Fours(_ rows: Int, _ panels: Range<Int>, _ product: PanelProduct) {
  tileColumns(InlineArray<4, Lanes>(repeating: Lanes()), .bfloat16, rowsOfFourPanels, rows, panels, product)
}

@inline(never)
func bfloat16Pairs(_ rows: Int, _ panels: Range<Int>, _ product: PanelProduct) {
  tileColumns(InlineArray<2, Lanes>(repeating: Lanes()), .bfloat16, rowsOfTwoPanels, rows, panels, product)
}

@inline(never)
func bfloat16Singles(_ rows: Int, _ panels: Range<Int>, _ product: PanelProduct) {
  tileColumns(InlineArray<1, Lanes>(repeating: Lanes()), .bfloat16, rowsOfOnePanel, rows, panels, product)
}
