#if arch(x86_64)
  import _Builtin_intrinsics.intel

  /// Sixteen floats: one AVX-512 register.
  package typealias Lanes = SIMD16<Float>

  // 12 rows x 2 registers of sums + 2 of weights + 1 broadcast: 27 of the 32 registers. With 14 rows the
  // compiler spills.
  @inline(__always) var rowsOfOnePanel: Int { 12 }
  @inline(__always) var rowsOfTwoPanels: Int { 12 }
  @inline(__always) var rowsOfFourPanels: Int { 3 }

  /// `a * b + c`, rounded once.
  @inline(__always) func multiplyAdd(_ a: Lanes, _ b: Lanes, _ c: Lanes) -> Lanes {
    _mm512_fmadd_ps(a, b, c)
  }
#endif
