/// Finds the text of a value in JSON, so that it can be handed on as it was written: a number of any size,
/// with all its digits.
///
/// The JSON must be valid: check it first.
struct RawJSON {
  private let json: [UInt8]
  private var position = 0

  private init(_ json: [UInt8]) { self.json = json }

  /// The text of the value of member number `wanted` of the object in `json`; nil if there are fewer.
  static func value(ofMember wanted: Int, in json: [UInt8]) -> ArraySlice<UInt8>? {
    var scanner = RawJSON(json)
    scanner.skip("{")
    var member = 0
    while scanner.current == UInt8(ascii: "\"") {
      scanner.skipValue()
      scanner.skip(":")
      let start = scanner.position
      scanner.skipValue()
      if member == wanted { return json[start..<scanner.position] }
      scanner.skip(",")
      member += 1
    }
    return nil
  }

  private var current: UInt8? { position < json.count ? json[position] : nil }

  private mutating func skipSpace() {
    while let byte = current, byte == 0x20 || (0x09...0x0D).contains(byte) { position += 1 }
  }

  /// Moves behind `mark` and the white space around it, if it comes next.
  private mutating func skip(_ mark: Unicode.Scalar) {
    skipSpace()
    if current == UInt8(ascii: mark) { position += 1 }
    skipSpace()
  }

  private mutating func skipString() {
    position += 1
    while let byte = current, byte != UInt8(ascii: "\"") {
      position += byte == UInt8(ascii: "\\") ? 2 : 1
    }
    position += 1
  }

  private mutating func skipValue() {
    var depth = 0
    while let byte = current {
      switch byte {
      case UInt8(ascii: "\""):
        skipString()
        if depth == 0 { return }
        continue
      case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
      case UInt8(ascii: "}"), UInt8(ascii: "]"):
        if depth == 0 { return }
        depth -= 1
        if depth == 0 {
          position += 1
          return
        }
      case UInt8(ascii: ","), 0x20, 0x09...0x0D:
        if depth == 0 { return }
      default: break
      }
      position += 1
    }
  }
}
