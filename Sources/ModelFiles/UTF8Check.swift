/// Checks of text in files (RFC 3629).
enum UTF8Check {
  /// How many bytes the well-formed sequence at `position` takes: 1 to 4, or 0 if it is ill-formed.
  ///
  /// The ranges are those of the Unicode standard's table 3-7: no overlong forms, no surrogates, nothing
  /// beyond U+10FFFF.
  static func sequenceLength(_ text: UnsafeBufferPointer<UInt8>, at position: Int) -> Int {
    func isContinuation(_ offset: Int, _ range: ClosedRange<UInt8> = 0x80...0xBF) -> Bool {
      position + offset < text.count && range.contains(text[position + offset])
    }
    let lead = text[position]
    switch lead {
    case 0x00...0x7F: return 1
    case 0xC2...0xDF: return isContinuation(1) ? 2 : 0
    case 0xE0...0xEF:
      let second: ClosedRange<UInt8> = lead == 0xE0 ? 0xA0...0xBF : lead == 0xED ? 0x80...0x9F : 0x80...0xBF
      return isContinuation(1, second) && isContinuation(2) ? 3 : 0
    case 0xF0...0xF4:
      let second: ClosedRange<UInt8> = lead == 0xF0 ? 0x90...0xBF : lead == 0xF4 ? 0x80...0x8F : 0x80...0xBF
      return isContinuation(1, second) && isContinuation(2) && isContinuation(3) ? 4 : 0
    default: return 0
    }
  }

  /// True if all of `text` is well-formed UTF-8.
  static func isValid(_ text: UnsafeRawBufferPointer) -> Bool {
    text.withMemoryRebound(to: UInt8.self) { text in
      var position = 0
      while position < text.count {
        if position &+ 8 <= text.count,
          UnsafeRawPointer(text.baseAddress!).loadUnaligned(fromByteOffset: position, as: UInt64.self)
            & 0x8080_8080_8080_8080 == 0
        {
          position &+= 8
          continue
        }
        let length = sequenceLength(text, at: position)
        if length == 0 { return false }
        position &+= length
      }
      return true
    }
  }
}
