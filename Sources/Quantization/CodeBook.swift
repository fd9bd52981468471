/// Sixteen values that 4-bit codes stand for.
struct CodeBook {
  /// The value of each code.
  let values: SIMD16<Float>

  /// The value of a code; only its lower four bits count.
  @inline(__always)
  subscript(code: UInt8) -> Float {
    values[Int(code & 15)]
  }

  /// The non-linear 4-bit code of `IQ4_NL` and `IQ4_XS`. Source: ggml, `kvalues_iq4nl`.
  @inline(__always)
  static var nonlinear: CodeBook {
    CodeBook(values: [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113])
  }

  /// Twice the values of E2M1, the 4-bit float of `MXFP4` and `NVFP4`, so that all are whole.
  ///
  /// ggml's table has +0 for the code of -0, and so has this one. Sources: OCP Microscaling Formats (MX)
  /// Specification 1.0, section 5.3.3; ggml, `kvalues_mxfp4`.
  @inline(__always)
  static var doubledE2M1: CodeBook {
    CodeBook(values: [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12])
  }
}
