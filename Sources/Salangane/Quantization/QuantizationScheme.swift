import SalanganeFiles

/// How the weights of a model are quantised: one type for all, or a mix of types.
///
/// Names and mixes are those of llama.cpp (`llama_ftype`). The letters S, M and L (small, medium, large) say how
/// many tensors get more bits than the type in the name has.
public enum QuantizationScheme: String, CaseIterable, Sendable {
  /// Floats of 32 bits.
  case f32 = "F32"
  /// IEEE half precision.
  case f16 = "F16"
  /// The upper half of a 32-bit float.
  case bf16 = "BF16"
  /// 4 bits, one scale for 32 values.
  case q4_0 = "Q4_0"
  /// 4 bits, a scale and a minimum for 32 values.
  case q4_1 = "Q4_1"
  /// 5 bits, one scale for 32 values.
  case q5_0 = "Q5_0"
  /// 5 bits, a scale and a minimum for 32 values.
  case q5_1 = "Q5_1"
  /// 8 bits, one scale for 32 values.
  case q8_0 = "Q8_0"
  /// 2 bits in super-blocks of 256 values; the most sensitive tensors have 3 and 4.
  case q2_K = "Q2_K"
  /// 3 bits in super-blocks of 256 values.
  case q3_K_S = "Q3_K_S"
  /// 3 bits in super-blocks of 256 values; the more sensitive tensors have 4 and 5.
  case q3_K_M = "Q3_K_M"
  /// 3 bits in super-blocks of 256 values; the more sensitive tensors have 5.
  case q3_K_L = "Q3_K_L"
  /// 4 bits in super-blocks of 256 values.
  case q4_K_S = "Q4_K_S"
  /// 4 bits in super-blocks of 256 values; half of the more sensitive tensors have 6.
  case q4_K_M = "Q4_K_M"
  /// 5 bits in super-blocks of 256 values.
  case q5_K_S = "Q5_K_S"
  /// 5 bits in super-blocks of 256 values; half of the more sensitive tensors have 6.
  case q5_K_M = "Q5_K_M"
  /// 6 bits in super-blocks of 256 values.
  case q6_K = "Q6_K"
  /// 4 bits for 16 unevenly spaced values, one scale for 32 values.
  case iq4_NL = "IQ4_NL"
  /// 4 bits for 16 unevenly spaced values, in super-blocks of 256.
  case iq4_XS = "IQ4_XS"
  /// 4-bit floats with a power of two as the scale of 32 values.
  case mxfp4 = "MXFP4"
  /// 4-bit floats for the weights of experts, 8 bits for all others.
  case mxfp4_MoE = "MXFP4_MOE"

  /// The type of most of the weights.
  public var tensorType: TensorType {
    switch self {
    case .f32: .f32
    case .f16: .f16
    case .bf16: .bf16
    case .q4_0: .q4_0
    case .q4_1: .q4_1
    case .q5_0: .q5_0
    case .q5_1: .q5_1
    case .q8_0: .q8_0
    case .q2_K: .q2_K
    case .q3_K_S, .q3_K_M, .q3_K_L: .q3_K
    case .q4_K_S, .q4_K_M: .q4_K
    case .q5_K_S, .q5_K_M: .q5_K
    case .q6_K: .q6_K
    case .iq4_NL: .iq4_NL
    case .iq4_XS: .iq4_XS
    case .mxfp4, .mxfp4_MoE: .mxfp4
    }
  }

  /// The number for `general.file_type` in GGUF.
  var fileType: UInt32 {
    switch self {
    case .f32: 0
    case .f16: 1
    case .q4_0: 2
    case .q4_1: 3
    case .q8_0: 7
    case .q5_0: 8
    case .q5_1: 9
    case .q2_K: 10
    case .q3_K_S: 11
    case .q3_K_M: 12
    case .q3_K_L: 13
    case .q4_K_S: 14
    case .q4_K_M: 15
    case .q5_K_S: 16
    case .q5_K_M: 17
    case .q6_K: 18
    case .iq4_NL: 25
    case .iq4_XS: 30
    case .bf16: 32
    // llama.cpp has no number for the first of these.
    case .mxfp4, .mxfp4_MoE: 38
    }
  }
}
