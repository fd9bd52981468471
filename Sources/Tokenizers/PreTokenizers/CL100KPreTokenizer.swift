/// The split of OpenAI's `cl100k_base` and its many relatives, Llama 3, Qwen and GLM among them.
///
///     (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
struct CL100KPreTokenizer: PreTokenizer {
  /// The most digits of one piece: 3 in the original, 1 for Qwen.
  var longestNumber: Int
  /// Whether `\p{M}` counts with the letters, as for Qwen 3.5.
  var marksAreLetters: Bool

  func forEachPiece(in text: UTF8Text, _ body: (Range<Int>) -> Bool) -> Bool {
    let scanner = SplitScanner(text: text)
    let letters: UnicodeProperties = marksAreLetters ? [.letter, .mark] : .letter
    var start = 0
    while start < text.count {
      let end = pieceEnd(scanner, start, letters)
      if !body(start..<end) { return false }
      start = end
    }
    return true
  }

  /// The end of the piece at `start`; every code point belongs to a piece.
  @inline(__always)
  private func pieceEnd(_ scanner: SplitScanner, _ start: Int, _ letters: UnicodeProperties) -> Int {
    let first = scanner.character(start)
    if first.scalar == 0x27, let end = scanner.contraction(start, ignoringCase: true) { return end }
    if first.properties.hasAny(letters) { return scanner.run(first.end, of: letters) }
    let isNumber = first.properties.hasAny(.number)
    if !isNumber, first.scalar != 0x0A, first.scalar != 0x0D, first.end < scanner.text.count {
      let second = scanner.character(first.end)
      if second.properties.hasAny(letters) { return scanner.run(second.end, of: letters) }
    }
    if isNumber { return scanner.run(first.end, of: .number, atMost: longestNumber - 1) }
    let wordOrSpace = letters.union([.number, .regexSpace])
    if !first.properties.hasAny(.regexSpace) {
      return scanner.lineBreaks(scanner.run(first.end, ofNone: wordOrSpace))
    }
    if first.scalar == 0x20, first.end < scanner.text.count {
      let second = scanner.character(first.end)
      if !second.properties.hasAny(wordOrSpace) {
        return scanner.lineBreaks(scanner.run(second.end, ofNone: wordOrSpace))
      }
    }
    return scanner.space(start, first.end, breaksAfterLineBreak: true)
  }
}

/// The split of GPT-2.
///
///     's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
struct GPT2PreTokenizer: PreTokenizer {
  func forEachPiece(in text: UTF8Text, _ body: (Range<Int>) -> Bool) -> Bool {
    let scanner = SplitScanner(text: text)
    var start = 0
    while start < text.count {
      let end = pieceEnd(scanner, start)
      if !body(start..<end) { return false }
      start = end
    }
    return true
  }

  @inline(__always)
  private func pieceEnd(_ scanner: SplitScanner, _ start: Int) -> Int {
    var first = scanner.character(start)
    if first.scalar == 0x27, let end = scanner.contraction(start, ignoringCase: false) { return end }
    if first.scalar == 0x20, first.end < scanner.text.count {
      let second = scanner.character(first.end)
      if !second.properties.hasAny(.regexSpace) { first = second }
    }
    if first.properties.hasAny(.letter) { return scanner.run(first.end, of: .letter) }
    if first.properties.hasAny(.number) { return scanner.run(first.end, of: .number) }
    if first.properties.hasAny(.regexSpace) {
      return scanner.space(start, first.end, breaksAfterLineBreak: false)
    }
    return scanner.run(first.end, ofNone: [.letter, .number, .regexSpace])
  }
}

/// The last of the three splits of DeepSeek-V3, in which not every code point belongs to a match.
///
///     [!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
struct DeepSeekV3PreTokenizer: PreTokenizer {
  func forEachPiece(in text: UTF8Text, _ body: (Range<Int>) -> Bool) -> Bool {
    let scanner = SplitScanner(text: text)
    // Where the text begins that no match has covered.
    var gap = 0
    var start = 0
    while start < text.count {
      let first = scanner.character(start)
      guard let end = matchEnd(scanner, start, first) else {
        start = first.end
        continue
      }
      if gap < start, !body(gap..<start) { return false }
      if !body(start..<end) { return false }
      start = end
      gap = end
    }
    return gap == text.count || body(gap..<text.count)
  }

  @inline(__always)
  private func matchEnd(_ scanner: SplitScanner, _ start: Int, _ first: SplitScanner.Character) -> Int? {
    let letters: UnicodeProperties = [.letter, .mark]
    let signs: UnicodeProperties = [.punctuation, .symbol]
    let second = first.end < scanner.text.count ? scanner.character(first.end) : nil
    if first.scalar < 0x80, first.properties.hasAny(signs), let second, scanner.isASCIILetter(second) {
      return scanner.asciiLetters(second.end)
    }
    if first.properties.hasAny(letters) { return scanner.run(first.end, of: letters) }
    if !first.properties.hasAny(signs), first.scalar != 0x0A, first.scalar != 0x0D, let second,
      second.properties.hasAny(letters)
    {
      return scanner.run(second.end, of: letters)
    }
    if first.properties.hasAny(signs) { return scanner.lineBreaks(scanner.run(first.end, of: signs)) }
    if first.scalar == 0x20, let second, second.properties.hasAny(signs) {
      return scanner.lineBreaks(scanner.run(second.end, of: signs))
    }
    guard first.properties.hasAny(.regexSpace) else { return nil }
    return scanner.space(start, first.end, breaksAfterLineBreak: true)
  }
}
