#if arch(x86_64)
  import _Builtin_intrinsics.intel
#endif

// Lanes are four registers of the baseline CPU, which has 16 of them on x86-64 and 32 on arm64.
@inline(__always) var floatChains: Int { 3 }
@inline(__always) var byteChains: Int { 5 }
@inline(__always) var readChains: Int { 2 }

/// Eight bytes, widened: the baseline of x86-64 multiplies nothing shorter than 16 bits.
typealias ByteOperand = SIMD8<Int16>
/// Four sums.
typealias ByteSums = SIMD4<Int32>
/// Products of a step of one chain.
@inline(__always) var byteProducts: Int { 8 }

/// `sums + weights * row`, two products a sum.
@inline(__always) func multiplyAddBytes(
  _ sums: ByteSums, _ weights: ByteOperand, _ row: ByteOperand
) -> ByteSums {
  #if arch(x86_64)
    // The compiler doesn't find this instruction of SSE2 for the form below.
    let products = _mm_madd_epi16(
      unsafeBitCast(weights, to: SIMD2<Int64>.self), unsafeBitCast(row, to: SIMD2<Int64>.self))
    return sums &+ unsafeBitCast(products, to: ByteSums.self)
  #else
    let low = ByteSums(truncatingIfNeeded: weights.lowHalf) &* ByteSums(truncatingIfNeeded: row.lowHalf)
    let high = ByteSums(truncatingIfNeeded: weights.highHalf) &* ByteSums(truncatingIfNeeded: row.highHalf)
    return sums &+ low &+ high
  #endif
}
