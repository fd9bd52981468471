// Element-wise operations and row reductions on floats.

// MARK: Functions of one vector

/// The bits of an unsigned vector as floats.
@inline(__always) func float(_ bits: SIMD16<UInt32>) -> Lanes {
  unsafeBitCast(bits, to: Lanes.self)
}

/// `e^x`, good to 2 units in the last place; 0 below -87.33, the value at 88.37 above that, NaN for NaN.
///
/// Cody-Waite reduction by powers of two and the degree-5 polynomial of Cephes' `expf` (S. Moshier).
@inline(__always) func exponential(_ x: Lanes) -> Lanes {
  let limited = x.replacing(with: Lanes(repeating: 88.37), where: x .> Lanes(repeating: 88.37))
  // Adding 1.5 * 2^23 rounds to an integer and leaves it in the low bits.
  let magic = Lanes(repeating: 12_582_912)
  let shifted = multiplyAdd(limited, Lanes(repeating: 1.442_695_04), magic)
  let n = shifted - magic
  var r = multiplyAdd(n, Lanes(repeating: -0.693_359_375), limited)
  r = multiplyAdd(n, Lanes(repeating: 2.121_944_4e-4), r)
  var p = Lanes(repeating: 1.987_569_15e-4)
  p = multiplyAdd(p, r, Lanes(repeating: 1.398_199_950_7e-3))
  p = multiplyAdd(p, r, Lanes(repeating: 8.333_451_907_3e-3))
  p = multiplyAdd(p, r, Lanes(repeating: 4.166_579_589_4e-2))
  p = multiplyAdd(p, r, Lanes(repeating: 1.666_666_545_9e-1))
  p = multiplyAdd(p, r, Lanes(repeating: 5.000_000_120_1e-1))
  let value = multiplyAdd(p, r * r, r) + Lanes(repeating: 1)
  let exponent = unsafeBitCast(shifted, to: SIMD16<UInt32>.self) &<< 23
  let result = float(unsafeBitCast(value, to: SIMD16<UInt32>.self) &+ exponent)
  return result.replacing(with: Lanes(), where: x .< Lanes(repeating: -87.33))
}

/// The error function, to 3e-7 absolute.
///
/// `x P(t)` on [-3.92, 3.92], where it reaches 1 within float precision; `t` runs from -1 to 1 with `x^2`, so that the
/// coefficients stay small. They are fitted for the least largest error by iteratively reweighted least squares.
@inline(__always) func errorFunction(_ x: Lanes) -> Lanes {
  let t = multiplyAdd(x * x, Lanes(repeating: 0.130_154_1), Lanes(repeating: -1))
  var p = Lanes(repeating: 0.001_739_851_1)
  p = multiplyAdd(p, t, Lanes(repeating: -0.004_373_15))
  p = multiplyAdd(p, t, Lanes(repeating: 0.003_081_118_5))
  p = multiplyAdd(p, t, Lanes(repeating: -0.003_470_250_4))
  p = multiplyAdd(p, t, Lanes(repeating: 0.012_743_617))
  p = multiplyAdd(p, t, Lanes(repeating: -0.022_985_237))
  p = multiplyAdd(p, t, Lanes(repeating: 0.030_608_885))
  p = multiplyAdd(p, t, Lanes(repeating: -0.042_299_118))
  p = multiplyAdd(p, t, Lanes(repeating: 0.058_107_845))
  p = multiplyAdd(p, t, Lanes(repeating: -0.074_240_95))
  p = multiplyAdd(p, t, Lanes(repeating: 0.090_639_89))
  p = multiplyAdd(p, t, Lanes(repeating: -0.109_160_38))
  p = multiplyAdd(p, t, Lanes(repeating: 0.134_082_18))
  p = multiplyAdd(p, t, Lanes(repeating: -0.180_109_08))
  p = multiplyAdd(p, t, Lanes(repeating: 0.360_736_85))
  var value = x * p
  value.replace(with: Lanes(repeating: 1), where: x .> Lanes(repeating: 3.92))
  value.replace(with: Lanes(repeating: -1), where: x .< Lanes(repeating: -3.92))
  return value
}

@inline(__always) func gelu(_ x: Lanes) -> Lanes {
  let half = x * Lanes(repeating: 0.5)
  return multiplyAdd(half, errorFunction(x * Lanes(repeating: 0.707_106_781_186_547_5)), half)
}

// MARK: Rows

/// `x = x / 2 * (1 + erf(x / sqrt 2))` in place (GELU, exact form; Hendrycks and Gimpel, 2016).
///
/// `x` is `[rows, columns]` with `stride` floats from row to row.
@inline(never)
package func geluRows(_ rows: Int, _ columns: Int, _ x: UnsafeMutablePointer<Float>, _ stride: Int) {
  for row in 0..<rows {
    let line = x + (row &* stride)
    var column = 0
    while column &+ 16 <= columns {
      store(gelu(load(line + column)), line + column)
      column = column &+ 16
    }
    if column < columns {
      let rest = columns &- column
      storePartial(gelu(loadPartial(line + column, rest, filler: 0)), line + column, rest)
    }
  }
}

