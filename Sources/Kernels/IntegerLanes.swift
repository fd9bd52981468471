// The primitives of the quantised products that differ between instruction sets; the AVX2 and AVX-512 targets
// have their own. This is the portable set, which is the oracle of the others.

@inline(__always) var quantizedTileRows: Int { 3 }
@inline(__always) var quantizedTilePanels: Int { 1 }
/// Rows that pass by packed weights together.
@inline(__always) var quantizedVectorRows: Int { 3 }

/// What is added to 8-bit codes to store them without a sign.
@inline(__always) var wideBias: Int32 { 128 }

/// 8-bit codes as `multiplyAddWide` takes them.
@inline(__always) func nativeWide(_ codes: Codes) -> Codes { codes }

/// Sums of products of codes on their way.
typealias PartialSums = IntegerLanes

/// How many vectors of codes up to a greatest one `PartialSums` can take.
@inline(__always) func vectorsPerPartialSum(_ maximumCode: Int) -> Int { 8 }

/// Partial sums that go on from `sums`.
@inline(__always) func partialSums(_ sums: IntegerLanes) -> PartialSums { sums }

/// The sums with what was added to partial sums.
@inline(__always) func completeSums(_ sums: IntegerLanes, _ partial: PartialSums, isWide: Bool)
  -> IntegerLanes
{
  partial
}

/// For each of 16 outputs, 4 codes times the 4 signed bytes of a word, added.
@inline(__always) func multiplyAdd(_ partial: PartialSums, _ w: Codes, _ a: UInt32, isWide: Bool)
  -> PartialSums
{
  let bytes = unsafeBitCast(a, to: SIMD4<Int8>.self)
  var result = partial
  for byte in 0..<4 {
    let code = unsafeBitCast((w &>> UInt32(truncatingIfNeeded: byte &* 8)) & 0xFF, to: IntegerLanes.self)
    result = result &+ code &* IntegerLanes(repeating: Int32(bytes[byte]))
  }
  return result
}

/// Every byte, 0 to 15, replaced by the table's entry of that index.
@inline(__always) func lookUp(_ codes: Codes, _ table: CodeTable) -> Codes {
  let indices = unsafeBitCast(codes, to: SIMD64<UInt8>.self)
  var values = SIMD64<UInt8>()
  for index in 0..<64 { values[index] = table[Int(indices[index] & 15)] }
  return unsafeBitCast(values, to: Codes.self)
}

/// What integer sums start from beside their bias. Other instruction sets have one with which the sums' bits are
/// floats.
@inline(__always) package var sumOffset: Int32 { 0 }

/// What `scaled` adds.
@inline(__always) func sumCorrection(_ scale: Lanes) -> Lanes { Lanes() }

/// `(sums - sumOffset) * scale`, rounded once.
@inline(__always) func scaled(_ sums: IntegerLanes, _ scale: Lanes, _ correction: Lanes) -> Lanes {
  floats(sums) * scale
}

/// Integers as floats.
@inline(__always) func floats(_ integers: IntegerLanes) -> Lanes {
  var result = Lanes()
  for lane in 0..<16 { result[lane] = Float(integers[lane]) }
  return result
}

/// Bytes without a sign as floats.
@inline(__always) func floats(_ bytes: SIMD16<UInt8>) -> Lanes {
  var result = Lanes()
  for lane in 0..<16 { result[lane] = Float(bytes[lane]) }
  return result
}

/// Signed bytes as floats.
@inline(__always) func floats(_ bytes: SIMD16<Int8>) -> Lanes {
  var result = Lanes()
  for lane in 0..<16 { result[lane] = Float(bytes[lane]) }
  return result
}

/// The low bytes of integers.
@inline(__always) func lowBytes(_ integers: IntegerLanes) -> SIMD16<UInt8> {
  var bytes = SIMD16<UInt8>()
  for lane in 0..<16 { bytes[lane] = UInt8(truncatingIfNeeded: integers[lane]) }
  return bytes
}

@inline(__always) private func lowByte(_ codes: Codes) -> SIMD16<UInt8> {
  lowBytes(unsafeBitCast(codes & 0xFF, to: IntegerLanes.self))
}

/// The low bytes of integers from 0 to `greatestWeightCode`, whose other bits don't matter.
@inline(__always) func lowBytes(_ a: Codes, _ b: Codes, _ c: Codes, _ d: Codes) -> Codes {
  return unsafeBitCast(
    SIMD64(
      lowHalf: SIMD32(lowHalf: lowByte(a), highHalf: lowByte(b)),
      highHalf: SIMD32(lowHalf: lowByte(c), highHalf: lowByte(d))),
    to: Codes.self)
}

