// The float matrix product on packed operands.
//
// Both operands are panels: `a` holds, for every step of depth, the values of up to 12 rows side by side;
// `b` holds, for every step of depth, 16 output columns side by side. Every output element is one chain of
// multiply-adds over the depth, from its initial value on, in order: the same bits whatever the tile, the
// number of rows beside it, or the thread.

/// One register tile: `R` rows by `P` panels of 16 columns.
@inline(__always)
private func tile<let R: Int, let P: Int>(
  _ seed: InlineArray<R, InlineArray<P, Lanes>>, _ depth: Int,
  _ a: UnsafePointer<Float>, _ aStep: Int,
  _ b: UnsafePointer<Float>, _ bStep: Int, _ bPanelStride: Int,
  _ c: UnsafeMutablePointer<Float>, _ cRowStride: Int,
  _ initial: UnsafePointer<Float>?, _ initialRowStride: Int
) {
  var sums = seed
  if let initial {
    for r in 0..<R {
      let row = initial + (r &* initialRowStride)
      for p in 0..<P { sums[unchecked: r][unchecked: p] = load(row + (p &* 16)) }
    }
  }
  var left = a
  var right = b
  for _ in 0..<depth {
    var weights = InlineArray<P, Lanes>(repeating: Lanes())
    for p in 0..<P { weights[unchecked: p] = load(right + (p &* bPanelStride)) }
    for r in 0..<R {
      let value = Lanes(repeating: left[r])
      for p in 0..<P {
        sums[unchecked: r][unchecked: p] = multiplyAdd(
          value, weights[unchecked: p], sums[unchecked: r][unchecked: p])
      }
    }
    left += aStep
    right += bStep
  }
  for r in 0..<R {
    let row = c + (r &* cRowStride)
    for p in 0..<P { store(sums[unchecked: r][unchecked: p], row + (p &* 16)) }
  }
}

@inline(__always)
private func zeros<let R: Int, let P: Int>() -> InlineArray<R, InlineArray<P, Lanes>> {
  InlineArray(repeating: InlineArray(repeating: Lanes()))
}

