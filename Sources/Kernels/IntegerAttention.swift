import SalanganeKernelOperands

// Attention on integers: keys and queries with codes of 8 bits, 32 features with a scale, as quantised weights and
// activations have them, so that scores are a quantised product; values with codes of 8 bits and a scale a position,
// and the weights of attention, times that scale, with codes of 8 bits and a scale for 64 positions.
//
// What is rounded away is about what rounding the activations of the next product takes away once more. Sums of
// products of codes are exact, so a result depends on the keys that a query sees and on nothing else.

/// The greatest code of a value.
@inline(__always) private var greatestValueCode: Float { 127 }
/// Added to a small float, leaves the nearest integer in the low bits of the sum.
@inline(__always) private var roundingOffset: Float { 12_582_912 }

/// Where the numbers of a cache come from.
private protocol CachedNumber {
  /// Sixteen of them as floats.
  static func load(_ source: UnsafePointer<Self>) -> Lanes
}

extension Float: CachedNumber {
  @inline(__always) static func load(_ source: UnsafePointer<Float>) -> Lanes {
    UnsafeRawPointer(source).loadUnaligned(as: Lanes.self)
  }
}

extension UInt16: CachedNumber {
  /// Numbers in half precision.
  @inline(__always) static func load(_ source: UnsafePointer<UInt16>) -> Lanes {
    widen(UnsafeRawPointer(source).loadUnaligned(as: SIMD16<UInt16>.self))
  }
}

/// The bits of magnitudes, which are in the same order and where NaN comes last instead of getting lost.
@inline(__always) private func magnitudes(_ x: Lanes) -> SIMD16<UInt32> {
  unsafeBitCast(x, to: SIMD16<UInt32>.self) & 0x7FFF_FFFF
}

/// The nearest integers of `x * factor` in the low bits.
@inline(__always) private func rounded(_ x: Lanes, _ factor: Lanes) -> Codes {
  unsafeBitCast(multiplyAdd(x, factor, Lanes(repeating: roundingOffset)), to: Codes.self)
}

/// `greatest / x`, or 0 where that isn't finite: the codes of zeros, and of numbers about as small, are zero.
@inline(__always) private func inverse(_ greatest: Float, _ x: Lanes) -> Lanes {
  let result = Lanes(repeating: greatest) / x
  return result.replacing(with: Lanes(), where: result .== Lanes(repeating: .infinity))
}

// MARK: Keys and values as codes

/// The keys of 16 positions as an unpacked panel of a product with quantised weights (see `UnpackedTile`).
///
/// - Parameters:
///   - features: How many features there are.
///   - keys: Feature `f` of the 16 positions is at `keys + f * step`.
///   - codes: `[groups][8][16 positions][4 features]`, for whole groups of 32 features.
///   - scales: `[groups][16]`.
@inline(__always)
private func integerKeys<Number: CachedNumber>(
  _ features: Int, _ keys: UnsafePointer<Number>, _ step: Int, _ codes: UnsafeMutableRawPointer,
  _ scales: UnsafeMutablePointer<Float>
) {
  var first = 0
  var group = 0
  while first < features {
    let source = keys + (first &* step)
    let count = min(32, features &- first)
    var largest = SIMD16<UInt32>()
    // What follows in memory, further keys and then values, is needed next.
    prefetchLines(UnsafeRawPointer(source) + prefetchDistance, 32 &* 16 &* MemoryLayout<Number>.size)
    for feature in 0..<count {
      largest = greater(largest, magnitudes(Number.load(source + (feature &* step))))
    }
    let magnitude = float(largest)
    let factor = inverse(127, magnitude)
    store(magnitude / Lanes(repeating: 127), scales + (group &* 16))
    let place = codes + (group &* 512)
    for word in 0..<8 {
      var bytes = Codes()
      for part in 0..<4 where (word &* 4 &+ part) < count {
        let code = rounded(Number.load(source + ((word &* 4 &+ part) &* step)), factor) & 0xFF
        bytes |= code &<< UInt32(truncatingIfNeeded: 8 &* part)
      }
      (place + (word &* 64)).storeBytes(of: nativeWide(bytes ^ 0x8080_8080), as: Codes.self)
    }
    first = first &+ 32
    group = group &+ 1
  }
}

