/// Tables of the sixteen values that 4-bit codes stand for.
enum CodeBook {
  /// The non-linear 4-bit code of `IQ4_NL` and `IQ4_XS`.
  ///
  /// Source: ggml, `kvalues_iq4nl`.
  static let nonlinear: InlineArray<16, Float> = [
    -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113,
  ]

  /// Twice the values of E2M1, the 4-bit float of `MXFP4` and `NVFP4`, so that all are whole.
  ///
  /// ggml's table has +0 for the code of -0, and so has this one. Sources: OCP Microscaling Formats (MX)
  /// Specification 1.0, section 5.3.3; ggml, `kvalues_mxfp4`.
  static let doubledE2M1: InlineArray<16, Float> = [
    0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12,
  ]
}

/// Encoding to the non-linear 4-bit code.
extension CodeBook {
  /// The nearest code to every half of an odd integer from -255.5 / 2 to 255.5 / 2.
  ///
  /// The midpoints between values are multiples of 0.5, so that one code is nearest over all of each interval.
  private static let nearestCodes = InlineArray<512, UInt8> { index in
    let center = (Float(index) - 255.5) / 2
    var nearest = 0
    for code in 1..<16 where (nonlinear[code] - center).magnitude < (nonlinear[nearest] - center).magnitude {
      nearest = code
    }
    return UInt8(nearest)
  }

  private static let nearestValues = InlineArray<512, Float> { nonlinear[Int(nearestCodes[$0])] }

  /// Where the intervals of four values are in the tables.
  @inline(__always)
  private static func intervals(_ lanes: Lanes) -> SIMD4<UInt32> {
    (lanes.limited(to: -127.5, 127.5) * 2 + 255.5).integerBits & 511
  }

  /// The values of the code that are nearest to the lanes.
  @inline(__always)
  static func nonlinearValues(_ lanes: Lanes) -> Lanes {
    let intervals = intervals(lanes)
    return Lanes(
      nearestValues[unchecked: Int(intervals[0])], nearestValues[unchecked: Int(intervals[1])],
      nearestValues[unchecked: Int(intervals[2])], nearestValues[unchecked: Int(intervals[3])])
  }

  /// Writes the codes of 32 values that were divided by their scale, in 16 bytes: low nibbles first.
  @inline(__always)
  static func storeNonlinear(
    _ values: ValueGroup<8>, inverseScale: Float, into bytes: UnsafeMutableRawPointer
  ) {
    for vector in 0..<4 {
      let low = intervals(values[vector] * inverseScale)
      let high = intervals(values[vector &+ 4] * inverseScale)
      for lane in 0..<4 {
        let pair =
          nearestCodes[unchecked: Int(low[lane])] | nearestCodes[unchecked: Int(high[lane])] << 4
        bytes.store(pair, at: vector &* 4 &+ lane)
      }
    }
  }

  /// Levels for `LevelBlockFormat.seed`.
  ///
  /// Chosen greedily, so that the least of the errors becomes small over groups of normal, Laplace, uniform
  /// and Student-t values.
  static let nonlinearSeeds: InlineArray<16, Float> = [
    -127, 113, -128, 114, -136, -122, -110, 122, -132, 108, -104, -140, 118, -125, -118, 126,
  ]
}
