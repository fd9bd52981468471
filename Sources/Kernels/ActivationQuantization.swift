/// Activations as signed bytes, 32 with a scale: `code = round(127 x / max |x|)`, ties to even.
///
/// - Parameters:
///   - rows: How many rows.
///   - groups: How many groups of 32 values each row has.
///   - x: `[rows, 32 * groups]`, `xStride` floats from row to row.
///   - step: Rows that stand side by side in what is written; see `QuantizedActivations`.
///   - codes: `[8 * groups, step]`, four codes a word.
///   - scales: `[groups, step]`; NaN where a value is NaN, and infinite where one is infinite.
///   - sums: `[2 * groups, step]`, the sum of the codes of every 16 values.
@inline(never)
package func quantizeActivations(
  _ rows: Int, _ groups: Int, _ x: UnsafePointer<Float>, _ xStride: Int, _ step: Int,
  _ codes: UnsafeMutablePointer<UInt32>, _ scales: UnsafeMutablePointer<Float>,
  _ sums: UnsafeMutablePointer<Int32>
) {
  var row = 0
  // Four rows go together: what is to be stored of them lies side by side, and so do the steps of a reduction.
  while row &+ 4 <= rows {
    let source = x + (row &* xStride)
    for group in 0..<groups {
      quantizeGroup(
        source + (32 &* group), xStride, step, codes + (8 &* group &* step &+ row),
        scales + (group &* step &+ row), sums + (2 &* group &* step &+ row))
    }
    row = row &+ 4
  }
  while row < rows {
    var source = x + (row &* xStride)
    var code = codes + row
    var scale = scales + row
    var sum = sums + row
    for _ in 0..<groups {
      let largest = Float(bitPattern: greatest(magnitudes(source)))
      let inverse = 127 / largest
      // Zeros, and numbers so small that the factor would be infinite, have codes of zero.
      let factor = Lanes(repeating: inverse == .infinity ? 0 : inverse)
      scale.pointee = largest / 127
      let low = rounded(load(source) * factor)
      let high = rounded(load(source + 16) * factor)
      sum[0] = total(low)
      sum[step] = total(high)
      storeWords(low, code, step)
      storeWords(high, code + (4 &* step), step)
      source += 32
      code += 8 &* step
      scale += step
      sum += 2 &* step
    }
    row = row &+ 1
  }
}

/// A group of four rows, as `quantizeActivations` does it.
@inline(__always)
private func quantizeGroup(
  _ x: UnsafePointer<Float>, _ xStride: Int, _ step: Int, _ codes: UnsafeMutablePointer<UInt32>,
  _ scales: UnsafeMutablePointer<Float>, _ sums: UnsafeMutablePointer<Int32>
) {
  let second = x + xStride
  let third = second + xStride
  let fourth = third + xStride
  let largest = greatestOfFour(
    magnitudes(x), magnitudes(second), magnitudes(third), magnitudes(fourth))
  let inverse = SIMD4<Float>(repeating: 127) / largest
  let factors = inverse.replacing(with: 0, where: inverse .== .infinity)
  UnsafeMutableRawPointer(scales).storeBytes(
    of: largest / SIMD4<Float>(repeating: 127), as: SIMD4<Float>.self)
  for half in 0..<2 {
    let place = 16 &* half
    let a = rounded(load(x + place) * Lanes(repeating: factors[0]))
    let b = rounded(load(second + place) * Lanes(repeating: factors[1]))
    let c = rounded(load(third + place) * Lanes(repeating: factors[2]))
    let d = rounded(load(fourth + place) * Lanes(repeating: factors[3]))
    UnsafeMutableRawPointer(sums + (half &* step)).storeBytes(of: totals(a, b, c, d), as: SIMD4<Int32>.self)
    let p = unsafeBitCast(lowBytes(a), to: SIMD4<UInt32>.self)
    let q = unsafeBitCast(lowBytes(b), to: SIMD4<UInt32>.self)
    let r = unsafeBitCast(lowBytes(c), to: SIMD4<UInt32>.self)
    let s = unsafeBitCast(lowBytes(d), to: SIMD4<UInt32>.self)
    let out = codes + (4 &* half &* step)
    storeColumn(SIMD4(p[0], q[0], r[0], s[0]), out)
    storeColumn(SIMD4(p[1], q[1], r[1], s[1]), out + step)
    storeColumn(SIMD4(p[2], q[2], r[2], s[2]), out + (2 &* step))
    storeColumn(SIMD4(p[3], q[3], r[3], s[3]), out + (3 &* step))
  }
}

@inline(__always)
private func storeColumn(_ words: SIMD4<UInt32>, _ destination: UnsafeMutablePointer<UInt32>) {
  UnsafeMutableRawPointer(destination).storeBytes(of: words, as: SIMD4<UInt32>.self)
}

/// The greater magnitudes of 32 floats, as integers: they are in the order of their bits, and NaN comes last instead
/// of getting lost.
@inline(__always)
private func magnitudes(_ x: UnsafePointer<Float>) -> SIMD16<UInt32> {
  greater(
    unsafeBitCast(load(x), to: SIMD16<UInt32>.self) & 0x7FFF_FFFF,
    unsafeBitCast(load(x + 16), to: SIMD16<UInt32>.self) & 0x7FFF_FFFF)
}

