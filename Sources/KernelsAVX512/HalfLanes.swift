#if arch(x86_64)
  import _Builtin_intrinsics.intel

  /// Sixteen half-precision numbers as floats.
  @inline(__always) func widen(_ halves: SIMD16<UInt16>) -> Lanes {
    _mm512_cvtph_ps(unsafeBitCast(halves, to: SIMD4<Int64>.self))
  }
#endif