/// `integerKeys` of floats.
@inline(never)
package func integerKeysOfFloats(
  _ features: Int, _ keys: UnsafePointer<Float>, _ step: Int, _ codes: UnsafeMutableRawPointer,
  _ scales: UnsafeMutablePointer<Float>
) {
  integerKeys(features, keys, step, codes, scales)
}

/// `integerKeys` of numbers in half precision.
@inline(never)
package func integerKeysOfHalves(
  _ features: Int, _ keys: UnsafePointer<UInt16>, _ step: Int, _ codes: UnsafeMutableRawPointer,
  _ scales: UnsafeMutablePointer<Float>
) {
  integerKeys(features, keys, step, codes, scales)
}

/// The values of some positions as codes.
///
/// - Parameters:
///   - positions: How many there are; the codes of what is missing to a multiple of 4 are zero.
///   - panels: Panels of 16 features; rows have as many features.
///   - values: `[positions, 16 * panels]`, `stride` numbers from row to row.
///   - codes: `[panels][32][16 features][4 positions]`.
///   - scales: `[positions]`.
@inline(__always)
private func integerValues<Number: CachedNumber>(
  _ positions: Int, _ panels: Int, _ values: UnsafePointer<Number>, _ stride: Int,
  _ codes: UnsafeMutableRawPointer, _ scales: UnsafeMutablePointer<Float>
) {
  var position = 0
  while position < positions {
    let row = values + (position &* stride)
    let count = min(4, positions &- position)
    prefetchLines(UnsafeRawPointer(row) + prefetchDistance, 4 &* stride &* MemoryLayout<Number>.size)
    // A row that isn't there is the last one times zero.
    var factors = InlineArray<4, Lanes>(repeating: Lanes())
    for part in 0..<4 where part < count {
      let line = row + (part &* stride)
      var largest = SIMD16<UInt32>()
      for panel in 0..<panels { largest = greater(largest, magnitudes(Number.load(line + (panel &* 16)))) }
      let magnitude = Float(bitPattern: greatest(largest, SIMD16<UInt32>()))
      scales[position &+ part] = magnitude / greatestValueCode
      let inverse = greatestValueCode / magnitude
      factors[unchecked: part] = Lanes(repeating: inverse < .infinity ? inverse : 0)
    }
    let place = codes + (position &* 16)
    let second = count > 1 ? row + stride : row
    let third = count > 2 ? second + stride : row
    let fourth = count > 3 ? third + stride : row
    for panel in 0..<panels {
      let feature = panel &* 16
      let a = rounded(Number.load(row + feature), factors[unchecked: 0]) & 0xFF
      let b = rounded(Number.load(second + feature), factors[unchecked: 1]) & 0xFF
      let c = rounded(Number.load(third + feature), factors[unchecked: 2]) & 0xFF
      let d = rounded(Number.load(fourth + feature), factors[unchecked: 3])
      (place + (panel &* 2048)).storeBytes(of: a | (b &<< 8) | (c &<< 16) | (d &<< 24), as: Codes.self)
    }
    position = position &+ 4
  }
}

/// `integerValues` of floats.
@inline(never)
package func integerValuesOfFloats(
  _ positions: Int, _ panels: Int, _ values: UnsafePointer<Float>, _ stride: Int,
  _ codes: UnsafeMutableRawPointer, _ scales: UnsafeMutablePointer<Float>
) {
  integerValues(positions, panels, values, stride, codes, scales)
}

/// `integerValues` of numbers in half precision.
@inline(never)
package func integerValuesOfHalves(
  _ positions: Int, _ panels: Int, _ values: UnsafePointer<UInt16>, _ stride: Int,
  _ codes: UnsafeMutableRawPointer, _ scales: UnsafeMutablePointer<Float>
) {
  integerValues(positions, panels, values, stride, codes, scales)
}

