import SalanganeKernels

/// What the numbers of a packed form mean, one at a time.
public struct PackedFormatReference: Sendable {
  /// The form.
  public let format: QuantizedFormat

  /// The numbers of a form.
  public init(format: QuantizedFormat) { self.format = format }

  /// Values of IQ4_NL's codes (ggml, `kvalues_iq4nl`).
  private static let nonlinear: [Int32] = [
    -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113,
  ]
  /// Twice the values of E2M1 (OCP Microscaling Formats 1.0, section 5.3.3).
  private static let doubledE2M1: [Int32] = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12]

  /// How many codes there are.
  public var codeCount: Int {
    switch format {
    case .q2_K: 4
    case .q3_K: 8
    case .q4_0, .q4_1, .q4_K, .iq4_NL, .iq4_XS, .mxfp4: 16
    case .q5_0, .q5_1, .q5_K: 32
    case .q6_K: 64
    case .q8_0, .int8: 256
    }
  }

  /// The integer that a code stands for.
  public func level(_ code: UInt8) -> Int32 {
    switch format {
    case .q4_1, .q5_1, .q2_K, .q4_K, .q5_K: Int32(code)
    case .q4_0: Int32(code) - 8
    case .q5_0: Int32(code) - 16
    case .q3_K: Int32(code) - 4
    case .q6_K: Int32(code) - 32
    case .q8_0, .int8: Int32(code) - 128
    case .iq4_NL, .iq4_XS: Self.nonlinear[Int(code)]
    case .mxfp4: Self.doubledE2M1[Int(code)]
    }
  }

  /// What levels are multiplied by, and what is added to them.
  public struct Scale: Equatable, Sendable {
    /// The factor.
    public var scale: Float
    /// What is added; 0 for forms without.
    public var minimum: Float = 0
  }

  /// The scale of half a group.
  ///
  /// - Parameters:
  ///   - record: One output's numbers of a record.
  ///   - group: The group in the record.
  ///   - half: 0 or 1.
  public func scale(_ record: ArraySlice<UInt8>, group: Int, half: Int) -> Scale {
    func byte(_ offset: Int) -> UInt8 { record[record.startIndex + offset] }
    func signed(_ offset: Int) -> Float { Float(Int8(bitPattern: byte(offset))) }
    func unsigned(_ offset: Int) -> Float { Float(byte(offset)) }
    func real(_ index: Int) -> Float {
      Float(Float16(bitPattern: UInt16(byte(2 * index)) | UInt16(byte(2 * index + 1)) << 8))
    }
    switch format {
    case .q4_0, .q5_0, .q8_0, .iq4_NL:
      return Scale(scale: real(group))
    case .q4_1, .q5_1:
      return Scale(scale: real(2 * group), minimum: real(2 * group + 1))
    case .mxfp4:
      // Half of what the exponent means, since levels are doubled.
      return Scale(scale: Float(sign: .plus, exponent: Int(byte(group)) - 128, significand: 1))
    case .q4_K, .q5_K:
      return Scale(
        scale: real(0) * unsigned(4 + group), minimum: -(real(1) * unsigned(12 + group)))
    case .q2_K:
      let pair = byte(4 + 2 * group + half)
      return Scale(scale: real(0) * Float(pair & 15), minimum: -(real(1) * Float(pair >> 4)))
    case .q3_K, .q6_K:
      return Scale(scale: real(0) * signed(2 + 2 * group + half))
    case .iq4_XS:
      return Scale(scale: real(0) * signed(2 + group))
    case .int8:
      let bits = (0..<4).reduce(UInt32(0)) { $0 | UInt32(byte(8 * group + 4 * half + $1)) << UInt32(8 * $1) }
      return Scale(scale: Float(bitPattern: bits))
    }
  }

  /// One output's numbers of a record, of moderate size.
  public func randomScales(using random: inout some RandomNumberGenerator) -> [UInt8] {
    var bytes = (0..<format.scaleSizes.total).map { _ in UInt8.random(in: .min ... .max, using: &random) }
    if format == .mxfp4 {
      for index in bytes.indices { bytes[index] = UInt8.random(in: 121...131, using: &random) }
    } else if format == .int8 {
      for index in 0..<4 {
        let bits = Float.random(in: -1...1, using: &random).bitPattern
        for byte in 0..<4 { bytes[4 * index + byte] = UInt8(truncatingIfNeeded: bits >> UInt32(8 * byte)) }
      }
    } else {
      for index in 0..<format.scaleSizes.halves / 2 {
        let bits = Float16(Float.random(in: -1...1, using: &random)).bitPattern
        bytes[2 * index] = UInt8(truncatingIfNeeded: bits)
        bytes[2 * index + 1] = UInt8(bits >> 8)
      }
    }
    return bytes
  }
}
