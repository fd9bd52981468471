/// Adds one chunk of keys to a running attention: (maximum, total, output) of the chunk, each taken with
/// the chunk's own maximum, to those of the chunks before it.
///
/// This is the one formula by which chunks meet, whether they were computed one after the other or side by
/// side. A chunk without a visible key (maximum -infinity, total and output 0) changes nothing, to the bit.
///
/// - Parameters:
///   - queries: How many queries; the arrays of maxima and totals have room for whole vectors of 16.
///   - columns: Features of an output row.
///   - chunkMaximum: The largest scaled score of each query in the chunk.
///   - chunkTotal: The sum of the exponentials.
///   - chunkOutput: `[queries, columns]`, values weighted by the exponentials.
///   - chunkStride: Floats from row to row of it.
///   - maximum: The running maximum; -infinity before the first chunk.
///   - total: The running sum; 0 before the first chunk.
///   - output: `[queries, columns]`, the running output; 0 before the first chunk.
///   - stride: Floats from row to row of it.
@inline(never)
package func mergeAttention(
  _ queries: Int, _ columns: Int,
  _ chunkMaximum: UnsafePointer<Float>, _ chunkTotal: UnsafePointer<Float>,
  _ chunkOutput: UnsafePointer<Float>, _ chunkStride: Int,
  _ maximum: UnsafeMutablePointer<Float>, _ total: UnsafeMutablePointer<Float>,
  _ output: UnsafeMutablePointer<Float>, _ stride: Int
) {
  var first = 0
  while first < queries {
    let factors = mergedState(
      load(chunkMaximum + first), load(chunkTotal + first), maximum + first, total + first)
    let keep = factors.keep
    let take = factors.take
    let count = min(16, queries &- first)
    for lane in 0..<count {
      let row = output + ((first &+ lane) &* stride)
      let chunk = chunkOutput + ((first &+ lane) &* chunkStride)
      let kept = Lanes(repeating: keep[lane])
      let taken = Lanes(repeating: take[lane])
      var column = 0
      while column &+ 16 <= columns {
        store(multiplyAdd(load(chunk + column), taken, load(row + column) * kept), row + column)
        column = column &+ 16
      }
      if column < columns {
        let rest = columns &- column
        let value = loadPartial(row + column, rest, filler: 0) * kept
        storePartial(
          multiplyAdd(loadPartial(chunk + column, rest, filler: 0), taken, value), row + column, rest)
      }
    }
    first = first &+ 16
  }
}

/// The maximum and the total of 16 queries with those of another chunk, and what output so far and the chunk's output
/// are multiplied by.
@inline(__always)
private func mergedState(
  _ new: Lanes, _ chunkTotal: Lanes, _ maximum: UnsafeMutablePointer<Float>,
  _ total: UnsafeMutablePointer<Float>
) -> (keep: Lanes, take: Lanes) {
  let before = load(maximum)
  var largest = before
  largest.replace(with: new, where: new .> before)
  largest.replace(with: new, where: new .!= new)
  // Where neither has seen a key there is nothing to subtract.
  let offset = largest.replacing(with: Lanes(), where: largest .== Lanes(repeating: -.infinity))
  let keep = exponential(before - offset)
  let take = exponential(new - offset)
  store(largest, maximum)
  store(multiplyAdd(chunkTotal, take, load(total) * keep), total)
  return (keep, take)
}

/// The part of `mergeAttention` that is done once a query, for whoever merges outputs itself.
///
/// - Parameters:
///   - queries: How many queries; all arrays have room for whole vectors of 16.
///   - chunkMaximum: The largest scaled score of each query in the chunk.
///   - chunkTotal: The sum of the exponentials.
///   - maximum: The running maximum.
///   - total: The running sum.
///   - keep: What the running output is to be multiplied by.
///   - take: What the chunk's output is to be multiplied by.
@inline(never)
package func attentionFactors(
  _ queries: Int, _ chunkMaximum: UnsafePointer<Float>, _ chunkTotal: UnsafePointer<Float>,
  _ maximum: UnsafeMutablePointer<Float>, _ total: UnsafeMutablePointer<Float>,
  _ keep: UnsafeMutablePointer<Float>, _ take: UnsafeMutablePointer<Float>
) {
  var first = 0
  while first < queries {
    let factors = mergedState(
      load(chunkMaximum + first), load(chunkTotal + first), maximum + first, total + first)
    store(factors.keep, keep + first)
    store(factors.take, take + first)
    first = first &+ 16
  }
}
