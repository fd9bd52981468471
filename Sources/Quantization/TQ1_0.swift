import SalanganeFiles

/// 256 ternary values, five a byte, with one scale: `q: uint8[48]`, `rest: uint8[4]`, `d: f16`;
/// value = `d * (trit - 1)`.
///
/// A byte holds the fraction 0.t1t2t3t4t5 in base 3, times 256 and rounded up: the trit t(k+1) is the integer
/// part of 3 times the fraction that is left when the byte is multiplied by 3^k modulo 256. Bytes 0 to 31 hold
/// values 0 to 159 (the first trits of all 32 bytes, then the second ones, ...), bytes 32 to 47 values 160 to
/// 239, and `rest`, four trits a byte, values 240 to 255.
public enum TQ1_0: ByteLevelFormat {
  /// The type this format decodes.
  public static var type: TensorType { .tq1_0 }

  /// Takes a block apart into levels and scales.
  @inline(__always)
  public static func split(
    _ block: UnsafeRawPointer, codes: UnsafeMutablePointer<UInt8>, scales: UnsafeMutableRawPointer
  ) {
    let scale = block.half(52)
    for index in 0..<16 { scales.storeScale(scale, at: index) }
    splitTrits(5, of: block, count: 32, into: codes)
    splitTrits(5, of: block + 32, count: 16, into: codes + 160)
    splitTrits(4, of: block + 48, count: 4, into: codes + 240)
  }

  /// Takes `trits` levels from each of `count` bytes.
  @inline(__always)
  private static func splitTrits(
    _ trits: Int, of bytes: UnsafeRawPointer, count: Int, into codes: UnsafeMutablePointer<UInt8>
  ) {
    var power: UInt8 = 1
    for trit in 0..<trits {
      let tritCodes = codes + trit &* count
      for index in 0..<count {
        let fraction = bytes.byte(index) &* power
        tritCodes[index] = UInt8(truncatingIfNeeded: (UInt16(fraction) &* 3) >> 8) &+ 127
      }
      power &*= 3
    }
  }
}
