@inline(__always) func silu(_ x: Lanes) -> Lanes {
  x / (Lanes(repeating: 1) + exponential(-x))
}

/// `gate = silu(gate) * up` with `silu(x) = x / (1 + e^-x)`: the middle of a SwiGLU feed-forward network
/// (Shazeer, 2020).
///
/// `gate` and `up` are `[rows, columns]` with the same row stride.
@inline(never)
package func swigluRows(
  _ rows: Int, _ columns: Int, _ gate: UnsafeMutablePointer<Float>, _ up: UnsafePointer<Float>,
  _ stride: Int
) {
  let whole = columns & ~15
  let rest = columns &- whole
  for row in 0..<rows {
    let left = gate + (row &* stride)
    let right = up + (row &* stride)
    var column = 0
    while column < whole {
      store(silu(load(left + column)) * load(right + column), left + column)
      column = column &+ 16
    }
    if rest > 0 {
      let value = silu(loadPartial(left + whole, rest, filler: 0))
      storePartial(value * loadPartial(right + whole, rest, filler: 0), left + whole, rest)
    }
  }
}
