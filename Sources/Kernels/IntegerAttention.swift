import SalanganeKernelOperands

// Attention on integers: keys and queries with codes of 8 bits, 32 features with a scale, as quantised weights and
// activations have them, so that scores are a quantised product; values with codes of 8 bits and a scale a position,
// and the weights of attention, times that scale, with codes of 8 bits and a scale for 64 positions.
//
// Sums of products of codes are exact, so a result depends on the keys that a query sees and on nothing else.

/// Added to a small float, leaves the nearest integer in the low bits of the sum.
@inline(__always) private var roundingOffset: Float { 12_582_912 }

/// The bits of magnitudes, which are in the same order and where NaN comes last instead of getting lost.
@inline(__always) private func magnitudes(_ x: Lanes) -> SIMD16<UInt32> {
  unsafeBitCast(x, to: SIMD16<UInt32>.self) & 0x7FFF_FFFF
}

/// The nearest integers of `x * factor` in the low bits.
@inline(__always) private func rounded(_ x: Lanes, _ factor: Lanes) -> Codes {
  unsafeBitCast(multiplyAdd(x, factor, Lanes(repeating: roundingOffset)), to: Codes.self)
}

// MARK: Keys and values as codes

/// Numbers as signed bytes with one scale: `code = round(127 x / max |x|)`, ties to even.
///
/// - Parameters:
///   - vectors: How many vectors of 16 numbers there are.
///   - x: The numbers.
///   - codes: A byte for each.
/// - Returns: The scale; NaN where a number is NaN, and infinite where one is infinite.
@inline(never)
package func integerRow(
  _ vectors: Int, _ x: UnsafePointer<Float>, _ codes: UnsafeMutableRawPointer
) -> Float {
  var largest = SIMD16<UInt32>()
  for vector in 0..<vectors { largest = greater(largest, magnitudes(load(x + (vector &* 16)))) }
  let magnitude = Float(bitPattern: greatest(largest))
  let inverse = 127 / magnitude
  // Zeros, and numbers so small that the factor would be infinite, have codes of zero.
  let factor = Lanes(repeating: inverse < .infinity ? inverse : 0)
  for vector in 0..<vectors {
    let code = rounded(load(x + (vector &* 16)), factor)
    // Bytes with a sign, which is what narrowing on every instruction set takes.
    let signed = unsafeBitCast(code &<< 24, to: IntegerLanes.self) &>> 24
    (codes + (vector &* 16)).storeBytes(of: lowBytes(signed), as: SIMD16<UInt8>.self)
  }
  return magnitude / 127
}

/// The values of 16 positions, out of keys whose leading features they are.
///
/// - Parameters:
///   - panels: Panels of 16 features that are values.
///   - codes: The keys, `[panels][4][16 positions][4 features]`: an unpacked panel of a product with quantised weights
///     (see `UnpackedTile`).
///   - valueCodes: `[panels][32][16 features][4 positions]`, from the first of these positions on; with a sign.
@inline(never)
package func latentValues(_ panels: Int, _ codes: UnsafeRawPointer, _ valueCodes: UnsafeMutableRawPointer) {
  for panel in 0..<panels {
    let source = codes + (panel &* 256)
    let (a, b, c, d) = transposed(
      loadCodes(source, 0), loadCodes(source, 1), loadCodes(source, 2), loadCodes(source, 3))
    let sign: UInt32 = wideBias == 0 ? 0 : 0x8080_8080
    let place = valueCodes + (panel &* 2048)
    storeCodes(a ^ sign, place, 0)
    storeCodes(b ^ sign, place, 1)
    storeCodes(c ^ sign, place, 2)
    storeCodes(d ^ sign, place, 3)
  }
}

// MARK: Weights and results

