/// How the weights of a packed panel become floats.
///
/// Every conversion is exact, so that a product has the same bits whichever way its weights are kept. Always a
/// constant where it is used, so that the compiler leaves one of the cases.
enum WeightFormat {
  /// Floats, as they are.
  case float
  /// IEEE half precision.
  case half
  /// bfloat16, the upper halves of floats.
  case bfloat16

  /// Bytes that one weight takes.
  @inline(__always) var byteCount: Int {
    switch self {
    case .float: 4
    case .half, .bfloat16: 2
    }
  }

  /// The sixteen weights at `source`, which need not be aligned.
  @inline(__always) func load(_ source: UnsafeRawPointer) -> Lanes {
    switch self {
    case .float: source.loadUnaligned(as: Lanes.self)
    case .half: widen(source.loadUnaligned(as: SIMD16<UInt16>.self))
    case .bfloat16: widenBFloat16(source.loadUnaligned(as: SIMD16<UInt16>.self))
    }
  }
}
