/// Turns tokens back into text, one at a time.
protocol TokenDecoder: Sendable {
  /// Appends the bytes that a token stands for.
  ///
  /// - Parameters:
  ///   - token: The token as the vocabulary spells it.
  ///   - isFirst: True if no token comes before it.
  ///   - output: Where the bytes go; what it holds already is left alone.
  func appendText(of token: UTF8Text, isFirst: Bool, to output: inout [UInt8])
}

/// Joins the tokens with spaces: what the tokenizers library does where no decoder is named.
struct SpaceJoiningDecoder: TokenDecoder {
  func appendText(of token: UTF8Text, isFirst: Bool, to output: inout [UInt8]) {
    if !isFirst { output.append(UInt8(ascii: " ")) }
    output.append(contentsOf: token)
  }
}

/// Puts spaces between words and none within them (`WordPiece` decoder of the tokenizers library).
struct WordPieceDecoder: TokenDecoder {
  /// What marks a token that continues a word.
  var prefix: [UInt8]
  /// Whether the spaces before English punctuation and contractions are taken out.
  var cleansUp: Bool

  func appendText(of token: UTF8Text, isFirst: Bool, to output: inout [UInt8]) {
    var text: [UInt8] = []
    if isFirst {
      text.append(contentsOf: token)
    } else if token.starts(with: prefix) {
      text.append(contentsOf: token[prefix.count...])
    } else {
      text.append(UInt8(ascii: " "))
      text.append(contentsOf: token)
    }
    if cleansUp {
      for (pattern, replacement) in Self.contractions where text.count >= pattern.count {
        let normalizer = ReplaceNormalizer(pattern: pattern, replacement: replacement)
        var cleaned: [UInt8] = []
        text.withUnsafeBufferPointer { normalizer.normalize($0, into: &cleaned) }
        text = cleaned
      }
    }
    output.append(contentsOf: text)
  }

  /// What is replaced, in this order.
  private static let contractions: [([UInt8], [UInt8])] = [
    (" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'"), (" n't", "n't"), (" 'm", "'m"),
    (" do not", " don't"), (" 's", "'s"), (" 've", "'ve"), (" 're", "'re"),
  ].map { (Array($0.0.utf8), Array($0.1.utf8)) }
}
