// Loads, stores and reductions of lanes, the same on every instruction set.

/// Sixteen floats from memory that need not be aligned.
@inline(__always) func load(_ source: UnsafePointer<Float>) -> Lanes {
  UnsafeRawPointer(source).loadUnaligned(as: Lanes.self)
}

/// Writes sixteen floats to memory that need not be aligned.
@inline(__always) func store(_ lanes: Lanes, _ destination: UnsafeMutablePointer<Float>) {
  UnsafeMutableRawPointer(destination).storeBytes(of: lanes, as: Lanes.self)
}

/// The first `count` (below 16) floats at `source`, the other lanes filled with `filler`.
@inline(__always) func loadPartial(
  _ source: UnsafePointer<Float>, _ count: Int, filler: Float
) -> Lanes {
  var lanes = Lanes(repeating: filler)
  for lane in 0..<count { lanes[lane] = source[lane] }
  return lanes
}

/// Writes the first `count` (below 16) lanes.
@inline(__always) func storePartial(
  _ lanes: Lanes, _ destination: UnsafeMutablePointer<Float>, _ count: Int
) {
  for lane in 0..<count { destination[lane] = lanes[lane] }
}

/// The sum of the lanes, added as a binary tree, so that its order is the same everywhere.
@inline(__always) func sum(_ lanes: Lanes) -> Float {
  let eight = lanes.lowHalf + lanes.highHalf
  let four = eight.lowHalf + eight.highHalf
  let two = four.lowHalf + four.highHalf
  return two[0] + two[1]
}
