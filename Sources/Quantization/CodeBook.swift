/// Tables of the sixteen values that 4-bit codes stand for.
enum CodeBook {
  /// The non-linear 4-bit code of `IQ4_NL` and `IQ4_XS`.
  ///
  /// Source: ggml, `kvalues_iq4nl`.
  static let nonlinear: InlineArray<16, Float> = [
    -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113,
  ]

  /// Twice the values of E2M1, the 4-bit float of `MXFP4` and `NVFP4`, so that all are whole.
  ///
  /// ggml's table has +0 for the code of -0, and so has this one. Sources: OCP Microscaling Formats (MX)
  /// Specification 1.0, section 5.3.3; ggml, `kvalues_mxfp4`.
  static let doubledE2M1: InlineArray<16, Float> = [
    0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12,
  ]
}
