#if arch(x86_64)
  import _Builtin_intrinsics.intel

  // 6 rows x 2 panels of integer sums and as many of floats, 2 of codes, 1 broadcast: 27 of 32 registers.
  @inline(__always) var quantizedTileRows: Int { 6 }
  @inline(__always) var quantizedTilePanels: Int { 2 }
  /// Rows that pass by packed weights together.
  @inline(__always) var quantizedVectorRows: Int { 4 }

  /// What is added to 8-bit codes to store them without a sign: VNNI multiplies unsigned by signed bytes.
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
    unsafeBitCast(
      _mm512_dpbusd_epi32(
        unsafeBitCast(partial, to: SIMD8<Int64>.self), unsafeBitCast(w, to: SIMD8<Int64>.self),
        unsafeBitCast(Codes(repeating: a), to: SIMD8<Int64>.self)), to: IntegerLanes.self)
  }

  /// Every byte, 0 to 15, replaced by the table's entry of that index.
  @inline(__always) func lookUp(_ codes: Codes, _ table: CodeTable) -> Codes {
    let word = unsafeBitCast(table, to: SIMD2<Int64>.self)
    let repeated = SIMD8<Int64>(word[0], word[1], word[0], word[1], word[0], word[1], word[0], word[1])
    return unsafeBitCast(
      _mm512_shuffle_epi8(repeated, unsafeBitCast(codes, to: SIMD8<Int64>.self)), to: Codes.self)
  }

  /// What integer sums start from beside their bias: the bits of 1.5 * 2^23, so that those of a sum below 2^22 are a
  /// float that is greater by as much, and needs no conversion.
  @inline(__always) package var sumOffset: Int32 { 0x4B40_0000 }

  /// What `scaled` adds.
  @inline(__always) func sumCorrection(_ scale: Lanes) -> Lanes { scale * Lanes(repeating: -12_582_912) }

  /// `(sums - sumOffset) * scale`, rounded once: 3 * 2^22 times a scale of up to 22 significant bits is a float.
  @inline(__always) func scaled(_ sums: IntegerLanes, _ scale: Lanes, _ correction: Lanes) -> Lanes {
    multiplyAdd(unsafeBitCast(sums, to: Lanes.self), scale, correction)
  }

  /// Integers as floats.
  @inline(__always) func floats(_ integers: IntegerLanes) -> Lanes {
    _mm512_cvtepi32_ps(unsafeBitCast(integers, to: SIMD8<Int64>.self))
  }

  /// Bytes without a sign as floats.
  @inline(__always) func floats(_ bytes: SIMD16<UInt8>) -> Lanes {
    _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(unsafeBitCast(bytes, to: SIMD2<Int64>.self)))
  }

  /// Signed bytes as floats.
  @inline(__always) func floats(_ bytes: SIMD16<Int8>) -> Lanes {
    _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(unsafeBitCast(bytes, to: SIMD2<Int64>.self)))
  }

  /// The low bytes of integers.
  @inline(__always) func lowBytes(_ integers: IntegerLanes) -> SIMD16<UInt8> {
    unsafeBitCast(
      _mm512_cvtepi32_epi8(unsafeBitCast(integers, to: SIMD8<Int64>.self)), to: SIMD16<UInt8>.self)
  }

  @inline(__always) private func lowByte(_ codes: Codes) -> SIMD8<Int64> {
    unsafeBitCast(codes & 0xFF, to: SIMD8<Int64>.self)
  }

  /// The low bytes of integers from 0 to `greatestWeightCode`, whose other bits don't matter.
  @inline(__always) func lowBytes(_ a: Codes, _ b: Codes, _ c: Codes, _ d: Codes) -> Codes {
    let packed = _mm512_packus_epi16(
      _mm512_packus_epi32(lowByte(a), lowByte(b)), _mm512_packus_epi32(lowByte(c), lowByte(d)))
    // Packing works on the four 128-bit lanes apart.
    let order = SIMD16<Int32>(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15)
    return unsafeBitCast(
      _mm512_permutexvar_epi32(unsafeBitCast(order, to: SIMD8<Int64>.self), packed), to: Codes.self)
  }

  /// Four vectors of 16 positions and 4 features each, as four of 16 features and 4 positions each.
  @inline(__always) func transposed(_ a: Codes, _ b: Codes, _ c: Codes, _ d: Codes) -> (
    Codes, Codes, Codes, Codes
  ) {
    // Four by four bytes in each 128-bit lane, then four by four lanes.
    let table = CodeTable(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15)
    let (a, b) = (shuffled(a, table), shuffled(b, table))
    let (c, d) = (shuffled(c, table), shuffled(d, table))
    let low = SIMD8<Int64>(0, 1, 8, 9, 2, 3, 10, 11)
    let high = SIMD8<Int64>(4, 5, 12, 13, 6, 7, 14, 15)
    let first = SIMD8<Int64>(0, 1, 2, 3, 8, 9, 10, 11)
    let second = SIMD8<Int64>(4, 5, 6, 7, 12, 13, 14, 15)
    let lowAB = joined(a, low, b)
    let highAB = joined(a, high, b)
    let lowCD = joined(c, low, d)
    let highCD = joined(c, high, d)
    return (
      joined(lowAB, first, lowCD), joined(lowAB, second, lowCD), joined(highAB, first, highCD),
      joined(highAB, second, highCD)
    )
  }

  /// The bytes of every 128-bit lane in another order.
  @inline(__always) private func shuffled(_ codes: Codes, _ order: CodeTable) -> Codes {
    let word = unsafeBitCast(order, to: SIMD2<Int64>.self)
    let repeated = SIMD8<Int64>(word[0], word[1], word[0], word[1], word[0], word[1], word[0], word[1])
    return unsafeBitCast(
      _mm512_shuffle_epi8(unsafeBitCast(codes, to: SIMD8<Int64>.self), repeated), to: Codes.self)
  }

  /// Some of the 64-bit words of two vectors.
  @inline(__always) private func joined(_ a: Codes, _ indices: SIMD8<Int64>, _ b: Codes) -> Codes {
    unsafeBitCast(
      _mm512_permutex2var_epi64(
        unsafeBitCast(a, to: SIMD8<Int64>.self), indices, unsafeBitCast(b, to: SIMD8<Int64>.self)),
      to: Codes.self)
  }

  /// Whether powers of two need exponents of at least -127.
  @inline(__always) var limitsExponents: Bool { false }

  /// `x * 2^exponent` for an integer; `shifted` is the same integer in its low bits.
  @inline(__always) func timesPowerOfTwo(_ x: Lanes, _ exponent: Lanes, _ shifted: Lanes) -> Lanes {
    _mm512_scalef_ps(x, exponent)
  }

  /// Bytes without a sign as integers.
  @inline(__always) func integers(_ bytes: SIMD16<UInt8>) -> IntegerLanes {
    unsafeBitCast(_mm512_cvtepu8_epi32(unsafeBitCast(bytes, to: SIMD2<Int64>.self)), to: IntegerLanes.self)
  }

  /// The greatest of 16 integers.
  @inline(__always) func greatest(_ lanes: SIMD16<UInt32>) -> UInt32 {
    _mm512_reduce_max_epu32(unsafeBitCast(lanes, to: SIMD8<Int64>.self))
  }

  /// The greater of two magnitudes.
  @inline(__always) func greater(_ a: SIMD16<UInt32>, _ b: SIMD16<UInt32>) -> SIMD16<UInt32> {
    unsafeBitCast(
      _mm512_max_epu32(unsafeBitCast(a, to: SIMD8<Int64>.self), unsafeBitCast(b, to: SIMD8<Int64>.self)),
      to: SIMD16<UInt32>.self)
  }

  /// The greater of two floats; which one it is if one is NaN is left open.
  @inline(__always) func greater(_ a: Lanes, _ b: Lanes) -> Lanes { _mm512_max_ps(a, b) }

  /// The greatest of sixteen floats.
  @inline(__always) func greatest(_ lanes: Lanes) -> Float { _mm512_reduce_max_ps(lanes) }

  /// The greatest code of an attention's weight.
  @inline(__always) var greatestWeightCode: Float { 255 }

  /// For each of 16 outputs, 4 signed codes times the 4 bytes without a sign of a word, added.
  @inline(__always) func addWeighted(_ sums: IntegerLanes, _ values: Codes, _ word: UInt32) -> IntegerLanes {
    unsafeBitCast(
      _mm512_dpbusd_epi32(
        unsafeBitCast(sums, to: SIMD8<Int64>.self),
        unsafeBitCast(Codes(repeating: word), to: SIMD8<Int64>.self),
        unsafeBitCast(values, to: SIMD8<Int64>.self)), to: IntegerLanes.self)
  }
#endif
