import SalanganeFiles

/// 128 signs with one scale: `d: f16`, `signs: uint8[16]`, lowest bit first; value = `d` where the bit is set,
/// `-d` elsewhere.
public enum Q1_0: BlockFormat {
  /// The type this format decodes.
  public static var type: TensorType { .q1_0 }

  /// Decodes one block of 128 values.
  @inline(__always)
  public static func decode(_ block: UnsafeRawPointer, into values: UnsafeMutablePointer<Float>) {
    let scale = block.half(0)
    for index in 0..<128 {
      let bits = UInt32(block.byte(2 &+ index >> 3)) &>> UInt32(truncatingIfNeeded: index & 7)
      values[index] = Float(bitPattern: scale.bitPattern ^ (~bits & 1) << 31)
    }
  }
}