/// Layer normalisation of `x + residual` (Ba et al., 2016): `(v - mean) / sqrt(variance + epsilon) *
/// weight + bias` for every row `v`, with the biased variance, in two passes.
///
/// `x`, `residual` and `out` are `[rows, columns]` with a row stride each; `weight` and `bias` `[columns]`.
/// `out` may be `x` or `residual`.
@inline(never)
package func layerNormRows(
  _ rows: Int, _ columns: Int,
  _ x: UnsafePointer<Float>, _ xStride: Int,
  _ residual: UnsafePointer<Float>?, _ residualStride: Int,
  _ weight: UnsafePointer<Float>, _ bias: UnsafePointer<Float>, _ epsilon: Float,
  _ out: UnsafeMutablePointer<Float>, _ outStride: Int
) {
  let whole = columns & ~15
  let rest = columns &- whole
  for row in 0..<rows {
    let line = x + (row &* xStride)
    let result = out + (row &* outStride)
    // The sum with the residual is stored first: the later passes read it back.
    var total = Lanes()
    var column = 0
    while column < whole {
      var value = load(line + column)
      if let residual { value += load(residual + ((row &* residualStride) &+ column)) }
      store(value, result + column)
      total += value
      column = column &+ 16
    }
    if rest > 0 {
      var value = loadPartial(line + whole, rest, filler: 0)
      if let residual {
        value += loadPartial(residual + ((row &* residualStride) &+ whole), rest, filler: 0)
      }
      storePartial(value, result + whole, rest)
      total += value
    }
    let mean = sum(total) / Float(columns)
    let centre = Lanes(repeating: mean)
    var squares = Lanes()
    column = 0
    while column < whole {
      let difference = load(result + column) - centre
      squares = multiplyAdd(difference, difference, squares)
      column = column &+ 16
    }
    if rest > 0 {
      // The filler is the mean, so that lanes beyond the row add nothing.
      let difference = loadPartial(result + whole, rest, filler: mean) - centre
      squares = multiplyAdd(difference, difference, squares)
    }
    let variance = sum(squares) / Float(columns)
    // Rows whose squares are too great would become the bias and go unnoticed.
    let root = (variance + epsilon).squareRoot()
    let scale = Lanes(repeating: root < .infinity ? 1 / root : .nan)
    column = 0
    while column < whole {
      let value = (load(result + column) - centre) * scale
      store(multiplyAdd(value, load(weight + column), load(bias + column)), result + column)
      column = column &+ 16
    }
    if rest > 0 {
      let value = (loadPartial(result + whole, rest, filler: 0) - centre) * scale
      let scaled = multiplyAdd(
        value, loadPartial(weight + whole, rest, filler: 0), loadPartial(bias + whole, rest, filler: 0))
      storePartial(scaled, result + whole, rest)
    }
  }
}

/// Multiplies every row of a matrix by a number of its own.
///
/// `x` and `out` are `[rows, columns]` with a row stride each, `factors` is `[rows]`; `out` may be `x`.
@inline(never)
package func scaleRows(
  _ rows: Int, _ columns: Int, _ factors: UnsafePointer<Float>,
  _ x: UnsafePointer<Float>, _ xStride: Int,
  _ out: UnsafeMutablePointer<Float>, _ outStride: Int
) {
  for row in 0..<rows {
    let line = x + (row &* xStride)
    let result = out + (row &* outStride)
    let factor = Lanes(repeating: factors[row])
    var column = 0
    while column &+ 16 <= columns {
      store(load(line + column) * factor, result + column)
      column = column &+ 16
    }
    while column < columns {
      result[column] = line[column] * factors[row]
      column = column &+ 1
    }
  }
}

/// `out += x` over `count` floats.
@inline(never)
package func addInPlace(_ count: Int, _ x: UnsafePointer<Float>, _ out: UnsafeMutablePointer<Float>) {
  var index = 0
  while index &+ 16 <= count {
    store(load(out + index) + load(x + index), out + index)
    index = index &+ 16
  }
  while index < count {
    out[index] += x[index]
    index = index &+ 1
  }
}

/// The sum of `x[i] * y[i]` over `count` floats.
@inline(never)
package func dotProduct(_ count: Int, _ x: UnsafePointer<Float>, _ y: UnsafePointer<Float>) -> Float {
  var total = Lanes()
  var index = 0
  while index &+ 16 <= count {
    total = multiplyAdd(load(x + index), load(y + index), total)
    index = index &+ 16
  }
  if index < count {
    let rest = count &- index
    total = multiplyAdd(
      loadPartial(x + index, rest, filler: 0), loadPartial(y + index, rest, filler: 0), total)
  }
  return sum(total)
}
