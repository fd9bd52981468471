import SalanganeFiles

/// One way of storing numbers in a file: blocks of a fixed size, each decoded on its own.
///
/// Conformers are caseless enums, one a file, named as the field names the format (`Q4_0`, `IQ2_XS`).
/// Plain numbers are formats too, with one value a block.
///
/// The layouts of the GGUF formats are facts of ggml (`ggml-common.h`, `ggml-quants.c`, version 0.25). Decoding
/// is exact: each conformer performs the float operations of ggml's reference in its order, so the values
/// agree with it bit for bit. Where a block's scale is NaN its values are NaN, of unspecified sign and payload.
public protocol BlockFormat: Sendable {
  /// The type whose blocks this format decodes; it knows the size of a block in values and in bytes.
  static var type: TensorType { get }

  /// Decodes one block.
  ///
  /// - Parameters:
  ///   - block: `bytesPerBlock` bytes, at any alignment.
  ///   - values: Room for `valuesPerBlock` values, which doesn't overlap the block.
  static func decode(_ block: UnsafeRawPointer, into values: UnsafeMutablePointer<Float>)

  /// Decodes consecutive blocks.
  ///
  /// - Parameters:
  ///   - blocks: `count * bytesPerBlock` bytes, at any alignment.
  ///   - count: The number of blocks.
  ///   - values: Room for `count * valuesPerBlock` values, which doesn't overlap the blocks.
  static func decode(
    _ blocks: UnsafeRawPointer, count: Int, into values: UnsafeMutablePointer<Float>)
}

extension BlockFormat {
  /// How many values one block holds: 1 for plain numbers.
  public static var valuesPerBlock: Int { type.valuesPerBlock }

  /// How many bytes one block takes in the file.
  public static var bytesPerBlock: Int { type.bytesPerBlock }

  /// Decodes consecutive blocks, one after the other.
  public static func decode(
    _ blocks: UnsafeRawPointer, count: Int, into values: UnsafeMutablePointer<Float>
  ) {
    let bytesPerBlock = bytesPerBlock
    let valuesPerBlock = valuesPerBlock
    for block in 0..<count {
      decode(blocks + block &* bytesPerBlock, into: values + block &* valuesPerBlock)
    }
  }
}

/// A format that can be made from floats.
///
/// Where the way is published and leaves no choice (Q4_0 to Q8_0, MXFP4, F16, BF16), the blocks agree with those
/// of ggml's reference quantisers (`quantize_row_*_ref`) bit for bit. For the other formats the encoders search
/// for the blocks of least squared error, all values having the same weight.
public protocol EncodableBlockFormat: BlockFormat {
  /// The greatest magnitude a value may have for its block to decode to finite values, or nil if any value,
  /// NaN and infinities included, has an encoding.
  static var greatestMagnitude: Float? { get }

  /// Encodes one block.
  ///
  /// Values beyond `greatestMagnitude` and NaN give some block, never a trap; `Quantizer` refuses them.
  ///
  /// - Parameters:
  ///   - values: `valuesPerBlock` values.
  ///   - block: Room for `bytesPerBlock` bytes, at any alignment, which doesn't overlap the values.
  static func encode(_ values: UnsafePointer<Float>, into block: UnsafeMutableRawPointer)

  /// Encodes consecutive blocks.
  ///
  /// - Parameters:
  ///   - values: `count * valuesPerBlock` values.
  ///   - count: The number of blocks.
  ///   - blocks: Room for `count * bytesPerBlock` bytes, at any alignment, which doesn't overlap the values.
  static func encode(_ values: UnsafePointer<Float>, count: Int, into blocks: UnsafeMutableRawPointer)
}

extension EncodableBlockFormat {
  /// Encodes consecutive blocks, one after the other.
  public static func encode(
    _ values: UnsafePointer<Float>, count: Int, into blocks: UnsafeMutableRawPointer
  ) {
    let bytesPerBlock = bytesPerBlock
    let valuesPerBlock = valuesPerBlock
    for block in 0..<count {
      encode(values + block &* valuesPerBlock, into: blocks + block &* bytesPerBlock)
    }
  }
}
