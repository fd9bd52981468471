#if arch(x86_64)
  import _Builtin_intrinsics.intel

  /// Sixteen half-precision numbers as floats.
  @inline(__always) func widen(_ halves: SIMD16<UInt16>) -> Lanes {
    Lanes(
      lowHalf: _mm256_cvtph_ps(unsafeBitCast(halves.lowHalf, to: SIMD2<Int64>.self)),
      highHalf: _mm256_cvtph_ps(unsafeBitCast(halves.highHalf, to: SIMD2<Int64>.self)))
  }
#endif
