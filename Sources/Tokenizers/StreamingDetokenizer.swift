/// Turns tokens into text as they come, and never gives out a part of a character.
///
/// The pieces put together are what `decode` gives for all tokens at once.
public struct StreamingDetokenizer: Sendable {
  private let tokenizer: any TextTokenizer
  private let skipsSpecialTokens: Bool
  private var isFirst = true
  /// Bytes that may become a character with what follows, at most three between calls.
  private var pending: [UInt8] = []

  /// Creates a detokenizer at the beginning of a text.
  public init(_ tokenizer: any TextTokenizer, skippingSpecialTokens: Bool = true) {
    self.tokenizer = tokenizer
    skipsSpecialTokens = skippingSpecialTokens
  }

  /// Takes the next token and returns the text that is complete with it, often empty.
  ///
  /// - Throws: `TokenizerError.unknownID` for an id without a token; the state stays as it was.
  public mutating func append(_ id: Int32) throws(TokenizerError) -> String {
    if skipsSpecialTokens, tokenizer.isSpecial(id) { return "" }
    try tokenizer.appendText(of: id, isFirst: isFirst, to: &pending)
    isFirst = false
    let complete = pending.count - Self.incompleteSuffix(pending)
    let text = String(decoding: pending[..<complete], as: UTF8.self)
    pending.removeSubrange(..<complete)
    return text
  }

  /// Returns what is left at the end of the text: nothing, or U+FFFD for a character that isn't complete.
  public mutating func finish() -> String {
    let text = String(decoding: pending, as: UTF8.self)
    pending.removeAll()
    isFirst = true
    return text
  }

  /// How many bytes at the end begin a character that isn't complete and still can become one.
  private static func incompleteSuffix(_ bytes: [UInt8]) -> Int {
    for length in 1...3 where length <= bytes.count {
      let lead = bytes[bytes.count - length]
      if lead & 0xC0 == 0x80 { continue }
      let wanted =
        switch lead {
        case 0xC2...0xDF: 2
        case 0xE0...0xEF: 3
        case 0xF0...0xF4: 4
        default: 0
        }
      guard wanted > length else { return 0 }
      guard length > 1 else { return length }
      // The second byte rules out overlong forms, surrogates and what is beyond U+10FFFF.
      let second = bytes[bytes.count - length + 1]
      let range: ClosedRange<UInt8> =
        switch lead {
        case 0xE0: 0xA0...0xBF
        case 0xED: 0x80...0x9F
        case 0xF0: 0x90...0xBF
        case 0xF4: 0x80...0x8F
        default: 0x80...0xBF
        }
      return range.contains(second) ? length : 0
    }
    return 0
  }
}