/// The latents of up to 16 positions, which are keys and whose leading features are values too, as both kinds of codes.
///
/// A position has one scale for the features that are values and one for the others, so that the codes of values are
/// those of keys.
///
/// - Parameters:
///   - rows: How many positions; missing ones get codes of zero.
///   - features: How many features a key has.
///   - panels: Panels of 16 features that are values.
///   - latents: `[rows, features]`, `stride` numbers from row to row, with whole vectors of 16 numbers.
///   - bytes: `[16, 32 * groups]`, for temporary values, where a group has 32 features.
///   - codes: `[groups][8][16 positions][4 features]`.
///   - scales: `[groups][16]`.
///   - valueCodes: `[panels][32][16 features][4 positions]`, from the first of these positions on.
///   - valueScales: `[rows]`.
@inline(__always)
private func integerLatents<Number: CachedNumber>(
  _ rows: Int, _ features: Int, _ panels: Int, _ latents: UnsafePointer<Number>, _ stride: Int,
  _ bytes: UnsafeMutableRawPointer, _ codes: UnsafeMutableRawPointer, _ scales: UnsafeMutablePointer<Float>,
  _ valueCodes: UnsafeMutableRawPointer, _ valueScales: UnsafeMutablePointer<Float>
) {
  let groups = (features &+ 31) / 32
  let width = groups &* 32
  let vectors = (features &+ 15) / 16
  let valueGroups = panels / 2
  for row in 0..<16 {
    let place = bytes + (row &* width)
    guard row < rows else {
      for vector in 0..<2 &* groups {
        (place + (vector &* 16)).storeBytes(of: SIMD16<UInt8>(), as: SIMD16<UInt8>.self)
      }
      for group in 0..<groups { scales[group &* 16 &+ row] = 0 }
      continue
    }
    let source = latents + (row &* stride)
    prefetchLines(UnsafeRawPointer(source) + prefetchDistance, stride &* MemoryLayout<Number>.size)
    var largest = SIMD16<UInt32>()
    for vector in 0..<panels { largest = greater(largest, magnitudes(Number.load(source + (vector &* 16)))) }
    var largestRest = SIMD16<UInt32>()
    for vector in panels..<vectors {
      largestRest = greater(largestRest, magnitudes(Number.load(source + (vector &* 16))))
    }
    let magnitude = Float(bitPattern: greatest(largest, SIMD16<UInt32>()))
    let restMagnitude = Float(bitPattern: greatest(largestRest, SIMD16<UInt32>()))
    let inverse = 127 / magnitude
    let restInverse = 127 / restMagnitude
    let factor = Lanes(repeating: inverse < .infinity ? inverse : 0)
    let restFactor = Lanes(repeating: restInverse < .infinity ? restInverse : 0)
    for vector in 0..<2 &* groups {
      var code = Codes()
      if vector < vectors {
        code = rounded(Number.load(source + (vector &* 16)), vector < panels ? factor : restFactor)
      }
      // Bytes with a sign, which is what narrowing on every instruction set takes.
      let signed = unsafeBitCast(code &<< 24, to: IntegerLanes.self) &>> 24
      (place + (vector &* 16)).storeBytes(of: lowBytes(signed), as: SIMD16<UInt8>.self)
    }
    valueScales[row] = magnitude / 127
    for group in 0..<groups {
      scales[group &* 16 &+ row] = (group < valueGroups ? magnitude : restMagnitude) / 127
    }
  }
  packBlocks(
    16, 16, 8 &* groups, UnsafePointer(bytes.assumingMemoryBound(to: UInt32.self)), 8 &* groups,
    codes.assumingMemoryBound(to: UInt32.self))
  for vector in 0..<8 &* groups {
    storeCodes(nativeWide(loadCodes(codes, vector) ^ 0x8080_8080), codes, vector)
  }
  for quad in 0..<4 {
    let source = bytes + (quad &* 4 &* width)
    for panel in 0..<panels {
      var word = Codes()
      for part in 0..<4 {
        let row = (source + (part &* width &+ panel &* 16)).loadUnaligned(as: SIMD16<UInt8>.self)
        word |= unsafeBitCast(integers(row), to: Codes.self) &<< UInt32(truncatingIfNeeded: 8 &* part)
      }
      (valueCodes + (panel &* 2048 &+ quad &* 64)).storeBytes(of: word, as: Codes.self)
    }
  }
}

