/// Sixteen half-precision numbers as floats, by integer arithmetic: the baseline CPU has no instruction.
///
/// Without comparisons, which the baseline has only for signed lanes and which come out one lane at a time.
@inline(__always) func widen(_ halves: SIMD16<UInt16>) -> Lanes {
  let bits = extended(halves)
  let magnitude = (bits & 0x7FFF) &<< 13
  // 2^112 moves the exponent to its place, for subnormal numbers too.
  let scaled = unsafeBitCast(float(magnitude) * Lanes(repeating: 0x1p112), to: SIMD16<UInt32>.self)
  // All ones where the exponent is the highest: infinity or NaN in both formats.
  let isSpecial = unsafeBitCast(0x0F7F_FFFF &- magnitude, to: SIMD16<Int32>.self) &>> 31
  let special = unsafeBitCast(isSpecial, to: SIMD16<UInt32>.self) & 0x7F80_0000
  return float(scaled | special | ((bits & 0x8000) &<< 16))
}

@inline(__always) private func extended(_ halves: SIMD16<UInt16>) -> SIMD16<UInt32> {
  var bits = SIMD16<UInt32>()
  for lane in 0..<16 { bits[lane] = UInt32(halves[lane]) }
  return bits
}

/// Sixteen bfloat16 numbers, the upper halves of floats, as floats.
@inline(__always) func widenBFloat16(_ halves: SIMD16<UInt16>) -> Lanes { float(extended(halves) &<< 16) }

/// Sixteen floats in half precision, rounded to the nearest and ties to even.
@inline(__always) func narrow(_ x: Lanes) -> SIMD16<UInt16> {
  let bits = unsafeBitCast(x, to: SIMD16<UInt32>.self)
  let sign = (bits &>> 16) & 0x8000
  let magnitude = bits & 0x7FFF_FFFF
  // Normal results: rebias the exponent, and round by adding half of the last place, less one if even.
  let odd = (magnitude &>> 13) & 1
  var half = (magnitude &- 0x3800_0000 &+ 0xFFF &+ odd) &>> 13
  // Results below 2^-14: adding 0.5 leaves them, rounded, in the low bits of the sum.
  let small = unsafeBitCast(float(magnitude) + Lanes(repeating: 0.5), to: SIMD16<UInt32>.self)
  half.replace(with: small &- 0x3F00_0000, where: magnitude .< 0x3880_0000)
  half.replace(with: SIMD16(repeating: 0x7C00), where: magnitude .>= 0x4780_0000)
  half.replace(with: SIMD16(repeating: 0x7E00), where: magnitude .> 0x7F80_0000)
  let result = half | sign
  var halves = SIMD16<UInt16>()
  for lane in 0..<16 { halves[lane] = UInt16(truncatingIfNeeded: result[lane]) }
  return halves
}
