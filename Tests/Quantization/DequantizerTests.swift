import SalanganeFiles
import SalanganeQuantization
import Testing

@Suite struct DequantizerTests {
  static let blockTypes = TensorType.allCases.filter(\.isQuantized)
  static let integerTypes: [TensorType] = [.i8, .i16, .i32, .i64, .u8, .u16, .u32, .u64]

  /// Decodes bytes that start at an odd address, and checks that nothing is written beyond the values.
  private func decode(_ type: TensorType, _ bytes: [UInt8]) throws -> [Float] {
    let count = bytes.count / type.bytesPerBlock * type.valuesPerBlock
    let shifted = [0] + bytes
    let guardValue: Float = 12345.678
    var values = [Float](repeating: guardValue, count: count + 8)
    try shifted.withUnsafeBytes { source in
      try values.withUnsafeMutableBufferPointer { destination in
        try Dequantizer.decode(
          type, UnsafeRawBufferPointer(rebasing: source[1...]),
          into: UnsafeMutableBufferPointer(rebasing: destination[..<count]))
      }
    }
    #expect(values[count...].allSatisfy { $0 == guardValue })
    return Array(values[..<count])
  }

  @Test(arguments: blockTypes)
  func blocksDecodeToTheReferenceBitForBit(_ type: TensorType) throws {
    let blocks = try Goldens.bytes("\(type.name).blocks")
    let expected = try Goldens.floats("\(type.name).floats")
    #expect(expected.count == 13 * type.valuesPerBlock)
    #expect(mismatches(try decode(type, blocks), expected).isEmpty)
  }

  @Test(arguments: blockTypes)
  func oneBlockDecodesAsAmongOthers(_ type: TensorType) throws {
    let format = try #require(Dequantizer.format(of: type))
    let blocks = try Goldens.bytes("\(type.name).blocks")
    let expected = try Goldens.floats("\(type.name).floats")
    var values = [Float](repeating: 0, count: type.valuesPerBlock)
    blocks.withUnsafeBytes { format.decode($0.baseAddress! + 3 * type.bytesPerBlock, into: &values) }
    #expect(mismatches(values, Array(expected[(3 * values.count)..<(4 * values.count)])).isEmpty)
  }

  @Test(arguments: [TensorType.f8_E4M3, .f8_E5M2, .f8_E8M0])
  func everyFP8PatternDecodesToTheReference(_ type: TensorType) throws {
    let blocks = try Goldens.bytes("\(type.name).blocks")
    let expected = try Goldens.floats("\(type.name).floats")
    #expect(expected.count == 256)
    let values = try decode(type, blocks)
    #expect(mismatches(values, expected).isEmpty)
    #expect(values.map(\.isNaN) == expected.map(\.isNaN))
  }

  @Test func everyHalfDecodesExactly() throws {
    let patterns = (0...UInt16.max).flatMap { [UInt8(truncatingIfNeeded: $0), UInt8($0 >> 8)] }
    let values = try decode(.f16, patterns)
    // This conversion is the runtime's own.
    let expected = (0...UInt16.max).map { Float(Float16(bitPattern: $0)) }
    #expect(mismatches(values, expected).isEmpty)
    for pattern in UInt16(0x7c01)...0x7fff {
      #expect(values[Int(pattern)].bitPattern == 0x7f80_0000 | UInt32(pattern & 0x3ff) << 13)
      #expect(values[Int(pattern | 0x8000)].bitPattern == 0xff80_0000 | UInt32(pattern & 0x3ff) << 13)
    }
  }

  @Test func everyBrainFloatDecodesExactly() throws {
    let patterns = (0...UInt16.max).flatMap { [UInt8(truncatingIfNeeded: $0), UInt8($0 >> 8)] }
    let values = try decode(.bf16, patterns)
    #expect((0...UInt16.max).allSatisfy { values[Int($0)].bitPattern == UInt32($0) << 16 })
  }

