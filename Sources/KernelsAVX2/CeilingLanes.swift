#if arch(x86_64)
  import _Builtin_intrinsics.intel

  // Lanes are two registers: ten chains of floats. Of bytes, only the last addition waits for the one before it;
  // 5 sums, 5 rows, the weights, the ones and a product or two fit the 16 registers.
  @inline(__always) var floatChains: Int { 5 }
  @inline(__always) var byteChains: Int { 5 }
  @inline(__always) var readChains: Int { 4 }

  /// Thirty-two bytes.
  typealias ByteOperand = SIMD4<Int64>
  /// Eight sums.
  typealias ByteSums = SIMD4<Int64>
  /// Products of a step of one chain.
  @inline(__always) var byteProducts: Int { 32 }

  /// `sums + weights * row`, four products a sum: three instructions without VNNI.
  @inline(__always) func multiplyAddBytes(
    _ sums: ByteSums, _ weights: ByteOperand, _ row: ByteOperand
  ) -> ByteSums {
    let pairs = _mm256_maddubs_epi16(weights, row)
    return _mm256_add_epi32(sums, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))
  }
#endif
