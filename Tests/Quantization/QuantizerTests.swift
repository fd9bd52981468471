import SalanganeFiles
import SalanganeQuantization
import Testing

@Suite struct QuantizerTests {
  /// Types whose blocks follow from the values without a choice.
  static let determinedTypes: [TensorType] = [.q4_0, .q4_1, .q5_0, .q5_1, .q8_0, .mxfp4]
  /// Types whose blocks are searched for, in the order of the goldens.
  static let searchedTypes: [TensorType] = [.q2_K, .q3_K, .q4_K, .q5_K, .q6_K, .iq4_NL, .iq4_XS]
  static let blockTypes = determinedTypes + searchedTypes
  static let encodable: [TensorType] = [.f32, .f16, .bf16] + blockTypes

  /// Encodes values to bytes that start at an odd address.
  private func encode(_ type: TensorType, _ values: [Float]) throws -> [UInt8] {
    let size = try #require(type.byteCount(ofValues: values.count))
    var bytes = [UInt8](repeating: 0xa5, count: size + 2)
    try values.withUnsafeBufferPointer { source in
      try bytes.withUnsafeMutableBytes { destination in
        try Quantizer.encode(type, source, into: .init(rebasing: destination[1..<(size + 1)]))
      }
    }
    #expect(bytes.first == 0xa5 && bytes.last == 0xa5)
    return Array(bytes[1..<(size + 1)])
  }

  @Test(arguments: [TensorType.f16, .bf16] + determinedTypes)
  func valuesEncodeToTheReferenceBitForBit(_ type: TensorType) throws {
    let source = try Goldens.floats("\(type.name).source")
    let expected = try Goldens.bytes("\(type.name).encoded")
    #expect(source.count >= 1024)
    #expect(try encode(type, source) == expected)
  }