  @Test func singlesKeepTheirBits() throws {
    let patterns: [UInt32] = [
      0, 0x8000_0000, 1, 0x7f80_0000, 0x7fa0_0001, 0xffff_ffff, 0x3f80_0000, 0xdead_beef,
    ]
    let bytes = patterns.flatMap { pattern in (0..<4).map { UInt8(truncatingIfNeeded: pattern >> ($0 * 8)) } }
    #expect(try decode(.f32, bytes).map(\.bitPattern) == patterns)
  }

  @Test func doublesRoundToTheNearestEven() throws {
    let doubles: [Double] = [
      0, -0.0, 1 + 0x1p-24, 1 + 0x3p-24, -0.1, 1e300, -1e300, 0x1p-149, 0x1p-150, .infinity,
    ]
    let bytes = doubles.flatMap { value in
      (0..<8).map { UInt8(truncatingIfNeeded: value.bitPattern >> UInt64($0 * 8)) }
    }
    let expected: [Float] = [0, -0.0, 1, 1 + 0x1p-22, -0.1, .infinity, -.infinity, 0x1p-149, 0, .infinity]
    #expect(mismatches(try decode(.f64, bytes), expected).isEmpty)
    #expect(try decode(.f64, [0, 0, 0, 0, 0, 0, 0xf8, 0x7f])[0].isNaN)
  }

  @Test(arguments: integerTypes)
  func integersDecodeToTheNearestFloat(_ type: TensorType) throws {
    let size = type.bytesPerBlock
    let zero = [UInt8](repeating: 0, count: size)
    let ones = [UInt8](repeating: 0xff, count: size)
    let top = [UInt8](repeating: 0, count: size - 1) + [0x80]
    let seven = [7] + [UInt8](repeating: 0, count: size - 1)
    let bits = Float(size * 8)
    let power = Float(sign: .plus, exponent: Int(bits) - 1, significand: 1)
    let isSigned = type.name.hasPrefix("I")
    let greatest = size <= 2 ? power * 2 - 1 : power * 2
    let expected = isSigned ? [0, -1, -power, 7] : [0, greatest, power, 7]
    #expect(try decode(type, zero + ones + top + seven) == expected)
  }

  @Test func truthValuesDecodeToZeroAndOne() throws {
    #expect(try decode(.bool, [0, 1, 255, 0, 2]) == [0, 1, 1, 0, 1])
  }

  @Test(arguments: TensorType.allCases)
  func theFormatOfATypeIsItsOwn(_ type: TensorType) throws {
    #expect(Dequantizer.canDecode(type) == (type != .c64))
    if type != .c64 { #expect(try #require(Dequantizer.format(of: type)).type == type) }
  }

  @Test func complexNumbersAreRefused() {
    #expect(throws: QuantizationError.cannotDecode(.c64)) { _ = try decode(.c64, [0, 0, 0, 0, 0, 0, 0, 0]) }
  }

  @Test(arguments: [
    (TensorType.q4_0, 18, 31), (.q4_0, 17, 32), (.q4_0, 36, 32), (.f16, 3, 1), (.q6_K, 0, 256),
  ])
  func sizesThatDoNotFitAreRefused(type: TensorType, bytes: Int, values: Int) {
    let source = [UInt8](repeating: 0, count: bytes)
    var destination = [Float](repeating: 0, count: values)
    #expect(throws: QuantizationError.sizeMismatch(type, bytes: bytes, values: values)) {
      try source.withUnsafeBytes { source in
        try destination.withUnsafeMutableBufferPointer { try Dequantizer.decode(type, source, into: $0) }
      }
    }
  }

  @Test(arguments: TensorType.allCases.filter { $0 != .c64 })
  func nothingDecodesToNothing(_ type: TensorType) throws {
    try Dequantizer.decode(
      type, UnsafeRawBufferPointer(start: nil, count: 0), into: .init(start: nil, count: 0))
  }
}
