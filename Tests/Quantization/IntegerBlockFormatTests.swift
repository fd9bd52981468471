import SalanganeFiles
import SalanganeKernels
import SalanganeQuantization
import SalanganeTensors
import SalanganeTestSupport
import Testing

/// Blocks taken apart into codes and scales, which the kernels' packed forms give a meaning to.
@Suite struct IntegerBlockFormatTests {
  static let types = TensorType.allCases.filter { Dequantizer.format(of: $0) is any IntegerBlockFormat.Type }

  /// A block of a type, its bytes at random: every number is finite, as half-precision ones are made so.
  private func randomBlock(_ type: TensorType, using random: inout SplitMix64) throws -> [UInt8] {
    let format = try #require(Dequantizer.format(of: type))
    while true {
      let block = (0..<type.bytesPerBlock).map { _ in UInt8.random(in: .min ... .max, using: &random) }
      var values = [Float](repeating: 0, count: type.valuesPerBlock)
      block.withUnsafeBytes { format.decode($0.baseAddress!, into: &values) }
      if values.allSatisfy(\.isFinite) { return block }
    }
  }

  @Test func theFormatsThatKernelsKnow() {
    // All that are stored in blocks, but for those that only activations are stored in.
    let blocks = TensorType.allCases.filter { $0.isQuantized && $0 != .q8_1 && $0 != .q8_K }
    #expect(Set(Self.types) == Set(blocks))
    for type in TensorType.allCases {
      #expect((QuantizedFormat(type) != nil) == Self.types.contains(type), "\(type)")
    }
  }

  /// `scale * level + minimum` of what a block is taken apart into has the bits of what it decodes to.
  @Test(arguments: types)
  func partsGiveTheDecodedValues(type: TensorType) throws {
    let format = try #require(Dequantizer.format(of: type) as? any IntegerBlockFormat.Type)
    let packed = try #require(QuantizedFormat(type))
    let reference = PackedFormatReference(format: packed)
    let blocks = 40
    // Scales of whole records, since a record may have several blocks.
    let groups = blocks * type.valuesPerBlock / 32
    let perRecord = packed.shape.groupsPerRecord
    let recordBytes = packed.scaleSizes.total
    #expect(format.scaleBytesPerBlock * blocks == groups / perRecord * recordBytes)
    var random = SplitMix64(seed: UInt64(type.valuesPerBlock + type.bytesPerBlock))
    // At an odd address.
    let bytes = try (0..<blocks).reduce(into: [UInt8(0xA5)]) { bytes, _ in
      bytes += try randomBlock(type, using: &random)
    }
    var values = [Float](repeating: .nan, count: blocks * type.valuesPerBlock)
    var codes = [UInt8](repeating: 0xA5, count: values.count + 1)
    var scales = [UInt8](repeating: 0xA5, count: blocks * format.scaleBytesPerBlock + 1)
    bytes.withUnsafeBytes { bytes in
      scales.withUnsafeMutableBytes { scales in
        let first = bytes.baseAddress! + 1
        format.decode(first, count: blocks, into: &values)
        format.split(first, count: blocks, codes: &codes, scales: scales.baseAddress!)
      }
    }
    #expect(codes.last == 0xA5 && scales.last == 0xA5)
    #expect(codes.dropLast().allSatisfy { Int($0) < reference.codeCount })
    for (index, value) in values.enumerated() {
      let (record, group) = (index / 32).quotientAndRemainder(dividingBy: perRecord)
      let part = scales[record * recordBytes..<(record + 1) * recordBytes]
      let scale = reference.scale(part, group: group, half: index % 32 / 16)
      let level = Float(reference.level(codes[index]))
      let expected = packed.shape.hasMinimum ? scale.scale * level + scale.minimum : scale.scale * level
      #expect(value.bitPattern == expected.bitPattern, "value \(index)")
    }
  }
}
