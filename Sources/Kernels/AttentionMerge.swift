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
    let before = load(maximum + first)
    let new = load(chunkMaximum + first)
    var largest = before
    largest.replace(with: new, where: new .> before)
    largest.replace(with: new, where: new .!= new)
    // Where neither has seen a key there is nothing to subtract.
    let offset = largest.replacing(with: Lanes(), where: largest .== Lanes(repeating: -.infinity))
    let keep = exponential(before - offset)
    let take = exponential(new - offset)
    store(largest, maximum + first)
    store(multiplyAdd(load(chunkTotal + first), take, load(total + first) * keep), total + first)
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
