/// Turns the tokens of SentencePiece models into text.
struct SentencePieceDecoder: TokenDecoder {
  /// Whether the space at the beginning of the text is dropped.
  var dropsFirstSpace: Bool
  /// Whether tokens like `<0x0A>` are bytes.
  var hasByteTokens: Bool
  /// The unknown token and what is written for it.
  var unknown: (token: [UInt8], text: [UInt8])?

  func appendText(of token: UTF8Text, isFirst: Bool, to output: inout [UInt8]) {
    if hasByteTokens, let byte = ByteTokens.byte(of: token) { return output.append(byte) }
    if let unknown, token.elementsEqual(unknown.token) { return output.append(contentsOf: unknown.text) }
    let mark = CharacterBPE.spaceMark
    var position = 0
    if isFirst, dropsFirstSpace, token.starts(with: mark) { position = mark.count }
    while position < token.count {
      if token[position] == mark[0], token[position...].starts(with: mark) {
        output.append(0x20)
        position += mark.count
      } else {
        output.append(token[position])
        position += 1
      }
    }
  }
}

/// The decoders of a tokenizer.json, one after the other.
struct SequenceDecoder: TokenDecoder {
  /// What is done to each token.
  enum Step: Sendable, Equatable {
    /// Replaces a fixed text, which isn't empty.
    case replace(pattern: [UInt8], replacement: [UInt8])
    /// Makes a byte of a token like `<0x0A>`.
    case bytes
    /// Drops a fixed text at the ends, at most so many times.
    case strip(content: [UInt8], start: Int, end: Int)
    /// Drops a fixed text at the beginning of the whole text, at most so many times.
    case stripFirst(content: [UInt8], count: Int)
    /// Makes spaces of marks; those of the first token go, if asked for.
    case spaces(mark: [UInt8], dropsFirst: Bool)
  }

  var steps: [Step]

  func appendText(of token: UTF8Text, isFirst: Bool, to output: inout [UInt8]) {
    var text = Array(token)
    for step in steps {
      switch step {
      case .replace(let pattern, let replacement):
        text = Self.replacing(pattern, by: replacement, in: text)
      case .bytes:
        if let byte = text.withUnsafeBufferPointer(ByteTokens.byte) { text = [byte] }
      case .strip(let content, let start, let end):
        Self.strip(content, start, &text)
        var left = end
        while left > 0, text.count >= content.count, text.suffix(content.count).elementsEqual(content) {
          text.removeLast(content.count)
          left -= 1
        }
      case .stripFirst(let content, let count):
        if isFirst { Self.strip(content, count, &text) }
      case .spaces(let mark, let dropsFirst):
        text = Self.replacing(mark, by: isFirst && dropsFirst ? [] : [0x20], in: text)
      }
    }
    output.append(contentsOf: text)
  }

  private static func strip(_ content: [UInt8], _ count: Int, _ text: inout [UInt8]) {
    var left = count
    while left > 0, text.starts(with: content) {
      text.removeFirst(content.count)
      left -= 1
    }
  }

  private static func replacing(_ pattern: [UInt8], by replacement: [UInt8], in text: [UInt8]) -> [UInt8] {
    let normalizer = ReplaceNormalizer(pattern: pattern, replacement: replacement)
    var output: [UInt8] = []
    text.withUnsafeBufferPointer { normalizer.normalize($0, into: &output) }
    return output
  }
}
