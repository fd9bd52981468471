import SalanganeFiles

/// Decoding of any stored type to 32-bit floats.
///
/// Decoding is pure: to use several threads, give each a range of whole blocks.
public enum Dequantizer {
  /// True if values of the type decode to floats.
  public static func canDecode(_ type: TensorType) -> Bool {
    format(of: type) != nil
  }

  /// The format that decodes a type, or nil if it has no decoding to floats.
  public static func format(of type: TensorType) -> (any BlockFormat.Type)? {
    switch type {
    case .f32: F32.self
    case .f16: F16.self
    case .bf16: BF16.self
    case .f64: F64.self
    case .i8: I8.self
    case .i16: I16.self
    case .i32: I32.self
    case .i64: I64.self
    case .u8: U8.self
    case .u16: U16.self
    case .u32: U32.self
    case .u64: U64.self
    case .bool: Bool8.self
    case .f8_E4M3: F8_E4M3.self
    case .f8_E5M2: F8_E5M2.self
    case .f8_E8M0: F8_E8M0.self
    case .q4_0: Q4_0.self
    case .q4_1: Q4_1.self
    case .q5_0: Q5_0.self
    case .q5_1: Q5_1.self
    case .q8_0: Q8_0.self
    case .q8_1: Q8_1.self
    case .q2_K: Q2_K.self
    case .q3_K: Q3_K.self
    case .q4_K: Q4_K.self
    case .q5_K: Q5_K.self
    case .q6_K: Q6_K.self
    case .q8_K: Q8_K.self
    case .iq1_S: IQ1_S.self
    case .iq1_M: IQ1_M.self
    case .iq2_XXS: IQ2_XXS.self
    case .iq2_XS: IQ2_XS.self
    case .iq2_S: IQ2_S.self
    case .iq3_XXS: IQ3_XXS.self
    case .iq3_S: IQ3_S.self
    case .iq4_NL: IQ4_NL.self
    case .iq4_XS: IQ4_XS.self
    case .mxfp4: MXFP4.self
    case .nvfp4: NVFP4.self
    case .tq1_0: TQ1_0.self
    case .tq2_0: TQ2_0.self
    case .q1_0: Q1_0.self
    case .q2_0: Q2_0.self
    case .c64: nil
    }
  }

  /// Decodes whole blocks.
  ///
  /// - Parameters:
  ///   - type: The type of the stored values.
  ///   - bytes: The blocks, at any alignment.
  ///   - values: Room for exactly the values in the blocks, which doesn't overlap them.
  /// - Throws: `QuantizationError.cannotDecode`, or `sizeMismatch` if the values don't fill whole blocks or
  ///   the bytes aren't as many as those blocks take.
  public static func decode(
    _ type: TensorType, _ bytes: UnsafeRawBufferPointer,
    into values: UnsafeMutableBufferPointer<Float>
  ) throws(QuantizationError) {
    guard let format = format(of: type) else { throw .cannotDecode(type) }
    guard type.byteCount(ofValues: values.count) == bytes.count else {
      throw .sizeMismatch(type, bytes: bytes.count, values: values.count)
    }
    guard let source = bytes.baseAddress, let destination = values.baseAddress else { return }
    format.decode(source, count: values.count / type.valuesPerBlock, into: destination)
  }
}