/// All rows of one tile column of `P` panels.
@inline(__always)
private func tileColumn<let P: Int>(
  _ panels: InlineArray<P, Lanes>, _ rows: Int, _ depth: Int,
  _ a: UnsafePointer<Float>, _ aStep: Int,
  _ b: UnsafePointer<Float>, _ bStep: Int, _ bPanelStride: Int,
  _ c: UnsafeMutablePointer<Float>, _ cRowStride: Int,
  _ initial: UnsafePointer<Float>?, _ initialRowStride: Int
) {
  var row = 0
  while row < rows {
    let count = min(tileRows, rows &- row)
    let left = a + row
    let out = c + (row &* cRowStride)
    var start = initial
    if let initial { start = initial + (row &* initialRowStride) }
    // One straight-line loop a row count: the compiler drops the cases beyond `tileRows`.
    switch count {
    case 1:
      let seed: InlineArray<1, InlineArray<P, Lanes>> = zeros()
      tile(seed, depth, left, aStep, b, bStep, bPanelStride, out, cRowStride, start, initialRowStride)
    case 2:
      let seed: InlineArray<2, InlineArray<P, Lanes>> = zeros()
      tile(seed, depth, left, aStep, b, bStep, bPanelStride, out, cRowStride, start, initialRowStride)
    case 3:
      let seed: InlineArray<3, InlineArray<P, Lanes>> = zeros()
      tile(seed, depth, left, aStep, b, bStep, bPanelStride, out, cRowStride, start, initialRowStride)
    case 4 where tileRows >= 4:
      let seed: InlineArray<4, InlineArray<P, Lanes>> = zeros()
      tile(seed, depth, left, aStep, b, bStep, bPanelStride, out, cRowStride, start, initialRowStride)
    case 5 where tileRows >= 5:
      let seed: InlineArray<5, InlineArray<P, Lanes>> = zeros()
      tile(seed, depth, left, aStep, b, bStep, bPanelStride, out, cRowStride, start, initialRowStride)
    case 6 where tileRows >= 6:
      let seed: InlineArray<6, InlineArray<P, Lanes>> = zeros()
      tile(seed, depth, left, aStep, b, bStep, bPanelStride, out, cRowStride, start, initialRowStride)
    case 7 where tileRows >= 7:
      let seed: InlineArray<7, InlineArray<P, Lanes>> = zeros()
      tile(seed, depth, left, aStep, b, bStep, bPanelStride, out, cRowStride, start, initialRowStride)
    case 8 where tileRows >= 8:
      let seed: InlineArray<8, InlineArray<P, Lanes>> = zeros()
      tile(seed, depth, left, aStep, b, bStep, bPanelStride, out, cRowStride, start, initialRowStride)
    case 9 where tileRows >= 9:
      let seed: InlineArray<9, InlineArray<P, Lanes>> = zeros()
      tile(seed, depth, left, aStep, b, bStep, bPanelStride, out, cRowStride, start, initialRowStride)
    case 10 where tileRows >= 10:
      let seed: InlineArray<10, InlineArray<P, Lanes>> = zeros()
      tile(seed, depth, left, aStep, b, bStep, bPanelStride, out, cRowStride, start, initialRowStride)
    case 11 where tileRows >= 11:
      let seed: InlineArray<11, InlineArray<P, Lanes>> = zeros()
      tile(seed, depth, left, aStep, b, bStep, bPanelStride, out, cRowStride, start, initialRowStride)
    default:
      let seed: InlineArray<12, InlineArray<P, Lanes>> = zeros()
      if tileRows >= 12 {
        tile(seed, depth, left, aStep, b, bStep, bPanelStride, out, cRowStride, start, initialRowStride)
      }
    }
    row = row &+ count
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
///   - initial: What the sums start from, addressed like `c` with a row stride of its own (0 for a bias);
///     nil for zero. May be `c` itself.
@inline(never)
package func matmulPanels(
  _ rows: Int, _ panels: Int, _ depth: Int,
  _ a: UnsafePointer<Float>, _ aStep: Int,
  _ b: UnsafePointer<Float>, _ bStep: Int, _ bPanelStride: Int,
  _ c: UnsafeMutablePointer<Float>, _ cRowStride: Int,
  _ initial: UnsafePointer<Float>?, _ initialRowStride: Int
) {
  let paired = tilePanels == 2 ? panels & ~1 : 0
  if paired > 0 {
    matmulPanelPairs(
      rows, paired, depth, a, aStep, b, bStep, bPanelStride, c, cRowStride, initial, initialRowStride)
  }
  if paired < panels {
    var start = initial
    if let initial { start = initial + (paired &* 16) }
    matmulSinglePanels(
      rows, panels &- paired, depth, a, aStep, b + (paired &* bPanelStride), bStep, bPanelStride,
      c + (paired &* 16), cRowStride, start, initialRowStride)
  }
}

// One concrete function for each tile width: the generic tile must be inlined whole, or its
// specialisation would come out as a weak symbol.

@inline(never)
func matmulPanelPairs(
  _ rows: Int, _ panels: Int, _ depth: Int,
  _ a: UnsafePointer<Float>, _ aStep: Int,
  _ b: UnsafePointer<Float>, _ bStep: Int, _ bPanelStride: Int,
  _ c: UnsafeMutablePointer<Float>, _ cRowStride: Int,
  _ initial: UnsafePointer<Float>?, _ initialRowStride: Int
) {
  var panel = 0
  while panel < panels {
    var start = initial
    if let initial { start = initial + (panel &* 16) }
    tileColumn(
      InlineArray<2, Lanes>(repeating: Lanes()), rows, depth, a, aStep,
      b + (panel &* bPanelStride), bStep, bPanelStride,
      c + (panel &* 16), cRowStride, start, initialRowStride)
    panel = panel &+ 2
  }
}

@inline(never)
func matmulSinglePanels(
  _ rows: Int, _ panels: Int, _ depth: Int,
  _ a: UnsafePointer<Float>, _ aStep: Int,
  _ b: UnsafePointer<Float>, _ bStep: Int, _ bPanelStride: Int,
  _ c: UnsafeMutablePointer<Float>, _ cRowStride: Int,
  _ initial: UnsafePointer<Float>?, _ initialRowStride: Int
) {
  for panel in 0..<panels {
    var start = initial
    if let initial { start = initial + (panel &* 16) }
    tileColumn(
      InlineArray<1, Lanes>(repeating: Lanes()), rows, depth, a, aStep,
      b + (panel &* bPanelStride), bStep, bPanelStride,
      c + (panel &* 16), cRowStride, start, initialRowStride)
  }
}

/// Transposes a block of rows so that the values of one depth step stand side by side:
/// `packed[k * width + row] = source[row * rowStride + k]`, rows beyond `rows` filled with zero.
///
/// - Parameters:
///   - rows: How many rows, at most `width`.
///   - width: The rows of a packed step, a multiple of 4.
///   - depth: How many values of each row.
@inline(never)
package func packRows(
  _ rows: Int, _ width: Int, _ depth: Int,
  _ source: UnsafePointer<Float>, _ rowStride: Int, _ packed: UnsafeMutablePointer<Float>
) {
  var row = 0
  // Blocks of 4 x 4 keep the transposition in registers.
  while row &+ 4 <= rows {
    let r0 = UnsafeRawPointer(source + (row &* rowStride))
    let r1 = UnsafeRawPointer(source + ((row &+ 1) &* rowStride))
    let r2 = UnsafeRawPointer(source + ((row &+ 2) &* rowStride))
    let r3 = UnsafeRawPointer(source + ((row &+ 3) &* rowStride))
    let out = packed + row
    var k = 0
    while k &+ 4 <= depth {
      let x0 = r0.loadUnaligned(fromByteOffset: k &* 4, as: SIMD4<Float>.self)
      let x1 = r1.loadUnaligned(fromByteOffset: k &* 4, as: SIMD4<Float>.self)
      let x2 = r2.loadUnaligned(fromByteOffset: k &* 4, as: SIMD4<Float>.self)
      let x3 = r3.loadUnaligned(fromByteOffset: k &* 4, as: SIMD4<Float>.self)
      let y0 = SIMD4<Float>(x0[0], x1[0], x2[0], x3[0])
      let y1 = SIMD4<Float>(x0[1], x1[1], x2[1], x3[1])
      let y2 = SIMD4<Float>(x0[2], x1[2], x2[2], x3[2])
      let y3 = SIMD4<Float>(x0[3], x1[3], x2[3], x3[3])
      UnsafeMutableRawPointer(out + (k &* width)).storeBytes(of: y0, as: SIMD4<Float>.self)
      UnsafeMutableRawPointer(out + ((k &+ 1) &* width)).storeBytes(of: y1, as: SIMD4<Float>.self)
      UnsafeMutableRawPointer(out + ((k &+ 2) &* width)).storeBytes(of: y2, as: SIMD4<Float>.self)
      UnsafeMutableRawPointer(out + ((k &+ 3) &* width)).storeBytes(of: y3, as: SIMD4<Float>.self)
      k = k &+ 4
    }
    while k < depth {
      for r in 0..<4 { out[(k &* width) &+ r] = source[((row &+ r) &* rowStride) &+ k] }
      k = k &+ 1
    }
    row = row &+ 4
  }
  while row < rows {
    let line = source + (row &* rowStride)
    for k in 0..<depth { packed[(k &* width) &+ row] = line[k] }
    row = row &+ 1
  }
  while row < width {
    for k in 0..<depth { packed[(k &* width) &+ row] = 0 }
    row = row &+ 1
  }
}