/// Four vectors of 16 positions and 4 features each, as four of 16 features and 4 positions each.
@inline(__always) func transposed(_ a: Codes, _ b: Codes, _ c: Codes, _ d: Codes) -> (
  Codes, Codes, Codes, Codes
) {
  // Four by four bytes in each 128-bit lane, then four by four lanes.
  let (a, b) = (bytesTransposed(a), bytesTransposed(b))
  let (c, d) = (bytesTransposed(c), bytesTransposed(d))
  return (
    Codes(
      lowHalf: SIMD8(lowHalf: a.lowHalf.lowHalf, highHalf: b.lowHalf.lowHalf),
      highHalf: SIMD8(lowHalf: c.lowHalf.lowHalf, highHalf: d.lowHalf.lowHalf)),
    Codes(
      lowHalf: SIMD8(lowHalf: a.lowHalf.highHalf, highHalf: b.lowHalf.highHalf),
      highHalf: SIMD8(lowHalf: c.lowHalf.highHalf, highHalf: d.lowHalf.highHalf)),
    Codes(
      lowHalf: SIMD8(lowHalf: a.highHalf.lowHalf, highHalf: b.highHalf.lowHalf),
      highHalf: SIMD8(lowHalf: c.highHalf.lowHalf, highHalf: d.highHalf.lowHalf)),
    Codes(
      lowHalf: SIMD8(lowHalf: a.highHalf.highHalf, highHalf: b.highHalf.highHalf),
      highHalf: SIMD8(lowHalf: c.highHalf.highHalf, highHalf: d.highHalf.highHalf))
  )
}

/// Four by four bytes of every 128-bit lane with rows and columns exchanged.
@inline(__always) private func bytesTransposed(_ codes: Codes) -> Codes {
  let bytes = unsafeBitCast(codes, to: SIMD64<UInt8>.self)
  var result = SIMD64<UInt8>()
  for index in 0..<64 {
    result[index] = bytes[index & 48 | (index & 3) &<< 2 | (index &>> 2) & 3]
  }
  return unsafeBitCast(result, to: Codes.self)
}

/// Whether powers of two need exponents of at least -127.
@inline(__always) var limitsExponents: Bool { true }

/// `x * 2^exponent` for an integer; `shifted` is the same integer in its low bits.
@inline(__always) func timesPowerOfTwo(_ x: Lanes, _ exponent: Lanes, _ shifted: Lanes) -> Lanes {
  // At -127 the sum of exponents is zero, and x is 1: the result is 0 to the bit.
  let bits = unsafeBitCast(shifted, to: SIMD16<UInt32>.self) &<< 23
  return unsafeBitCast(unsafeBitCast(x, to: SIMD16<UInt32>.self) &+ bits, to: Lanes.self)
}

/// Bytes without a sign as integers.
@inline(__always) func integers(_ bytes: SIMD16<UInt8>) -> IntegerLanes {
  var result = IntegerLanes()
  for lane in 0..<16 { result[lane] = Int32(bytes[lane]) }
  return result
}

/// The greatest of 16 integers.
@inline(__always) func greatest(_ lanes: SIMD16<UInt32>) -> UInt32 {
  var result: UInt32 = 0
  for lane in 0..<16 { result = max(result, lanes[lane]) }
  return result
}

/// The greater of two magnitudes, which are not negative as integers.
@inline(__always) func greater(_ a: SIMD16<UInt32>, _ b: SIMD16<UInt32>) -> SIMD16<UInt32> {
  var result = a
  for lane in 0..<16 { result[lane] = max(a[lane], b[lane]) }
  return result
}

/// The greater of two floats; which one it is if one is NaN is left open.
@inline(__always) func greater(_ a: Lanes, _ b: Lanes) -> Lanes {
  var result = a
  for lane in 0..<16 { result[lane] = a[lane] > b[lane] ? a[lane] : b[lane] }
  return result
}

/// The greatest of sixteen floats.
@inline(__always) func greatest(_ lanes: Lanes) -> Float {
  var result = lanes[0]
  for lane in 1..<16 { result = lanes[lane] > result ? lanes[lane] : result }
  return result
}

/// The greatest code of an attention's weight.
@inline(__always) var greatestWeightCode: Float { 255 }

/// For each of 16 outputs, 4 signed codes times the 4 bytes without a sign of a word, added.
@inline(__always) func addWeighted(_ sums: IntegerLanes, _ values: Codes, _ word: UInt32) -> IntegerLanes {
  let weights = unsafeBitCast(word, to: SIMD4<UInt8>.self)
  let signed = unsafeBitCast(values, to: IntegerLanes.self)
  var result = sums
  for byte in 0..<4 {
    let code = (signed &<< Int32(24 &- 8 &* byte)) &>> 24
    result = result &+ code &* IntegerLanes(repeating: Int32(weights[byte]))
  }
  return result
}
