/// Rounds `count` floats to IEEE half precision, to the nearest and ties to even; what is too large becomes
/// an infinity.
@inline(never)
package func roundToHalf(
  _ count: Int, _ x: UnsafePointer<Float>, _ out: UnsafeMutablePointer<UInt16>
) {
  var index = 0
  while index < count {
    let rest = min(16, count &- index)
    let lanes = rest == 16 ? load(x + index) : loadPartial(x + index, rest, filler: 0)
    let bits = halfBits(lanes)
    for lane in 0..<rest { out[index &+ lane] = UInt16(truncatingIfNeeded: bits[lane]) }
    index = index &+ 16
  }
}

/// The half-precision patterns of a vector, in the low halves of 32-bit lanes.
@inline(__always) func halfBits(_ x: Lanes) -> SIMD16<UInt32> {
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
  return half | sign
}

/// The floats of `count` half-precision numbers, exactly.
@inline(never)
package func widenHalf(
  _ count: Int, _ x: UnsafePointer<UInt16>, _ out: UnsafeMutablePointer<Float>
) {
  var index = 0
  while index &+ 16 <= count {
    store(widen(UnsafeRawPointer(x + index).loadUnaligned(as: SIMD16<UInt16>.self)), out + index)
    index = index &+ 16
  }
  if index < count {
    var bits = SIMD16<UInt16>()
    for lane in 0..<(count &- index) { bits[lane] = x[index &+ lane] }
    storePartial(widen(bits), out + index, count &- index)
  }
}
