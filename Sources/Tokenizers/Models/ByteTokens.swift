/// The tokens that stand for single bytes, spelled `<0x00>` to `<0xFF>`, as SentencePiece names them.
struct ByteTokens: Sendable, Equatable {
  /// The id of each byte, or -1.
  private(set) var ids: [Int32]

  /// Finds the tokens of a vocabulary.
  init(_ vocabulary: Vocabulary) {
    ids = (0..<256).map { byte in
      let spelling = Self.spelling(UInt8(byte))
      return spelling.withUnsafeBufferPointer { vocabulary.id(of: $0) } ?? -1
    }
  }

  /// The first byte without a token, if there is one.
  var firstMissing: UInt8? { ids.firstIndex { $0 < 0 }.map { UInt8($0) } }

  /// Appends the tokens of all `bytes`; appends nothing and returns false if one has none.
  func append(_ bytes: UTF8Text, to output: inout [Int32]) -> Bool {
    for byte in bytes where ids[Int(byte)] < 0 { return false }
    for byte in bytes { output.append(ids[Int(byte)]) }
    return true
  }

  /// The token of a byte, as vocabularies spell it.
  static func spelling(_ byte: UInt8) -> [UInt8] {
    let digits = Array("0123456789ABCDEF".utf8)
    return Array("<0x".utf8) + [digits[Int(byte >> 4)], digits[Int(byte & 15)], UInt8(ascii: ">")]
  }

  /// The byte that a token is spelled as, if it is spelled as one.
  @inline(__always)
  static func byte(of token: UTF8Text) -> UInt8? {
    guard token.count == 6, token[0] == UInt8(ascii: "<"), token[1] == UInt8(ascii: "0"),
      token[2] == UInt8(ascii: "x"), token[5] == UInt8(ascii: ">"),
      let high = digit(token[3]), let low = digit(token[4])
    else { return nil }
    return high << 4 | low
  }

  private static func digit(_ character: UInt8) -> UInt8? {
    switch character {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): character - UInt8(ascii: "0")
    case UInt8(ascii: "A")...UInt8(ascii: "F"): character - UInt8(ascii: "A") + 10
    case UInt8(ascii: "a")...UInt8(ascii: "f"): character - UInt8(ascii: "a") + 10
    default: nil
    }
  }
}
