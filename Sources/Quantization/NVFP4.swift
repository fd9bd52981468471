import SalanganeFiles

/// 64 values of E2M1 in 4 groups of 16: `scales: E4M3[4]`, `q: uint8[32]`; value = `scale * E2M1`.
///
/// Each group's 8 bytes of `q` hold its first 8 values in their low nibbles, the last 8 in the high ones. Scales
/// are unsigned: ggml ignores their sign bit, and reads the NaN pattern 0x7f (not 0xff) as 0.
public enum NVFP4: ByteLevelFormat {
  /// The type this format decodes.
  public static var type: TensorType { .nvfp4 }

  /// Takes a block apart into levels and scales.
  @inline(__always)
  public static func split(
    _ block: UnsafeRawPointer, codes: UnsafeMutablePointer<UInt8>, scales: UnsafeMutableRawPointer
  ) {
    for group in 0..<4 {
      scales.storeScale(halfScale(block.byte(group)), at: group)
      let first = 4 &+ group &* 8
      let groupCodes = codes + group &* 16
      for index in 0..<8 {
        let pair = block.byte(first &+ index)
        groupCodes[index] = level(pair & 15)
        groupCodes[index &+ 8] = level(pair >> 4)
      }
    }
  }

  /// What a code stands for, doubled, with 128 added.
  @inline(__always)
  private static func level(_ code: UInt8) -> UInt8 {
    UInt8(truncatingIfNeeded: 128 &+ Int32(CodeBook.doubledE2M1[Int(code)]))
  }

  /// Half of what a scale means, because the code is doubled.
  @inline(__always)
  static func halfScale(_ bits: UInt8) -> Float {
    if bits == 0x7f { return 0 }
    return Float(bitPattern: widenedMagnitude(UInt32(bits & 0x7f) << 20, bias: 7)) * 0.5
  }
}