/// `2^x` for finite `x` up to 0, good to 4e-6. NaN stays NaN; of -infinity, some instruction sets make NaN too.
///
/// The polynomial of degree 4 is the one with the least greatest relative error on [-0.5, 0.5] that is 1 at 0, fitted
/// by iteratively reweighted least squares.
@inline(__always) private func powerOfTwo(_ x: Lanes) -> Lanes {
  // In this order NaN is what is left over.
  let limited = limitsExponents ? greater(Lanes(repeating: -127), x) : x
  let shifted = limited + Lanes(repeating: roundingOffset)
  let exponent = shifted - Lanes(repeating: roundingOffset)
  let fraction = limited - exponent
  var p = Lanes(repeating: 0.009582852945)
  p = multiplyAdd(p, fraction, Lanes(repeating: 0.05590642616))
  p = multiplyAdd(p, fraction, Lanes(repeating: 0.2402409911))
  p = multiplyAdd(p, fraction, Lanes(repeating: 0.6931241751))
  p = multiplyAdd(p, fraction, Lanes(repeating: 1))
  return timesPowerOfTwo(p, exponent, shifted)
}

/// The largest score of a row that some keys are hidden from.
///
/// - Parameters:
///   - seen: The keys that are seen; the others' scores become -infinity.
///   - keys: How many keys there are, a multiple of 64.
@inline(__always)
private func largestScore(_ line: UnsafeMutablePointer<Float>, seen: Range<Int>, _ keys: Int) -> Lanes {
  for key in 0..<seen.lowerBound { line[key] = -.infinity }
  var unseen = seen.upperBound
  while unseen & 15 != 0 {
    line[unseen] = -.infinity
    unseen = unseen &+ 1
  }
  while unseen < keys {
    store(Lanes(repeating: -.infinity), line + unseen)
    unseen = unseen &+ 16
  }
  var largest = Lanes(repeating: -.infinity)
  var key = 0
  while key < keys {
    largest = greater(largest, greater(load(line + key), load(line + key + 16)))
    key = key &+ 32
  }
  return largest
}

/// Replaces the scores of 64 keys by weights times the scales of their values.
///
/// - Parameters:
///   - isWhole: Whether all keys of the row are seen: what isn't has a score of -infinity, and may have any scale.
///   - sums: The sums of the weights, which are added.
/// - Returns: The bits of the greatest, in the order of numbers that aren't negative, where NaN comes last.
@inline(__always)
private func weigh(
  isWhole: Bool, _ scores: UnsafeMutablePointer<Float>, _ factor: Lanes, _ offset: Float,
  _ valueScales: UnsafePointer<Float>, _ sums: inout Lanes
) -> SIMD16<UInt32> {
  let start = Lanes(repeating: -offset)
  var heaviest = SIMD16<UInt32>()
  for part in 0..<4 {
    let score = load(scores + (part &* 16))
    var weight = powerOfTwo(multiplyAdd(score, factor, start))
    var scaled = weight * load(valueScales + (part &* 16))
    if !isWhole {
      let isUnseen = score .== Lanes(repeating: -.infinity)
      weight.replace(with: Lanes(), where: isUnseen)
      scaled.replace(with: Lanes(), where: isUnseen)
    }
    sums += weight
    heaviest = greater(heaviest, unsafeBitCast(scaled, to: SIMD16<UInt32>.self))
    store(scaled, scores + (part &* 16))
  }
  return heaviest
}

/// Writes the codes of 64 weights.
@inline(__always)
private func storeWeights(
  _ weights: UnsafePointer<Float>, _ factor: Float, _ codes: UnsafeMutablePointer<UInt32>
) {
  let factor = Lanes(repeating: factor)
  UnsafeMutableRawPointer(codes).storeBytes(
    of: lowBytes(
      rounded(load(weights), factor), rounded(load(weights + 16), factor),
      rounded(load(weights + 32), factor), rounded(load(weights + 48), factor)),
    as: Codes.self)
}

