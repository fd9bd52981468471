/// The type in which a tensor's elements are stored in a file: plain numbers, or blocks of quantised values.
///
/// Raw values below 1,000 are the type ids of GGUF (`ggml_type`, ggml 0.25); the others are types that
/// only safetensors has.
public enum TensorType: UInt32, CaseIterable, Sendable, Hashable {
  case f32 = 0
  case f16 = 1
  case q4_0 = 2
  case q4_1 = 3
  case q5_0 = 6
  case q5_1 = 7
  case q8_0 = 8
  case q8_1 = 9
  case q2_K = 10
  case q3_K = 11
  case q4_K = 12
  case q5_K = 13
  case q6_K = 14
  case q8_K = 15
  case iq2_XXS = 16
  case iq2_XS = 17
  case iq3_XXS = 18
  case iq1_S = 19
  case iq4_NL = 20
  case iq3_S = 21
  case iq2_S = 22
  case iq4_XS = 23
  case i8 = 24
  case i16 = 25
  case i32 = 26
  case i64 = 27
  case f64 = 28
  case iq1_M = 29
  case bf16 = 30
  case tq1_0 = 34
  case tq2_0 = 35
  case mxfp4 = 39
  case nvfp4 = 40
  case q1_0 = 41
  case q2_0 = 42
  case u8 = 1000
  case u16 = 1001
  case u32 = 1002
  case u64 = 1003
  case bool = 1004
  case f8_E4M3 = 1005
  case f8_E5M2 = 1006
  case f8_E8M0 = 1007
  case c64 = 1008

  /// How many values one block holds: 1 for plain numbers.
  public var valuesPerBlock: Int { layout.values }

  /// How many bytes one block takes in the file.
  public var bytesPerBlock: Int { layout.bytes }

  /// True for types that store blocks of quantised values.
  public var isQuantized: Bool { valuesPerBlock > 1 }

  /// Whether values are integers without a scale.
  package var isPlainInteger: Bool {
    switch self {
    case .i8, .i16, .i32, .i64, .u8, .u16, .u32, .u64, .bool: true
    default: false
    }
  }

  /// The field's name of the type: `Q4_K`, `BF16`, `F8_E4M3`.
  public var name: String {
    // The cases spell the names, but for the case of their letters.
    "\(self)".uppercased()
  }

  /// Bytes that `count` values take, or nil if they don't fill whole blocks or the size overflows.
  public func byteCount(ofValues count: Int) -> Int? {
    guard count >= 0, count % valuesPerBlock == 0 else { return nil }
    let (bytes, overflow) = (count / valuesPerBlock).multipliedReportingOverflow(by: bytesPerBlock)
    return overflow ? nil : bytes
  }

  private var layout: (values: Int, bytes: Int) {
    switch self {
    case .i8, .u8, .bool, .f8_E4M3, .f8_E5M2, .f8_E8M0: (1, 1)
    case .f16, .bf16, .i16, .u16: (1, 2)
    case .f32, .i32, .u32: (1, 4)
    case .f64, .i64, .u64, .c64: (1, 8)
    case .q4_0, .iq4_NL: (32, 18)
    case .q4_1: (32, 20)
    case .q5_0: (32, 22)
    case .q5_1: (32, 24)
    case .q8_0: (32, 34)
    case .q8_1: (32, 36)
    case .mxfp4: (32, 17)
    case .nvfp4: (64, 36)
    case .q2_0: (64, 18)
    case .q1_0: (128, 18)
    case .q2_K: (256, 84)
    case .q3_K, .iq3_S: (256, 110)
    case .q4_K: (256, 144)
    case .q5_K: (256, 176)
    case .q6_K: (256, 210)
    case .q8_K: (256, 292)
    case .iq2_XXS, .tq2_0: (256, 66)
    case .iq2_XS: (256, 74)
    case .iq2_S: (256, 82)
    case .iq3_XXS: (256, 98)
    case .iq1_S: (256, 50)
    case .iq1_M: (256, 56)
    case .iq4_XS: (256, 136)
    case .tq1_0: (256, 54)
    }
  }
}
