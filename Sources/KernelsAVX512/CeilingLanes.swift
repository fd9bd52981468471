#if arch(x86_64)
  import _Builtin_intrinsics.intel

  // Two units of four or five cycles take ten chains; 12 sums, 12 rows and one vector of weights fit the 32
  // registers.
  @inline(__always) var floatChains: Int { 12 }
  @inline(__always) var byteChains: Int { 12 }
  @inline(__always) var readChains: Int { 8 }

  /// Sixty-four bytes.
  typealias ByteOperand = SIMD8<Int64>
  /// Sixteen sums.
  typealias ByteSums = SIMD8<Int64>
  /// Products of a step of one chain.
  @inline(__always) var byteProducts: Int { 64 }

  /// `sums + weights * row`, four products a sum: one instruction (VNNI).
  @inline(__always) func multiplyAddBytes(
    _ sums: ByteSums, _ weights: ByteOperand, _ row: ByteOperand
  ) -> ByteSums {
    _mm512_dpbusd_epi32(sums, weights, row)
  }
#endif