/// The weights that queries give to a chunk of keys, as codes: `e^(scale * score - maximum)` times the scale of the
/// key's value.
///
/// - Parameters:
///   - rows: How many queries.
///   - scores: `[rows, stride]`, overwritten; `stride` has room for whole groups of 64 keys.
///   - scale: What scores are multiplied by, positive.
///   - bounds: For each row the first key that it sees, and the one behind the last, at most 128.
///   - groups: For how many groups of 64 keys each row gets codes: at least up to the last bound.
///   - valueScales: The scales of the values, not negative, for whole groups; those of keys that aren't seen don't
///     matter.
///   - codes: `[rows, 128]`, four keys a word.
///   - codeScales: `[rows, 2]`, what the codes of each group are to be multiplied by.
///   - maximum: The largest scaled score of each row; -infinity if it sees no key.
///   - total: The sum of the exponentials of each row.
@inline(never)
package func integerAttentionWeights(
  _ rows: Int, _ scores: UnsafeMutablePointer<Float>, _ stride: Int, _ scale: Float,
  _ bounds: UnsafePointer<Int32>, _ groups: Int, _ valueScales: UnsafePointer<Float>,
  _ codes: UnsafeMutablePointer<UInt32>, _ codeScales: UnsafeMutablePointer<Float>,
  _ maximum: UnsafeMutablePointer<Float>, _ total: UnsafeMutablePointer<Float>
) {
  // Weights are powers of two, which take fewer steps than those of e.
  let binaryScale = scale * 1.442_695_04
  let factor = Lanes(repeating: binaryScale)
  let keys = groups &* 64
  // A step of all rows after the other, since a row's own wait for each other.
  for row in 0..<rows {
    let seen = Int(bounds[2 &* row])..<Int(bounds[2 &* row &+ 1])
    maximum[row] = greatest(largestScore(scores + (row &* stride), seen: seen, keys))
  }
  for row in 0..<rows {
    let line = scores + (row &* stride)
    let isWhole = bounds[2 &* row] == 0 && Int(bounds[2 &* row &+ 1]) == keys
    let peak = maximum[row]
    maximum[row] = peak * scale
    // Where there is no key to be seen there is nothing to subtract.
    let offset = peak == -.infinity ? 0 : peak * binaryScale
    var sums = Lanes()
    for group in 0..<groups {
      let weights = line + (group &* 64)
      let scales = valueScales + (group &* 64)
      let heaviest =
        isWhole
        ? weigh(isWhole: true, weights, factor, offset, scales, &sums)
        : weigh(isWhole: false, weights, factor, offset, scales, &sums)
      codeScales[2 &* row &+ group] = Float(bitPattern: greatest(heaviest))
    }
    total[row] = sum(sums)
  }
  for row in 0..<rows {
    for group in 0..<groups {
      let heaviest = codeScales[2 &* row &+ group]
      codeScales[2 &* row &+ group] = heaviest / greatestWeightCode
      let inverse = greatestWeightCode / heaviest
      storeWeights(
        scores + (row &* stride &+ group &* 64), inverse < .infinity ? inverse : 0,
        codes + (row &* 32 &+ group &* 16))
    }
  }
}

/// `R` queries by `P` panels of values.
@inline(__always)
private func weighValues<let R: Int, let P: Int>(
  _ seed: TileTotals<R, P>, _ groups: Int, _ codes: UnsafePointer<UInt32>, _ values: UnsafeRawPointer,
  _ codeScales: UnsafePointer<Float>, _ keep: UnsafePointer<Float>, _ take: UnsafePointer<Float>,
  _ out: UnsafeMutablePointer<Float>, _ outStride: Int
) {
  var totals = seed
  for group in 0..<groups {
    var sums: TileSums<R, P> = noSums()
    for vector in 0..<16 {
      let quad = group &* 16 &+ vector
      var vectors = InlineArray<P, Codes>(repeating: Codes())
      for p in 0..<P { vectors[unchecked: p] = loadCodes(values + (p &* 2048), quad) }
      for r in 0..<R {
        let word = codes[r &* 32 &+ quad]
        for p in 0..<P {
          sums[unchecked: r][unchecked: p] = addWeighted(
            sums[unchecked: r][unchecked: p], vectors[unchecked: p], word)
        }
      }
    }
    for r in 0..<R {
      let scale = Lanes(repeating: codeScales[2 &* r &+ group])
      for p in 0..<P {
        totals[unchecked: r][unchecked: p] = multiplyAdd(
          floats(sums[unchecked: r][unchecked: p]), scale, totals[unchecked: r][unchecked: p])
      }
    }
  }
  for r in 0..<R {
    let kept = Lanes(repeating: keep[r])
    let taken = Lanes(repeating: take[r])
    for p in 0..<P {
      let place = out + (r &* outStride &+ p &* 16)
      store(multiplyAdd(totals[unchecked: r][unchecked: p], taken, load(place) * kept), place)
    }
  }
}

