/// A set of code points, as a bracket expression of a regular expression describes it.
struct ScalarClass: Sendable {
  /// Code points with any of these properties belong to the set.
  var properties: UnicodeProperties = []
  /// Further members, in any order.
  var ranges: [ClosedRange<UInt32>] = []
  /// Whether the set holds everything else instead.
  var isNegated = false

  /// True if the code point belongs to the set.
  @inline(__always)
  func contains(_ character: SplitScanner.Character) -> Bool {
    if character.properties.hasAny(properties) { return !isNegated }
    for range in ranges where range.contains(character.scalar) { return !isNegated }
    return isNegated
  }
}

/// Makes pieces of the runs of a set of code points, and of what lies between them.
struct RunPreTokenizer: PreTokenizer {
  /// What a run is made of.
  var members: ScalarClass
  /// The most code points of a run.
  var longest = Int.max
  /// Whether one white space before a run belongs to it (`\s?`).
  var takesSpace = false
  /// Whether a run must end where a line does (`$`).
  var endsLine = false

  func forEachPiece(in text: UTF8Text, _ body: (Range<Int>) -> Bool) -> Bool {
    let scanner = SplitScanner(text: text)
    // Where the text begins that no run has covered.
    var gap = 0
    var start = 0
    while start < text.count {
      let first = scanner.character(start)
      guard let end = runEnd(scanner, first) else {
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
  private func runEnd(_ scanner: SplitScanner, _ first: SplitScanner.Character) -> Int? {
    if takesSpace, first.properties.hasAny(.regexSpace), first.end < scanner.text.count {
      let second = scanner.character(first.end)
      if members.contains(second) { return lineEnd(scanner, second) }
    }
    return members.contains(first) ? lineEnd(scanner, first) : nil
  }

  @inline(__always)
  private func lineEnd(_ scanner: SplitScanner, _ first: SplitScanner.Character) -> Int? {
    var end = first.end
    // The last place in the run behind which a line ends.
    var beforeBreak: Int?
    var left = longest - 1
    while end < scanner.text.count, left > 0 {
      let next = scanner.character(end)
      guard members.contains(next) else { break }
      if next.scalar == 0x0A { beforeBreak = end }
      end = next.end
      left -= 1
    }
    guard endsLine, end < scanner.text.count, scanner.text[end] != 0x0A else { return end }
    return beforeBreak
  }
}

extension RunPreTokenizer {
  /// Reads a pattern of the form `\s?[...]+`: an optional white space, one set, one quantifier, and an
  /// optional `$`; nil for anything else.
  init?(pattern: String) {
    var reader = PatternReader(pattern)
    takesSpace = reader.skip("\\s?")
    guard let members = reader.set() else { return nil }
    self.members = members
    guard let longest = reader.quantifier() else { return nil }
    self.longest = longest
    endsLine = reader.skip("$")
    guard reader.isAtEnd else { return nil }
  }
}

/// Reads the few forms of regular expressions that `RunPreTokenizer` stands for.
private struct PatternReader {
  private var rest: Substring.UnicodeScalarView

  init(_ pattern: String) {
    rest = Substring(pattern).unicodeScalars
  }

  var isAtEnd: Bool { rest.isEmpty }

  mutating func skip(_ text: String) -> Bool {
    guard rest.starts(with: text.unicodeScalars) else { return false }
    rest.removeFirst(text.unicodeScalars.count)
    return true
  }

  /// Reads a bracket expression, an escape, or nil.
  mutating func set() -> ScalarClass? {
    var result = ScalarClass()
    guard skip("[") else {
      guard rest.first == "\\", let element = element() else { return nil }
      result.add(element)
      return result
    }
    result.isNegated = skip("^")
    var isFirst = true
    while !rest.isEmpty {
      if skip("]") { return isFirst ? nil : result }
      // Nested sets and intersections mean something else.
      if rest.first == "[" || rest.starts(with: "&&".unicodeScalars) { return nil }
      guard let element = element() else { return nil }
      isFirst = false
      guard case .scalar(let lower) = element, rest.first == "-", rest.dropFirst().first != "]" else {
        result.add(element)
        continue
      }
      rest.removeFirst()
      guard case .scalar(let upper)? = self.element(), lower <= upper else { return nil }
      result.ranges.append(lower...upper)
    }
    return nil
  }

  enum Element {
    case scalar(UInt32)
    case properties(UnicodeProperties)
  }

  private mutating func element() -> Element? {
    guard let first = rest.popFirst() else { return nil }
    guard first == "\\" else { return .scalar(first.value) }
    guard let escape = rest.popFirst() else { return nil }
    switch escape {
    case "s": return .properties(.regexSpace)
    case "n": return .scalar(0x0A)
    case "r": return .scalar(0x0D)
    case "t": return .scalar(0x09)
    case "u":
      guard rest.count >= 4, let value = UInt32(String(rest.prefix(4)), radix: 16) else { return nil }
      rest.removeFirst(4)
      return .scalar(value)
    case "p":
      for (name, property) in Self.categories where skip("{\(name)}") { return .properties(property) }
      return nil
    default:
      // Letters and digits after a backslash mean something; signs stand for themselves.
      let isSign = escape.isASCII && !escape.properties.isAlphabetic && escape.properties.numericType == nil
      return isSign ? .scalar(escape.value) : nil
    }
  }

  private static let categories: [(String, UnicodeProperties)] = [
    ("L", .letter), ("M", .mark), ("N", .number), ("P", .punctuation), ("S", .symbol),
  ]

  /// Reads `+`, `{n}` with n = 1, `{1,n}` or nothing: how many members a run has at most.
  mutating func quantifier() -> Int? {
    if skip("+") { return rest.first == "+" || rest.first == "?" ? nil : .max }
    guard skip("{") else { return 1 }
    guard skip("1") else { return nil }
    if skip("}") { return 1 }
    guard skip(","), let end = rest.firstIndex(of: "}"), let most = Int(String(rest[..<end])), most > 0 else {
      return nil
    }
    rest.removeFirst(rest.distance(from: rest.startIndex, to: end) + 1)
    return rest.first == "+" || rest.first == "?" ? nil : most
  }
}

extension ScalarClass {
  fileprivate mutating func add(_ element: PatternReader.Element) {
    switch element {
    case .scalar(let scalar): ranges.append(scalar...scalar)
    case .properties(let properties): self.properties.formUnion(properties)
    }
  }
}
