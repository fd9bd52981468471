/// RMS normalisation (Zhang and Sennrich, 2019) with an optional addition before it: `x += addend`, then
/// `out = weight * (x / sqrt(mean(x^2) + epsilon))` for every row.
///
/// `x`, `addend` and `out` are `[rows, columns]` with a row stride each; `weight` is `[columns]`. `x` is
/// written only if there is an addend; `out` may be `x` or `addend`.
@inline(never)
package func rmsNormRows(
  _ rows: Int, _ columns: Int,
  _ x: UnsafeMutablePointer<Float>, _ xStride: Int,
  _ addend: UnsafePointer<Float>?, _ addendStride: Int,
  _ weight: UnsafePointer<Float>, _ epsilon: Float,
  _ out: UnsafeMutablePointer<Float>, _ outStride: Int
) {
  let whole = columns & ~15
  let rest = columns &- whole
  for row in 0..<rows {
    let line = x + (row &* xStride)
    let result = out + (row &* outStride)
    if let addend {
      addInPlace(columns, addend + (row &* addendStride), line)
    }
    var squares = Lanes()
    var column = 0
    while column < whole {
      let value = load(line + column)
      squares = multiplyAdd(value, value, squares)
      column = column &+ 16
    }
    if rest > 0 {
      let value = loadPartial(line + whole, rest, filler: 0)
      squares = multiplyAdd(value, value, squares)
    }
    let mean = sum(squares) / Float(columns)
    // Rows whose squares are too great would become zeros and go unnoticed.
    let root = (mean + epsilon).squareRoot()
    let scale = Lanes(repeating: root < .infinity ? 1 / root : .nan)
    column = 0
    while column < whole {
      store(load(weight + column) * (load(line + column) * scale), result + column)
      column = column &+ 16
    }
    if rest > 0 {
      let value = loadPartial(line + whole, rest, filler: 0) * scale
      storePartial(loadPartial(weight + whole, rest, filler: 0) * value, result + whole, rest)
    }
  }
}

/// True if all of `count` floats are finite.
@inline(never)
package func allFinite(_ count: Int, _ x: UnsafePointer<Float>) -> Bool {
  // A finite number times zero is zero; an infinity or a NaN leaves a NaN.
  var poison = Lanes()
  let zero = Lanes()
  var index = 0
  while index &+ 16 <= count {
    poison = multiplyAdd(load(x + index), zero, poison)
    index = index &+ 16
  }
  if index < count {
    poison = multiplyAdd(loadPartial(x + index, count &- index, filler: 0), zero, poison)
  }
  return sum(poison) == 0
}
