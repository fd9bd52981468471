/// Sixteen half-precision numbers as floats, by integer arithmetic: the baseline CPU has no instruction.
@inline(__always) func widen(_ halves: SIMD16<UInt16>) -> Lanes {
  var bits = SIMD16<UInt32>()
  for lane in 0..<16 { bits[lane] = UInt32(halves[lane]) }
  let magnitude = (bits & 0x7FFF) &<< 13
  // 2^112 moves the exponent to its place, for subnormal numbers too.
  let scaled = unsafeBitCast(float(magnitude) * Lanes(repeating: 0x1p112), to: SIMD16<UInt32>.self)
  let value = scaled.replacing(with: magnitude | 0x7F80_0000, where: magnitude .>= 0x0F80_0000)
  return float(value | ((bits & 0x8000) &<< 16))
}

/// Sixteen bfloat16 numbers, the upper halves of floats, as floats.
@inline(__always) func widenBFloat16(_ halves: SIMD16<UInt16>) -> Lanes {
  var bits = SIMD16<UInt32>()
  for lane in 0..<16 { bits[lane] = UInt32(halves[lane]) }
  return float(bits &<< 16)
}
