/// What SentencePiece does to a text before it is split (`NormalizerSpec` of its model files).
struct SentencePieceNormalizer: Normalizer {
  /// The rules of replacement, if there are any.
  var characterMap: CharacterMap?
  /// Whether the text gets a space at its beginning.
  var addsDummyPrefix: Bool
  /// Whether spaces at the ends are removed, and runs of them made one.
  var removesExtraWhitespaces: Bool
  /// Whether spaces become U+2581.
  var escapesWhitespaces = true
  /// Tokens that no rule applies to.
  var userDefined: TokenTrie?

  func normalize(_ text: UTF8Text, into output: inout [UInt8]) {
    let space: [UInt8] = escapesWhitespaces ? CharacterBPE.spaceMark : [0x20]
    output.reserveCapacity(output.count + text.count + text.count / 2 + 8)
    let first = output.count
    var position = 0
    if removesExtraWhitespaces {
      while position < text.count {
        var isSpace = false
        let end = forPrefix(of: text, at: position) { isSpace = $0.count == 1 && $0[0] == 0x20 }
        if !isSpace { break }
        position = end
      }
    }
    if position == text.count { return }
    if addsDummyPrefix { output.append(contentsOf: space) }

    var afterSpace = removesExtraWhitespaces
    while position < text.count {
      // Most characters stand for themselves.
      let byte = text[position]
      if byte < 0x80, byte != 0x20, userDefined == nil,
        characterMap == nil
          || position + 1 < text.count && text[position + 1] < 0x80
            && characterMap?.stays(byte) == true
      {
        output.append(byte)
        position += 1
        afterSpace = false
        continue
      }
      position = forPrefix(of: text, at: position) { part in
        var index = 0
        if afterSpace { while index < part.count, part[index] == 0x20 { index += 1 } }
        guard index < part.count else { return }
        for byte in part[index...] {
          if byte == 0x20 { output.append(contentsOf: space) } else { output.append(byte) }
        }
        afterSpace = removesExtraWhitespaces && part[part.count - 1] == 0x20
      }
    }
    guard removesExtraWhitespaces else { return }
    while output.count - first >= space.count, output.suffix(space.count).elementsEqual(space) {
      output.removeLast(space.count)
    }
  }

  /// Calls `body` with what the beginning of the text at `start` becomes, and returns where that ends.
  @inline(__always)
  private func forPrefix(of text: UTF8Text, at start: Int, _ body: (UTF8Text) -> Void) -> Int {
    if let match = userDefined?.longestPrefix(of: text, at: start) {
      body(text.slice(start..<match.end))
      return match.end
    }
    if let (end, bytes) = characterMap?.replacement(of: text, at: start) {
      bytes.withUnsafeBufferPointer(body)
      return end
    }
    let end = start + text.scalar(at: start).length
    body(text.slice(start..<end))
    return end
  }
}
