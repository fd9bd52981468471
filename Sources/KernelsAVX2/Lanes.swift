#if arch(x86_64)
  import _Builtin_intrinsics.intel

  /// Sixteen floats: two AVX2 registers.
  package typealias Lanes = SIMD16<Float>

  // 6 rows x 2 registers of sums + 2 of weights + 1 broadcast: 15 of the 16 registers. 2 rows x 2 panels and
  // 1 row x 4 panels take 13 and 11.
  @inline(__always) var rowsOfOnePanel: Int { 6 }
  @inline(__always) var rowsOfTwoPanels: Int { 2 }
  @inline(__always) var rowsOfFourPanels: Int { 1 }

  /// `a * b + c`, rounded once.
  @inline(__always) func multiplyAdd(_ a: Lanes, _ b: Lanes, _ c: Lanes) -> Lanes {
    Lanes(
      lowHalf: _mm256_fmadd_ps(a.lowHalf, b.lowHalf, c.lowHalf),
      highHalf: _mm256_fmadd_ps(a.highHalf, b.highHalf, c.highHalf))
  }
#endif
