/// What the hand-written scanners of split patterns have in common.
struct SplitScanner {
  let text: UTF8Text
  private let tables = UnicodeTables.shared

  init(text: UTF8Text) {
    self.text = text
  }

  /// A code point with its place.
  struct Character {
    var scalar: UInt32
    var end: Int
    var properties: UnicodeProperties
  }

  /// The code point at `position`.
  @inline(__always)
  func character(_ position: Int) -> Character {
    let (scalar, length) = text.scalar(at: position)
    return Character(
      scalar: scalar, end: position &+ length, properties: tables.properties(of: scalar))
  }

  /// The end of the run of code points from `position` on that have any of `properties`.
  @inline(__always)
  func run(_ position: Int, of properties: UnicodeProperties, atMost limit: Int = .max) -> Int {
    var position = position
    var left = limit
    while position < text.count, left > 0 {
      let next = character(position)
      guard next.properties.hasAny(properties) else { break }
      position = next.end
      left &-= 1
    }
    return position
  }

  /// The end of the run of code points from `position` on that have none of `properties`.
  @inline(__always)
  func run(_ position: Int, ofNone properties: UnicodeProperties) -> Int {
    var position = position
    while position < text.count {
      let next = character(position)
      guard !next.properties.hasAny(properties) else { break }
      position = next.end
    }
    return position
  }

  /// The end of `[\r\n]*`.
  @inline(__always)
  func lineBreaks(_ position: Int) -> Int {
    var position = position
    while position < text.count, text[position] == 0x0A || text[position] == 0x0D { position += 1 }
    return position
  }

  /// The end of `\s*[\r\n]+|\s+(?!\S)|\s+`, or without the first alternative, for white space at `start`
  /// whose first code point ends at `firstEnd`.
  func space(_ start: Int, _ firstEnd: Int, breaksAfterLineBreak: Bool) -> Int {
    var end = start
    var last = start
    var afterLineBreak = -1
    while end < text.count {
      let next = character(end)
      guard next.properties.hasAny(.regexSpace) else { break }
      last = end
      end = next.end
      if next.scalar == 0x0A || next.scalar == 0x0D { afterLineBreak = end }
    }
    if breaksAfterLineBreak, afterLineBreak >= 0 { return afterLineBreak }
    // The last white space goes with the word that follows, unless it is the only one.
    return end == text.count || last == start ? end : last
  }

  /// The end of `'s|'t|'re|'ve|'m|'ll|'d` at an apostrophe.
  func contraction(_ start: Int, ignoringCase: Bool) -> Int? {
    guard start + 1 < text.count else { return nil }
    let fold: UInt8 = ignoringCase ? 0x20 : 0
    let first = text[start + 1] | fold
    switch first {
    case UInt8(ascii: "s"), UInt8(ascii: "t"), UInt8(ascii: "m"), UInt8(ascii: "d"):
      return start + 2
    case UInt8(ascii: "r"), UInt8(ascii: "v"), UInt8(ascii: "l"):
      let wanted = first == UInt8(ascii: "l") ? first : UInt8(ascii: "e")
      return start + 2 < text.count && text[start + 2] | fold == wanted ? start + 3 : nil
    case 0xC5 | fold:
      // U+017F, the long s, is another case of s.
      return ignoringCase && text[start + 1] == 0xC5 && text[start + 2] == 0xBF ? start + 3 : nil
    default:
      return nil
    }
  }

  func isASCIILetter(_ character: Character) -> Bool {
    character.scalar < 0x80 && (character.scalar | 0x20) &- 0x61 < 26
  }

  /// The end of `[A-Za-z]*`.
  func asciiLetters(_ position: Int) -> Int {
    var position = position
    while position < text.count, (text[position] | 0x20) &- 0x61 < 26 { position += 1 }
    return position
  }
}
