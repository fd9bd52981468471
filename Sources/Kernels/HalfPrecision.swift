/// Rounds `count` floats to IEEE half precision, to the nearest and ties to even; what is too large becomes
/// an infinity.
@inline(never)
package func roundToHalf(
  _ count: Int, _ x: UnsafePointer<Float>, _ out: UnsafeMutablePointer<UInt16>
) {
  var index = 0
  while index &+ 16 <= count {
    UnsafeMutableRawPointer(out + index).storeBytes(of: narrow(load(x + index)), as: SIMD16<UInt16>.self)
    index = index &+ 16
  }
  if index < count {
    let bits = narrow(loadPartial(x + index, count &- index, filler: 0))
    for lane in 0..<(count &- index) { out[index &+ lane] = bits[lane] }
  }
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