/// The greatest of each of four, as floats.
@inline(__always)
private func greatestOfFour(
  _ a: SIMD16<UInt32>, _ b: SIMD16<UInt32>, _ c: SIMD16<UInt32>, _ d: SIMD16<UInt32>
) -> SIMD4<Float> {
  // Eight lanes are left of each, then four, two, one.
  let first = greater(
    SIMD16(lowHalf: a.lowHalf, highHalf: b.lowHalf), SIMD16(lowHalf: a.highHalf, highHalf: b.highHalf))
  let second = greater(
    SIMD16(lowHalf: c.lowHalf, highHalf: d.lowHalf), SIMD16(lowHalf: c.highHalf, highHalf: d.highHalf))
  let four = greater(
    SIMD16(lowHalf: first.evenHalf, highHalf: second.evenHalf),
    SIMD16(lowHalf: first.oddHalf, highHalf: second.oddHalf))
  let two = four.evenHalf.replacing(with: four.oddHalf, where: four.evenHalf .< four.oddHalf)
  let one = two.evenHalf.replacing(with: two.oddHalf, where: two.evenHalf .< two.oddHalf)
  return unsafeBitCast(one, to: SIMD4<Float>.self)
}

/// The sum of each of four.
@inline(__always)
private func totals(_ a: IntegerLanes, _ b: IntegerLanes, _ c: IntegerLanes, _ d: IntegerLanes) -> SIMD4<
  Int32
> {
  let first = SIMD16(lowHalf: a.lowHalf &+ a.highHalf, highHalf: b.lowHalf &+ b.highHalf)
  let second = SIMD16(lowHalf: c.lowHalf &+ c.highHalf, highHalf: d.lowHalf &+ d.highHalf)
  let four =
    SIMD16(lowHalf: first.evenHalf, highHalf: second.evenHalf)
    &+ SIMD16(lowHalf: first.oddHalf, highHalf: second.oddHalf)
  let two = four.evenHalf &+ four.oddHalf
  return two.evenHalf &+ two.oddHalf
}

/// The nearest integers of numbers below 2^22: adding 1.5 * 2^23 leaves no bits for a fraction.
@inline(__always)
private func rounded(_ x: Lanes) -> IntegerLanes {
  let magic: Float = 12_582_912
  let sum = x + Lanes(repeating: magic)
  return unsafeBitCast(sum, to: IntegerLanes.self)
    &- IntegerLanes(repeating: Int32(bitPattern: magic.bitPattern))
}

/// The sum of sixteen codes.
@inline(__always)
private func total(_ codes: IntegerLanes) -> Int32 {
  let eight = codes.lowHalf &+ codes.highHalf
  let four = eight.lowHalf &+ eight.highHalf
  let two = four.lowHalf &+ four.highHalf
  return two[0] &+ two[1]
}

/// Sixteen codes as four words, each four bytes of neighbours.
@inline(__always)
private func storeWords(_ codes: IntegerLanes, _ destination: UnsafeMutablePointer<UInt32>, _ step: Int) {
  let words = unsafeBitCast(lowBytes(codes), to: SIMD4<UInt32>.self)
  for word in 0..<4 { destination[word &* step] = words[word] }
}

/// What products with codes that have a bias need of the activations: `sumOffset - bias * sum` for each group; or, for
/// each half, `sumOffset - bias * sum` for the first and `-bias * sum` for the second.
///
/// - Parameters:
///   - groups: Groups of 32 inputs.
///   - step: Rows that stand side by side.
///   - hasHalves: Whether halves of a group have scales of their own.
///   - sums: `[2 * groups, step]`.
///   - out: `[groups or 2 * groups, step]`.
@inline(never)
package func biasedSums(
  _ groups: Int, _ step: Int, _ hasHalves: Bool, _ bias: Int32, _ sums: UnsafePointer<Int32>,
  _ out: UnsafeMutablePointer<Int32>
) {
  if hasHalves {
    for half in 0..<2 &* groups {
      let start = half & 1 == 0 ? sumOffset : 0
      for index in half &* step..<(half &+ 1) &* step { out[index] = start &- bias &* sums[index] }
    }
    return
  }
  for group in 0..<groups {
    let first = sums + (2 &* group &* step)
    let result = out + (group &* step)
    for row in 0..<step { result[row] = sumOffset &- bias &* (first[row] &+ first[step &+ row]) }
  }
}

/// What products with codes that have a minimum need of the activations: `scale * sum`, for each group or each half.
///
/// Parameters are those of `biasedSums`; `scales` is `[groups, step]`.
@inline(never)
package func scaledSums(
  _ groups: Int, _ step: Int, _ hasHalves: Bool, _ scales: UnsafePointer<Float>,
  _ sums: UnsafePointer<Int32>, _ out: UnsafeMutablePointer<Float>
) {
  for group in 0..<groups {
    let first = sums + (2 &* group &* step)
    let scale = scales + (group &* step)
    if hasHalves {
      let result = out + (2 &* group &* step)
      for row in 0..<step {
        result[row] = scale[row] * Float(first[row])
        result[step &+ row] = scale[row] * Float(first[step &+ row])
      }
    } else {
      let result = out + (group &* step)
      for row in 0..<step { result[row] = scale[row] * Float(first[row] &+ first[step &+ row]) }
    }
  }
}
