#if arch(x86_64)
  import _Builtin_intrinsics.intel

  // 4 rows of integer sums take 8 of the 16 registers; the float sums wait in memory.
  @inline(__always) var quantizedTileRows: Int { 4 }
  @inline(__always) var quantizedTilePanels: Int { 1 }
  /// Rows that pass by packed weights together.
  @inline(__always) var quantizedVectorRows: Int { 3 }

  /// 8-bit codes keep their sign: the sums of products that AVX2 forms have 16 bits, too few for 255 x 127.
  @inline(__always) var wideBias: Int32 { 0 }

  /// 8-bit codes as `multiplyAddWide` takes them: signed.
  @inline(__always) func nativeWide(_ codes: Codes) -> Codes { codes ^ 0x8080_8080 }

  @inline(__always) private func halves(_ codes: Codes) -> (low: SIMD4<Int64>, high: SIMD4<Int64>) {
    (
      unsafeBitCast(codes.lowHalf, to: SIMD4<Int64>.self),
      unsafeBitCast(codes.highHalf, to: SIMD4<Int64>.self)
    )
  }

  @inline(__always) private func joined(_ low: SIMD4<Int64>, _ high: SIMD4<Int64>) -> IntegerLanes {
    IntegerLanes(
      lowHalf: unsafeBitCast(low, to: SIMD8<Int32>.self), highHalf: unsafeBitCast(high, to: SIMD8<Int32>.self)
    )
  }

  @inline(__always) private func broadcast(_ word: UInt32) -> SIMD4<Int64> {
    unsafeBitCast(SIMD8<UInt32>(repeating: word), to: SIMD4<Int64>.self)
  }

  /// Sums of products of codes on their way: of narrow codes pairs of 16 bits, of wide ones whole sums.
  struct PartialSums {
    var low: SIMD4<Int64>
    var high: SIMD4<Int64>
  }

  /// How many vectors of codes up to a greatest one fit sums of 16 bits: each adds two products by up to 127.
  @inline(__always) func vectorsPerPartialSum(_ maximumCode: Int) -> Int {
    maximumCode <= 15 ? 8 : maximumCode <= 31 ? 4 : maximumCode <= 63 ? 2 : 8
  }

  /// Empty partial sums.
  @inline(__always) func partialSums(_ sums: IntegerLanes) -> PartialSums {
    PartialSums(low: SIMD4<Int64>(), high: SIMD4<Int64>())
  }

  @inline(__always) private var ones: SIMD4<Int64> {
    unsafeBitCast(SIMD16<Int16>(repeating: 1), to: SIMD4<Int64>.self)
  }

  /// The sums with what was added to partial sums.
  @inline(__always) func completeSums(_ sums: IntegerLanes, _ partial: PartialSums, isWide: Bool)
    -> IntegerLanes
  {
    if isWide { return sums &+ joined(partial.low, partial.high) }
    return sums &+ joined(_mm256_madd_epi16(partial.low, ones), _mm256_madd_epi16(partial.high, ones))
  }

  /// For each of 16 outputs, 4 codes times the 4 signed bytes of a word, added.
  @inline(__always) func multiplyAdd(_ partial: PartialSums, _ w: Codes, _ a: UInt32, isWide: Bool)
    -> PartialSums
  {
    let codes = halves(w)
    let activations = broadcast(a)
    if isWide {
      return PartialSums(
        low: _mm256_add_epi32(partial.low, signedProduct(codes.low, activations)),
        high: _mm256_add_epi32(partial.high, signedProduct(codes.high, activations)))
    }
    return PartialSums(
      low: _mm256_add_epi16(partial.low, _mm256_maddubs_epi16(codes.low, activations)),
      high: _mm256_add_epi16(partial.high, _mm256_maddubs_epi16(codes.high, activations)))
  }

  /// Signed codes times activations: magnitudes times activations that took over the signs, since one side of
  /// the product has none.
  @inline(__always) private func signedProduct(_ w: SIMD4<Int64>, _ a: SIMD4<Int64>) -> SIMD4<Int64> {
    _mm256_madd_epi16(_mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(a, w)), ones)
  }

  /// Every byte, 0 to 15, replaced by the table's entry of that index.
  @inline(__always) func lookUp(_ codes: Codes, _ table: CodeTable) -> Codes {
    let word = unsafeBitCast(table, to: SIMD2<Int64>.self)
    let repeated = SIMD4<Int64>(word[0], word[1], word[0], word[1])
    let parts = halves(codes)
    return unsafeBitCast(
      joined(_mm256_shuffle_epi8(repeated, parts.low), _mm256_shuffle_epi8(repeated, parts.high)),
      to: Codes.self)
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
    let parts = halves(unsafeBitCast(integers, to: Codes.self))
    return Lanes(lowHalf: _mm256_cvtepi32_ps(parts.low), highHalf: _mm256_cvtepi32_ps(parts.high))
  }

  /// Bytes without a sign as floats.
  @inline(__always) func floats(_ bytes: SIMD16<UInt8>) -> Lanes {
    let words = unsafeBitCast(bytes, to: SIMD2<Int64>.self)
    return Lanes(
      lowHalf: _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(words)),
      highHalf: _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(SIMD2<Int64>(words[1], 0))))
  }

  /// Signed bytes as floats.
  @inline(__always) func floats(_ bytes: SIMD16<Int8>) -> Lanes {
    let words = unsafeBitCast(bytes, to: SIMD2<Int64>.self)
    return Lanes(
      lowHalf: _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(words)),
      highHalf: _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(SIMD2<Int64>(words[1], 0))))
  }

  /// The low bytes of integers from -128 to 127.
  @inline(__always) func lowBytes(_ integers: IntegerLanes) -> SIMD16<UInt8> {
    let parts = halves(unsafeBitCast(integers, to: Codes.self))
    // Packing works on both 128-bit lanes apart: the words come out as 0 2 1 3.
    let words = unsafeBitCast(
      _mm256_packs_epi16(_mm256_packs_epi32(parts.low, parts.high), SIMD4<Int64>()), to: SIMD8<UInt32>.self)
    return unsafeBitCast(SIMD4<UInt32>(words[0], words[4], words[1], words[5]), to: SIMD16<UInt8>.self)
  }

  @inline(__always) private func lowByte(_ codes: Codes) -> SIMD16<UInt8> {
    lowBytes(unsafeBitCast(codes & 0xFF, to: IntegerLanes.self))
  }

  /// The low bytes of integers from 0 to `greatestWeightCode`, whose other bits don't matter.
  @inline(__always) func lowBytes(_ a: Codes, _ b: Codes, _ c: Codes, _ d: Codes) -> Codes {
    return unsafeBitCast(
      SIMD64(
        lowHalf: SIMD32(lowHalf: lowByte(a), highHalf: lowByte(b)),
        highHalf: SIMD32(lowHalf: lowByte(c), highHalf: lowByte(d))),
      to: Codes.self)
  }

  /// Four vectors of 16 positions and 4 features each, as four of 16 features and 4 positions each.
  @inline(__always) func transposed(_ a: Codes, _ b: Codes, _ c: Codes, _ d: Codes) -> (
    Codes, Codes, Codes, Codes
  ) {
    // Four by four bytes in each 128-bit lane, then four by four lanes.
    let (a, b) = (bytesTransposed(a), bytesTransposed(b))
    let (c, d) = (bytesTransposed(c), bytesTransposed(d))
    return (
      Codes(
        lowHalf: SIMD8(lowHalf: a.lowHalf.lowHalf, highHalf: b.lowHalf.lowHalf),
        highHalf: SIMD8(lowHalf: c.lowHalf.lowHalf, highHalf: d.lowHalf.lowHalf)),
      Codes(
        lowHalf: SIMD8(lowHalf: a.lowHalf.highHalf, highHalf: b.lowHalf.highHalf),
        highHalf: SIMD8(lowHalf: c.lowHalf.highHalf, highHalf: d.lowHalf.highHalf)),
      Codes(
        lowHalf: SIMD8(lowHalf: a.highHalf.lowHalf, highHalf: b.highHalf.lowHalf),
        highHalf: SIMD8(lowHalf: c.highHalf.lowHalf, highHalf: d.highHalf.lowHalf)),
      Codes(
        lowHalf: SIMD8(lowHalf: a.highHalf.highHalf, highHalf: b.highHalf.highHalf),
        highHalf: SIMD8(lowHalf: c.highHalf.highHalf, highHalf: d.highHalf.highHalf))
    )
  }

  /// Four by four bytes of every 128-bit lane with rows and columns exchanged.
  @inline(__always) private func bytesTransposed(_ codes: Codes) -> Codes {
    let order = CodeTable(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15)
    let word = unsafeBitCast(order, to: SIMD2<Int64>.self)
    let repeated = SIMD4<Int64>(word[0], word[1], word[0], word[1])
    let parts = halves(codes)
    return unsafeBitCast(
      joined(_mm256_shuffle_epi8(parts.low, repeated), _mm256_shuffle_epi8(parts.high, repeated)),
      to: Codes.self)
  }

  /// Whether powers of two need exponents of at least -127.
  @inline(__always) var limitsExponents: Bool { true }

  /// `x * 2^exponent` for an integer; `shifted` is the same integer in its low bits.
  @inline(__always) func timesPowerOfTwo(_ x: Lanes, _ exponent: Lanes, _ shifted: Lanes) -> Lanes {
    // At -127 the sum of exponents is zero, and x is 1: the result is 0 to the bit.
    let bits = unsafeBitCast(shifted, to: SIMD16<UInt32>.self) &<< 23
    return unsafeBitCast(unsafeBitCast(x, to: SIMD16<UInt32>.self) &+ bits, to: Lanes.self)
  }

  /// Bytes without a sign as integers.
  @inline(__always) func integers(_ bytes: SIMD16<UInt8>) -> IntegerLanes {
    let words = unsafeBitCast(bytes, to: SIMD2<Int64>.self)
    return joined(_mm256_cvtepu8_epi32(words), _mm256_cvtepu8_epi32(SIMD2<Int64>(words[1], 0)))
  }

  /// The greatest of 16 integers.
  @inline(__always) func greatest(_ lanes: SIMD16<UInt32>) -> UInt32 {
    let (low, high) = halves(lanes)
    let eight = unsafeBitCast(_mm256_max_epu32(low, high), to: SIMD8<UInt32>.self)
    let four = unsafeBitCast(
      _mm_max_epu32(
        unsafeBitCast(eight.lowHalf, to: SIMD2<Int64>.self),
        unsafeBitCast(eight.highHalf, to: SIMD2<Int64>.self)),
      to: SIMD4<UInt32>.self)
    return max(max(four[0], four[1]), max(four[2], four[3]))
  }

  /// The greater of two magnitudes.
  @inline(__always) func greater(_ a: SIMD16<UInt32>, _ b: SIMD16<UInt32>) -> SIMD16<UInt32> {
    let left = halves(a)
    let right = halves(b)
    return unsafeBitCast(
      joined(_mm256_max_epu32(left.low, right.low), _mm256_max_epu32(left.high, right.high)),
      to: SIMD16<UInt32>.self)
  }

  /// The greater of two floats; which one it is if one is NaN is left open.
  @inline(__always) func greater(_ a: Lanes, _ b: Lanes) -> Lanes {
    Lanes(
      lowHalf: _mm256_max_ps(a.lowHalf, b.lowHalf), highHalf: _mm256_max_ps(a.highHalf, b.highHalf))
  }

  /// The greatest of sixteen floats.
  @inline(__always) func greatest(_ lanes: Lanes) -> Float {
    let eight = _mm256_max_ps(lanes.lowHalf, lanes.highHalf)
    let four = _mm_max_ps(eight.lowHalf, eight.highHalf)
    let first = four[0] > four[1] ? four[0] : four[1]
    let second = four[2] > four[3] ? four[2] : four[3]
    return first > second ? first : second
  }

  /// The greatest code of an attention's weight: the sum of two products by up to 127 has 16 bits.
  @inline(__always) var greatestWeightCode: Float { 127 }

  /// For each of 16 outputs, 4 signed codes times the 4 bytes without a sign of a word, added.
  @inline(__always) func addWeighted(_ sums: IntegerLanes, _ values: Codes, _ word: UInt32) -> IntegerLanes {
    let codes = halves(values)
    let weights = broadcast(word)
    return sums
      &+ joined(
        _mm256_madd_epi16(_mm256_maddubs_epi16(weights, codes.low), ones),
        _mm256_madd_epi16(_mm256_maddubs_epi16(weights, codes.high), ones))
  }
#endif
