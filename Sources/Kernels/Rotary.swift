/// Rotates the first `2 * half` values of every row by the angles of one position (Su et al., RoFormer,
/// 2021), pairing value `i` with value `i + half`.
///
/// - Parameters:
///   - rows: How many heads.
///   - half: Pairs of a head.
///   - x: The heads, changed in place.
///   - stride: Floats from one head to the next.
///   - cosines: `[half]`.
///   - sines: `[half]`.
@inline(never)
package func rotateRows(
  _ rows: Int, _ half: Int, _ x: UnsafeMutablePointer<Float>, _ stride: Int,
  _ cosines: UnsafePointer<Float>, _ sines: UnsafePointer<Float>
) {
  let whole = half & ~15
  let rest = half &- whole
  for row in 0..<rows {
    let first = x + (row &* stride)
    let second = first + half
    var pair = 0
    while pair < whole {
      let a = load(first + pair)
      let b = load(second + pair)
      let cosine = load(cosines + pair)
      let sine = load(sines + pair)
      store(multiplyAdd(-b, sine, a * cosine), first + pair)
      store(multiplyAdd(a, sine, b * cosine), second + pair)
      pair = pair &+ 16
    }
    if rest > 0 {
      let a = loadPartial(first + whole, rest, filler: 0)
      let b = loadPartial(second + whole, rest, filler: 0)
      let cosine = loadPartial(cosines + whole, rest, filler: 0)
      let sine = loadPartial(sines + whole, rest, filler: 0)
      storePartial(multiplyAdd(-b, sine, a * cosine), first + whole, rest)
      storePartial(multiplyAdd(a, sine, b * cosine), second + whole, rest)
    }
  }
}
