import SalanganeFiles

/// 32 values of 4-bit non-linear codes with one scale: `d: f16`, `q: uint8[16]`; value = `d * code[q]`.
///
/// Nibbles are laid out as in `Q4_0`.
public enum IQ4_NL: IntegerBlockFormat {
  /// The type this format decodes.
  public static var type: TensorType { .iq4_NL }

  /// Decodes one block of 32 values.
  @inline(__always)
  public static func decode(_ block: UnsafeRawPointer, into values: UnsafeMutablePointer<Float>) {
    let scale = block.half(0)
    for index in 0..<16 {
      let pair = block.byte(2 &+ index)
      values[index] = scale * CodeBook.nonlinear[Int(pair & 15)]
      values[index &+ 16] = scale * CodeBook.nonlinear[Int(pair >> 4)]
    }
  }

  /// Bytes of a block's scales, split.
  public static var scaleBytesPerBlock: Int { 2 }

  /// Takes a block apart into codes and scales.
  @inline(__always)
  public static func split(
    _ block: UnsafeRawPointer, codes: UnsafeMutablePointer<UInt8>, scales: UnsafeMutableRawPointer
  ) {
    splitNibbles(block + 2, codes)
    scales.copyBytes(2, from: block)
  }
}

extension IQ4_NL: LevelBlockFormat {
  /// The greatest level times a half must reach it.
  public static var greatestMagnitude: Float? { F16.greatestScale * 113 }

  static var seedCount: Int { CodeBook.nonlinearSeeds.count }

  @inline(__always)
  static func seed(_ index: Int) -> Float { CodeBook.nonlinearSeeds[index] }

  @inline(__always)
  static func levels(_ lanes: Lanes) -> Lanes { CodeBook.nonlinearValues(lanes) }

  /// Encodes one block of 32 values.
  public static func encode(_ values: UnsafePointer<Float>, into block: UnsafeMutableRawPointer) {
    let lanes = ValueGroup<8>(values)
    let (least, greatest) = lanes.extent
    // Halves aren't as exact as the search; the ends of the code may have the better ones, and no scale is
    // best for values that the least half is too great for.
    var best: (error: Float, scale: Float) = (.infinity, 0)
    for candidate in 0..<4 {
      let scale: Float
      switch candidate {
      case 0: scale = lanes.scale(IQ4_NL.self)
      case 1: scale = least / -127
      case 2: scale = greatest / 113
      default: scale = 0
      }
      let half = F16.scale(scale)
      let error = lanes.squaredError(IQ4_NL.self, scale: half)
      if error < best.error { best = (error, half) }
    }
    block.storeHalf(best.scale, at: 0)
    CodeBook.storeNonlinear(lanes, inverseScale: inverse(of: best.scale), into: block + 2)
  }
}
