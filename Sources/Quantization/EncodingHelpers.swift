/// The value of greatest magnitude, the first of several; 0 if there is none but zeros and NaN.
@inline(__always)
func extremeValue(_ values: UnsafePointer<Float>, count: Int) -> Float {
  var extreme: Float = 0
  for index in 0..<count where extreme.magnitude < values[index].magnitude {
    extreme = values[index]
  }
  return extreme
}

/// The least and the greatest value, NaN ignored unless it comes first.
@inline(__always)
func extent(_ values: UnsafePointer<Float>, count: Int) -> (minimum: Float, maximum: Float) {
  var minimum = values[0]
  var maximum = values[0]
  for index in 1..<count {
    let value = values[index]
    if value < minimum { minimum = value }
    if value > maximum { maximum = value }
  }
  return (minimum, maximum)
}

/// The integer part of a value, brought into `0...limit`; 0 for NaN.
@inline(__always)
func truncated(_ value: Float, limit: UInt8) -> UInt8 {
  let limit = Float(limit)
  return UInt8(value > 0 ? (value < limit ? value : limit) : 0)
}
