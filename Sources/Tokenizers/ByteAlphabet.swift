/// The alphabet in which byte-level BPE spells bytes as printable characters (GPT-2, 2019).
///
/// Printable Latin-1 characters stand for themselves; the other 68 bytes are U+0100 and following.
package enum ByteAlphabet {
  /// The code point that stands for each byte.
  static let scalars: [UInt32] = {
    var next: UInt32 = 0x100
    return (0..<256).map { (byte: UInt32) in
      switch byte {
      case 0x21...0x7E, 0xA1...0xAC, 0xAE...0xFF: return byte
      default:
        defer { next += 1 }
        return next
      }
    }
  }()

  /// The character that stands for each byte.
  package static let spelledBytes: [String] = scalars.compactMap { Unicode.Scalar($0).map { String($0) } }

  /// The byte that each code point below U+0144 stands for, or -1.
  static let bytes: [Int16] = {
    var bytes = [Int16](repeating: -1, count: 0x144)
    for (byte, scalar) in scalars.enumerated() { bytes[Int(scalar)] = Int16(byte) }
    return bytes
  }()

  /// Appends the bytes that a token stands for, or returns false if it isn't spelled in the alphabet.
  static func appendBytes(of token: UTF8Text, to output: inout [UInt8]) -> Bool {
    let start = output.count
    var position = 0
    while position < token.count {
      let (scalar, length) = token.scalar(at: position)
      position += length
      guard scalar < bytes.count, bytes[Int(scalar)] >= 0 else {
        output.removeSubrange(start...)
        return false
      }
      output.append(UInt8(truncatingIfNeeded: bytes[Int(scalar)]))
    }
    return true
  }
}

/// Decodes tokens that are spelled in the alphabet of byte-level BPE; others stand for themselves.
struct ByteLevelDecoder: TokenDecoder {
  func appendText(of token: UTF8Text, isFirst: Bool, to output: inout [UInt8]) {
    if !ByteAlphabet.appendBytes(of: token, to: &output) { output.append(contentsOf: token) }
  }
}