  @Test(arguments: TensorType.allCases)
  func noOtherTypesEncode(_ type: TensorType) throws {
    #expect(Quantizer.canEncode(type) == Self.encodable.contains(type))
    guard !Self.encodable.contains(type) else { return }
    #expect(throws: QuantizationError.cannotEncode(type)) {
      _ = try encode(type, [Float](repeating: 0, count: type.valuesPerBlock))
    }
  }

  /// Encodes values and gives what the blocks decode to.
  private func roundTrip(_ type: TensorType, _ values: [Float]) throws -> [Float] {
    let bytes = try encode(type, values)
    var decoded = [Float](repeating: .nan, count: values.count)
    try bytes.withUnsafeBytes { source in
      try decoded.withUnsafeMutableBufferPointer { try Dequantizer.decode(type, source, into: $0) }
    }
    return decoded
  }

  /// The squared error of each row of 256 values.
  private func rowErrors(_ values: [Float], _ expected: [Float]) -> [Double] {
    stride(from: 0, to: expected.count, by: 256).map { start in
      (start..<start + 256).reduce(0) { $0 + pow2(Double(values[$1]) - Double(expected[$1])) }
    }
  }

  private func pow2(_ value: Double) -> Double { value * value }

  @Test(arguments: searchedTypes)
  func searchedBlocksAreAsCloseAsTheReferences(_ type: TensorType) throws {
    let source = try Goldens.floats("search.source")
    let rows = source.count / 256
    let position = try #require(Self.searchedTypes.firstIndex(of: type)) * rows
    let reference = try Goldens.floats("search.errors")[position..<(position + rows)].map(Double.init)
    let errors = rowErrors(try roundTrip(type, source), source)
    // Four rows of a kind together: normal, uniform, heavy-tailed, constant, tiny values and others.
    #expect(rows == 44)
    for first in stride(from: 0, to: rows, by: 4) {
      let error = errors[first..<first + 4].reduce(0, +)
      let limit = reference[first..<first + 4].reduce(0, +)
      #expect(error <= limit * 1.000_001, "rows from \(first)")
    }
  }

  @Test(arguments: searchedTypes)
  func zerosStayZero(_ type: TensorType) throws {
    let values: [Float] = (0..<256).map { $0 % 3 == 0 ? -0.0 : 0 }
    #expect(try roundTrip(type, values).allSatisfy { $0 == 0 })
  }

  @Test(arguments: searchedTypes)
  func aBlockDependsOnItsOwnValuesOnly(_ type: TensorType) throws {
    let source = Array(try Goldens.floats("search.source")[..<(256 * 6)])
    let together = try encode(type, source)
    let apart = try stride(from: 0, to: source.count, by: 256).flatMap { start in
      try encode(type, Array(source[start..<start + 256]))
    }
    #expect(together == apart)
  }

  @Test(arguments: searchedTypes)
  func valuesBelowWhatHalvesHoldKeepTheLeastScale(_ type: TensorType) throws {
    // A super-scale that rounds to zero would make zeros of values that its least multiples hold.
    let values = (0..<256).map { Float($0 % 2 == 0 ? 1 : -1) * 0x1p-18 }
    let decoded = try roundTrip(type, values)
    #expect(zip(decoded, values).allSatisfy { ($0 - $1).magnitude < $1.magnitude / 2 })
  }

  @Test(arguments: [TensorType.f32, .f16, .bf16])
  func decodedValuesEncodeToTheSameBits(_ type: TensorType) throws {
    let size = type.bytesPerBlock
    // All 16-bit patterns but signalling NaN, which encoders make quiet; for f32 they are the upper half.
    let patterns = (0...UInt16.max).filter { type == .f32 || !Float(bitsOf: type, $0).isNaN }
    let bytes = patterns.flatMap { pattern in
      [UInt8](repeating: 0, count: size - 2) + [UInt8(truncatingIfNeeded: pattern), UInt8(pattern >> 8)]
    }
    var values = [Float](repeating: 0, count: patterns.count)
    try bytes.withUnsafeBytes { source in
      try values.withUnsafeMutableBufferPointer { try Dequantizer.decode(type, source, into: $0) }
    }
    #expect(try encode(type, values) == bytes)
  }

  @Test func halvesRoundAsTheRuntimeRounds() throws {
    // Every half, the midpoint to its successor, and the floats next to that on both sides.
    var values: [Float] = []
    for pattern in stride(from: UInt16(0), to: 0x7c00, by: 7) {
      let value = Float(Float16(bitPattern: pattern))
      let next = pattern == 0x7bff ? 65536 : Float(Float16(bitPattern: pattern + 1))
      let middle = (value + next) / 2
      values += [value, middle, middle.nextDown, -middle.nextUp]
    }
    let expected = values.flatMap { value in
      let bits = Float16(value).bitPattern
      return [UInt8(truncatingIfNeeded: bits), UInt8(bits >> 8)]
    }
    #expect(try encode(.f16, values) == expected)
  }

  @Test func notANumberStaysOneInPlainTypes() throws {
    let values = [Float.nan, -.nan, Float(bitPattern: 0x7f80_0001), Float(bitPattern: 0xffff_ffff)]
    #expect(F16.bits(values[0]) == 0x7e00)
    #expect(F16.bits(values[1]) == 0xfe00)
    #expect(F16.bits(values[2]) == 0x7e00)
    #expect(F16.bits(values[3]) == 0xffff)
    #expect(values.map(BF16.bits) == [0x7fc0, 0xffc0, 0x7fc0, 0xffff])
  }

  @Test(arguments: blockTypes)
  func whatABlockCannotHoldIsRefused(_ type: TensorType) throws {
    let greatestMagnitude = Quantizer.format(of: type)?.greatestMagnitude
    let greatest = try #require(greatestMagnitude)
    for bad in [Float.nan, .infinity, -.infinity, greatest.nextUp, -greatest.nextUp] {
      var values = [Float](repeating: 1, count: 256)
      values[45] = bad
      #expect(throws: QuantizationError.notRepresentable(type, index: 45)) { _ = try encode(type, values) }
    }
    // The greatest magnitude itself still decodes to finite values.
    for extreme in [greatest, -greatest] {
      var values = [Float](repeating: -extreme, count: 256)
      values[3] = extreme
      #expect(try roundTrip(type, values).allSatisfy { $0.isFinite })
      // Nothing else in the block: the scale is all that this value needs.
      values = [Float](repeating: 0, count: 256)
      values[3] = extreme
      let decoded = try roundTrip(type, values)
      #expect((decoded[3] - extreme).magnitude <= greatest / 3)
    }
  }

  @Test(arguments: blockTypes)
  func noValuesTrapTheEncoders(_ type: TensorType) throws {
    let format = try #require(Quantizer.format(of: type))
    let extremes: [Float] = [
      .nan, .infinity, -.infinity, .greatestFiniteMagnitude, -.greatestFiniteMagnitude,
      .leastNonzeroMagnitude,
      -.leastNonzeroMagnitude, .leastNormalMagnitude, 0, -0.0, 1, -1e30,
    ]
    var bytes = [UInt8](repeating: 0, count: type.bytesPerBlock)
    for first in extremes {
      for second in extremes {
        let values = (0..<type.valuesPerBlock).map { $0 % 3 == 0 ? first : second }
        format.encode(values, into: &bytes)
      }
    }
  }

  @Test(arguments: [TensorType.q4_0, .q4_1, .q5_0, .q5_1, .q8_0])
  func whatIsTooGreatDoesNotBecomePlausible(_ type: TensorType) throws {
    let format = try #require(Quantizer.format(of: type))
    var bytes = [UInt8](repeating: 0, count: type.bytesPerBlock)
    format.encode([Float](repeating: -1e30, count: 32), into: &bytes)
    var decoded = [Float](repeating: 0, count: 32)
    format.decode(bytes, into: &decoded)
    #expect(!decoded.contains { $0.isFinite })
  }

  @Test func sizesThatDoNotFitAreRefused() {
    var bytes = [UInt8](repeating: 0, count: 34)
    #expect(throws: QuantizationError.sizeMismatch(.q8_0, bytes: 34, values: 33)) {
      try [Float](repeating: 0, count: 33).withUnsafeBufferPointer { source in
        try bytes.withUnsafeMutableBytes { try Quantizer.encode(.q8_0, source, into: $0) }
      }
    }
  }
}

extension Float {
  /// The value of a 16-bit pattern.
  fileprivate init(bitsOf type: TensorType, _ bits: UInt16) {
    self = type == .f16 ? F16.float(bits) : BF16.float(bits)
  }
}