/// `integerLatents` of floats.
@inline(never)
package func integerLatentsOfFloats(
  _ rows: Int, _ features: Int, _ panels: Int, _ latents: UnsafePointer<Float>, _ stride: Int,
  _ bytes: UnsafeMutableRawPointer, _ codes: UnsafeMutableRawPointer, _ scales: UnsafeMutablePointer<Float>,
  _ valueCodes: UnsafeMutableRawPointer, _ valueScales: UnsafeMutablePointer<Float>
) {
  integerLatents(
    rows, features, panels, latents, stride, bytes, codes, scales, valueCodes, valueScales)
}

/// `integerLatents` of numbers in half precision.
@inline(never)
package func integerLatentsOfHalves(
  _ rows: Int, _ features: Int, _ panels: Int, _ latents: UnsafePointer<UInt16>, _ stride: Int,
  _ bytes: UnsafeMutableRawPointer, _ codes: UnsafeMutableRawPointer, _ scales: UnsafeMutablePointer<Float>,
  _ valueCodes: UnsafeMutableRawPointer, _ valueScales: UnsafeMutablePointer<Float>
) {
  integerLatents(
    rows, features, panels, latents, stride, bytes, codes, scales, valueCodes, valueScales)
}

// MARK: Weights and results

/// `2^x` for `x` up to 0, good to 4e-6; 0 from -127 down. NaN stays NaN.
///
/// The polynomial of degree 4 is the one with the least greatest relative error on [-0.5, 0.5] that is 1 at 0, fitted
/// by iteratively reweighted least squares.
@inline(__always) private func powerOfTwo(_ x: Lanes) -> Lanes {
  // In this order NaN is what is left over.
  let limited = greater(Lanes(repeating: -127), x)
  let shifted = limited + Lanes(repeating: roundingOffset)
  let fraction = limited - (shifted - Lanes(repeating: roundingOffset))
  var p = Lanes(repeating: 0.009582852945)
  p = multiplyAdd(p, fraction, Lanes(repeating: 0.05590642616))
  p = multiplyAdd(p, fraction, Lanes(repeating: 0.2402409911))
  p = multiplyAdd(p, fraction, Lanes(repeating: 0.6931241751))
  p = multiplyAdd(p, fraction, Lanes(repeating: 1))
  let exponent = unsafeBitCast(shifted, to: SIMD16<UInt32>.self) &<< 23
  // At -127 the sum of exponents is zero, and p is 1: the result is 0 to the bit.
  return float(unsafeBitCast(p, to: SIMD16<UInt32>.self) &+ exponent)
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
///   - valueScales: The scales of the values, for whole groups.
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
  for row in 0..<rows {
    let line = scores + (row &* stride)
    let first = Int(bounds[2 &* row])
    let end = Int(bounds[2 &* row &+ 1])
    for key in 0..<first { line[key] = -.infinity }
    var unseen = end
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
    let peak = greatest(largest)
    maximum[row] = peak * scale
    // Where there is no key to be seen there is nothing to subtract.
    let offset = Lanes(repeating: peak == -.infinity ? 0 : peak * binaryScale)
    var sums = Lanes()
    let place = UnsafeMutableRawPointer(codes + (row &* 32))
    for group in 0..<groups {
      let values = line + (group &* 64)
      let scales = valueScales + (group &* 64)
      var weights = InlineArray<4, Lanes>(repeating: Lanes())
      var heaviest = SIMD16<UInt32>()
      for part in 0..<4 {
        let score = load(values + (part &* 16))
        let weight = powerOfTwo(multiplyAdd(score, factor, -offset))
        sums += weight
        let scaled = weight * load(scales + (part &* 16))
        // The scale of values that are NaN must not get lost.
        heaviest = greater(heaviest, magnitudes(scaled))
        weights[unchecked: part] = scaled
      }
      let heaviestWeight = Float(bitPattern: greatest(heaviest, SIMD16<UInt32>()))
      codeScales[2 &* row &+ group] = heaviestWeight / greatestWeightCode
      let inverse = greatestWeightCode / heaviestWeight
      let codeFactor = Lanes(repeating: inverse < .infinity ? inverse : 0)
      for part in 0..<4 {
        let code = rounded(weights[unchecked: part], codeFactor) & 0xFF
        (place + (group &* 64 &+ part &* 16)).storeBytes(
          of: lowBytes(unsafeBitCast(code, to: IntegerLanes.self)), as: SIMD16<UInt8>.self)
      }
    }
    total[row] = sum(sums)
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
///   - values: What `integerValues` gave.
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
