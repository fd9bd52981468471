#if arch(x86_64)
  import _Builtin_intrinsics.intel

  /// Sixteen half-precision numbers as floats.
  @inline(__always) func widen(_ halves: SIMD16<UInt16>) -> Lanes {
    _mm512_cvtph_ps(unsafeBitCast(halves, to: SIMD4<Int64>.self))
  }

  /// Sixteen bfloat16 numbers, the upper halves of floats, as floats.
  @inline(__always) func widenBFloat16(_ halves: SIMD16<UInt16>) -> Lanes {
    let words = _mm512_cvtepu16_epi32(unsafeBitCast(halves, to: SIMD4<Int64>.self))
    return unsafeBitCast(unsafeBitCast(words, to: SIMD16<UInt32>.self) &<< 16, to: Lanes.self)
  }
#endif
