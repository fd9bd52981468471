/// One step of a running softmax over a chunk of keys, for `16 * panels` queries side by side (the online
/// form of Milakov and Gimelshein, 2018, as FlashAttention uses it).
///
/// Scores lie with the queries in the lanes, so every query's maximum and sum is a vertical operation: a
/// query's result doesn't depend on its neighbours.
///
/// - Parameters:
///   - keys: How many keys the chunk has.
///   - panels: How many panels of 16 queries.
///   - scores: `[keys, 16 * panels]`; replaced by `e^(scale * score - new maximum)`.
///   - scale: What scores are multiplied by, positive.
///   - maximum: `[16 * panels]`, the running maximum of the scaled scores; -infinity before the first chunk.
///   - total: `[16 * panels]`, the running sum of the exponentials; 0 before the first chunk.
///   - correction: `[16 * panels]`, what earlier output must be multiplied by.
@inline(never)
package func softmaxChunk(
  _ keys: Int, _ panels: Int, _ scores: UnsafeMutablePointer<Float>, _ scale: Float,
  _ maximum: UnsafeMutablePointer<Float>, _ total: UnsafeMutablePointer<Float>,
  _ correction: UnsafeMutablePointer<Float>
) {
  let width = panels &* 16
  let factor = Lanes(repeating: scale)
  for panel in 0..<panels {
    let column = scores + (panel &* 16)
    let before = load(maximum + (panel &* 16))
    var largest = before
    for key in 0..<keys {
      let score = load(column + (key &* width)) * factor
      largest.replace(with: score, where: score .> largest)
      // A NaN must not vanish in the comparison: it has to reach the output, where it is reported.
      largest.replace(with: score, where: score .!= score)
    }
    // Where every score so far is -infinity there is nothing to subtract.
    let offset = largest.replacing(with: Lanes(), where: largest .== Lanes(repeating: -.infinity))
    var sum = Lanes()
    for key in 0..<keys {
      let place = column + (key &* width)
      let weight = exponential(multiplyAdd(load(place), factor, -offset))
      store(weight, place)
      sum += weight
    }
    let rescale = exponential(before - offset)
    store(largest, maximum + (panel &* 16))
    store(multiplyAdd(load(total + (panel &* 16)), rescale, sum), total + (panel &* 16))
    store(rescale, correction + (panel &* 16))
  }
}
