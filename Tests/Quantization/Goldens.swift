import Foundation
import SalanganeFiles

/// The files that `Tests/Goldens/make_quantization.py` writes.
enum Goldens {
  private static let folder = URL(filePath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().appending(path: "Goldens/quantization")

  /// The content of a file.
  static func bytes(_ name: String) throws -> [UInt8] {
    [UInt8](try Data(contentsOf: folder.appending(path: name)))
  }

  /// The content of a file of 32-bit floats.
  static func floats(_ name: String) throws -> [Float] {
    let bytes = try bytes(name)
    return bytes.withUnsafeBytes { buffer in
      (0..<bytes.count / 4).map { index in
        Float(
          bitPattern: UInt32(littleEndian: buffer.loadUnaligned(fromByteOffset: index * 4, as: UInt32.self)))
      }
    }
  }
}

/// The indexes at which two lists of floats differ in their bits; NaN matches NaN.
func mismatches(_ values: [Float], _ expected: [Float]) -> [Int] {
  guard values.count == expected.count else { return [min(values.count, expected.count)] }
  return values.indices.filter { index in
    values[index].bitPattern != expected[index].bitPattern
      && !(values[index].isNaN && expected[index].isNaN)
  }
}
