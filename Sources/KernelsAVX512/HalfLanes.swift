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

  /// Sixteen floats in half precision, rounded to the nearest and ties to even.
  ///
  /// The instruction's intrinsic is a macro in C; the compiler finds it behind `Float16`.
  @inline(__always) func narrow(_ x: Lanes) -> SIMD16<UInt16> {
    var halves = SIMD16<Float16>()
    for lane in 0..<16 { halves[lane] = Float16(x[lane]) }
    return unsafeBitCast(halves, to: SIMD16<UInt16>.self)
  }
#endif