@inline(__always)
private func weighValues<let P: Int>(
  _ panels: InlineArray<P, Lanes>, _ rows: Int, _ groups: Int, _ codes: UnsafePointer<UInt32>,
  _ values: UnsafeRawPointer, _ codeScales: UnsafePointer<Float>, _ keep: UnsafePointer<Float>,
  _ take: UnsafePointer<Float>, _ out: UnsafeMutablePointer<Float>, _ outStride: Int
) {
  var row = 0
  while row < rows {
    let count = min(quantizedTileRows, rows &- row)
    let a = codes + (row &* 32)
    let scale = codeScales + (2 &* row)
    let kept = keep + row
    let taken = take + row
    let place = out + (row &* outStride)
    switch count {
    case 1:
      let seed: TileTotals<1, P> = noTotals()
      weighValues(seed, groups, a, values, scale, kept, taken, place, outStride)
    case 2:
      let seed: TileTotals<2, P> = noTotals()
      weighValues(seed, groups, a, values, scale, kept, taken, place, outStride)
    case 3:
      let seed: TileTotals<3, P> = noTotals()
      weighValues(seed, groups, a, values, scale, kept, taken, place, outStride)
    case 4 where quantizedTileRows >= 4:
      let seed: TileTotals<4, P> = noTotals()
      weighValues(seed, groups, a, values, scale, kept, taken, place, outStride)
    case 5 where quantizedTileRows >= 5:
      let seed: TileTotals<5, P> = noTotals()
      weighValues(seed, groups, a, values, scale, kept, taken, place, outStride)
    default:
      let seed: TileTotals<6, P> = noTotals()
      if quantizedTileRows >= 6 {
        weighValues(seed, groups, a, values, scale, kept, taken, place, outStride)
      }
    }
    row = row &+ count
  }
}

/// What a chunk of keys gives to queries, added to what earlier chunks gave:
/// `out = out * keep + (weights * values) * take`, as `mergeAttention` has it.
///
/// - Parameters:
///   - rows: How many queries.
///   - panels: Panels of 16 features.
///   - groups: Groups of 64 keys; every weight code of theirs is there, and the value codes are at least not missing.
///   - codes: What `integerAttentionWeights` gave.
///   - values: The codes of values, `[panels][32][16 features][4 positions]`.
///   - codeScales: What `integerAttentionWeights` gave.
///   - keep: What `attentionFactors` gave.
///   - take: What `attentionFactors` gave.
///   - out: `[rows, 16 * panels]`.
///   - outStride: Floats from row to row.
@inline(never)
package func integerAttentionValues(
  _ rows: Int, _ panels: Int, _ groups: Int, _ codes: UnsafePointer<UInt32>, _ values: UnsafeRawPointer,
  _ codeScales: UnsafePointer<Float>, _ keep: UnsafePointer<Float>, _ take: UnsafePointer<Float>,
  _ out: UnsafeMutablePointer<Float>, _ outStride: Int
) {
  var panel = 0
  if quantizedTilePanels == 2 {
    while panel &+ 2 <= panels {
      weighValues(
        InlineArray<2, Lanes>(repeating: Lanes()), rows, groups, codes, values + (panel &* 2048), codeScales,
        keep, take, out + (panel &* 16), outStride)
      panel = panel &+ 2
    }
  }
  while panel < panels {
    integerAttentionPanel(
      rows, groups, codes, values + (panel &* 2048), codeScales, keep, take, out + (panel &* 16), outStride)
    panel = panel &+ 1
  }
}

@inline(never)
func integerAttentionPanel(
  _ rows: Int, _ groups: Int, _ codes: UnsafePointer<UInt32>, _ values: UnsafeRawPointer,
  _ codeScales: UnsafePointer<Float>, _ keep: UnsafePointer<Float>, _ take: UnsafePointer<Float>,
  _ out: UnsafeMutablePointer<Float>, _ outStride: Int
) {
  weighValues(
    InlineArray<1, Lanes>(repeating: Lanes()), rows, groups, codes, values, codeScales, keep, take, out,
    outStride)
}
