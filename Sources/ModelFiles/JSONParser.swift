/// Checks a JSON text and turns it into nodes, without recursion.
struct JSONParser {
  private let text: UnsafeBufferPointer<UInt8>
  private let file: String
  private let limits: JSONLimits
  private var position = 0
  private var nodes: [JSONNode] = []
  private var open: [Container] = []

  /// An array or object whose end hasn't come yet.
  private struct Container {
    var node: Int
    var count: UInt32 = 0
    /// The node of the key that was read last, for messages.
    var key = 0
    var isObject: Bool
  }

  /// Parses the whole text.
  static func parse(
    _ utf8: [UInt8], file: String, limits: JSONLimits
  ) throws(ModelFileError) -> [JSONNode] {
    let most = min(limits.byteCount, Int(Int32.max))
    guard utf8.count <= most else {
      throw ModelFileError(
        .malformed, file: file, expectation: "expected at most \(most) bytes of JSON, found \(utf8.count)")
    }
    return try utf8.withUnsafeBufferPointer { (text) throws(ModelFileError) -> [JSONNode] in
      var parser = JSONParser(text: text, file: file, limits: limits)
      try parser.run()
      return parser.nodes
    }
  }

  private init(text: UnsafeBufferPointer<UInt8>, file: String, limits: JSONLimits) {
    self.text = text
    self.file = file
    self.limits = limits
    nodes.reserveCapacity(text.count / 12 + 8)
  }

  private mutating func run() throws(ModelFileError) {
    if text.starts(with: [0xEF, 0xBB, 0xBF]) {
      throw failure("expected JSON without a byte order mark")
    }
    skipSpace()
    try startValue()
    var steps = 0
    while let container = open.last {
      try ReadInterruption.check(after: steps, file: file)
      steps &+= 1
      skipSpace()
      let close = container.isObject ? UInt8(ascii: "}") : UInt8(ascii: "]")
      guard position < text.count else {
        throw failure("expected \(Self.quoted(close)), found the end of the file")
      }
      if text[position] == close {
        position += 1
        try closeContainer()
        continue
      }
      if container.count > 0 {
        guard text[position] == UInt8(ascii: ",") else {
          throw failure("expected a comma or \(Self.quoted(close)), found \(found())")
        }
        position += 1
        skipSpace()
      }
      if container.isObject {
        open[open.count - 1].key = nodes.count
        guard position < text.count, text[position] == UInt8(ascii: "\"") else {
          throw failure("expected a key in quotation marks, found \(found())")
        }
        try parseString()
        skipSpace()
        guard position < text.count, text[position] == UInt8(ascii: ":") else {
          throw failure("expected a colon, found \(found())")
        }
        position += 1
        skipSpace()
      }
      open[open.count - 1].count += 1
      try startValue()
    }
    skipSpace()
    guard position == text.count else {
      throw failure("expected the end of the file, found \(found())")
    }
  }

  private mutating func skipSpace() {
    while position < text.count {
      switch text[position] {
      case 0x20, 0x0A, 0x0D, 0x09: position += 1
      default: return
      }
    }
  }

  /// Reads a scalar, or opens a container.
  private mutating func startValue() throws(ModelFileError) {
    guard position < text.count else { throw failure("expected a value, found the end of the file") }
    switch text[position] {
    case UInt8(ascii: "\""): try parseString()
    case UInt8(ascii: "{"): try openContainer(.object)
    case UInt8(ascii: "["): try openContainer(.array)
    case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): try parseNumber()
    case UInt8(ascii: "t"): try parseWord("true", .boolean, flag: true)
    case UInt8(ascii: "f"): try parseWord("false", .boolean, flag: false)
    case UInt8(ascii: "n"): try parseWord("null", .null, flag: false)
    default: throw failure("expected a value, found \(found())")
    }
  }

  private mutating func append(_ kind: JSONValue.Kind, start: Int, end: Int, flag: Bool = false) {
    nodes.append(
      JSONNode(
        start: UInt32(truncatingIfNeeded: start), length: UInt32(truncatingIfNeeded: end &- start),
        next: UInt32(truncatingIfNeeded: nodes.count &+ 1), kind: kind, flag: flag))
  }

  private mutating func openContainer(_ kind: JSONValue.Kind) throws(ModelFileError) {
    guard open.count < limits.depth else {
      throw failure("expected at most \(limits.depth) levels of nesting")
    }
    open.append(Container(node: nodes.count, isObject: kind == .object))
    append(kind, start: position, end: position)
    position += 1
  }

  private mutating func closeContainer() throws(ModelFileError) {
    let container = open.removeLast()
    nodes[container.node].length = container.count
    nodes[container.node].next = UInt32(nodes.count)
    if container.isObject, container.count > 1, container.count <= limits.membersCheckedForDuplicates {
      try checkKeys(of: container)
    }
  }

  private mutating func parseWord(
    _ word: StaticString, _ kind: JSONValue.Kind, flag: Bool
  ) throws(ModelFileError) {
    let count = word.utf8CodeUnitCount
    guard
      position + count <= text.count,
      UnsafeBufferPointer(rebasing: text[position..<position + count])
        .elementsEqual(UnsafeBufferPointer(start: word.utf8Start, count: count))
    else { throw failure("expected \(word), found \(found())") }
    append(kind, start: position, end: position + count, flag: flag)
    position += count
  }

  private mutating func parseNumber() throws(ModelFileError) {
    let start = position
    if text[position] == UInt8(ascii: "-") { position += 1 }
    let first = position
    let digits = skipDigits()
    guard digits > 0 else { throw failure("expected a digit, found \(found())") }
    guard digits == 1 || text[first] != UInt8(ascii: "0") else {
      throw failure("expected a number without leading zeros", at: start)
    }
    var kind = JSONValue.Kind.integer
    if position < text.count, text[position] == UInt8(ascii: ".") {
      kind = .number
      position += 1
      guard skipDigits() > 0 else { throw failure("expected a digit, found \(found())") }
    }
    var hasExponent = false
    if position < text.count, text[position] | 0x20 == UInt8(ascii: "e") {
      kind = .number
      hasExponent = true
      position += 1
      if position < text.count, text[position] == UInt8(ascii: "+") || text[position] == UInt8(ascii: "-") {
        position += 1
      }
      guard skipDigits() > 0 else { throw failure("expected a digit, found \(found())") }
    }
    guard position - start <= 1000 else {
      throw failure("expected a number of at most 1000 characters", at: start)
    }
    // Fewer digits than this can't leave the range of a Double.
    if hasExponent || digits > 300 {
      let number = UnsafeBufferPointer(rebasing: text[start..<position])
      guard JSONNumber.double(number).isFinite else {
        throw failure("expected a number in the range of a double", at: start)
      }
    }
    append(kind, start: start, end: position)
  }

  private mutating func skipDigits() -> Int {
    let start = position
    while position < text.count, text[position] &- UInt8(ascii: "0") < 10 { position += 1 }
    return position - start
  }

  private mutating func parseString() throws(ModelFileError) {
    let quote = position
    var isEscaped = false
    position += 1
    while true {
      skipPlainText()
      guard position < text.count else {
        throw failure("expected the end of this string, found the end of the file", at: quote)
      }
      let byte = text[position]
      if byte == UInt8(ascii: "\"") {
        break
      } else if byte == UInt8(ascii: "\\") {
        isEscaped = true
        try skipEscape()
      } else if byte < 0x20 {
        throw failure("expected control characters in strings to be escaped, found \(found())")
      } else if byte < 0x80 {
        position += 1
      } else {
        let length = UTF8Check.sequenceLength(text, at: position)
        guard length > 0 else { throw failure("expected valid UTF-8, found byte \(found())") }
        position += length
      }
    }
    append(.string, start: quote + 1, end: position, flag: isEscaped)
    position += 1
  }

  /// Skips eight bytes at a time for as long as none of them ends the string or needs a closer look.
  private mutating func skipPlainText() {
    let ones: UInt64 = 0x0101_0101_0101_0101
    let base = UnsafeRawPointer(text.baseAddress!)
    while position &+ 8 <= text.count {
      let word = UInt64(littleEndian: base.loadUnaligned(fromByteOffset: position, as: UInt64.self))
      let quote = word ^ (ones &* 0x22)
      let backslash = word ^ (ones &* 0x5C)
      // A byte's high bit comes out set if the byte was zero, or below 0x20: "Bit Twiddling Hacks",
      // "Determine if a word has a byte less than n". Bytes of 0x80 and more are caught by `word` itself.
      let special =
        ((quote &- ones) & ~quote) | ((backslash &- ones) & ~backslash) | (word &- ones &* 0x20) | word
      let marks = special & (ones &* 0x80)
      guard marks == 0 else {
        // Borrows make false marks only above a true one.
        position &+= marks.trailingZeroBitCount / 8
        return
      }
      position &+= 8
    }
  }

  private mutating func skipEscape() throws(ModelFileError) {
    let start = position
    guard position + 1 < text.count else {
      throw failure("expected an escape, found the end of the file")
    }
    switch text[position + 1] {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"),
      UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
      position += 2
    case UInt8(ascii: "u"):
      let unit = JSONString.hexadecimal(text, at: position + 2)
      guard unit <= 0xFFFF else {
        throw failure("expected four hexadecimal digits after \\u", at: start)
      }
      position += 6
      if unit & 0xFC00 == 0xD800 {
        guard
          position + 1 < text.count, text[position] == UInt8(ascii: "\\"),
          text[position + 1] == UInt8(ascii: "u"),
          case let low = JSONString.hexadecimal(text, at: position + 2), low <= 0xFFFF,
          low & 0xFC00 == 0xDC00
        else { throw failure("expected a low surrogate after the high one", at: start) }
        position += 6
      } else if unit & 0xFC00 == 0xDC00 {
        throw failure("expected a high surrogate before the low one", at: start)
      }
    default:
      throw failure("expected one of the escapes of JSON after a backslash", at: start)
    }
  }

  // MARK: Duplicate keys

  private func checkKeys(of container: Container) throws(ModelFileError) {
    var keys: [Int] = []
    keys.reserveCapacity(Int(container.count))
    var index = container.node + 1
    var isEscaped = false
    for _ in 0..<container.count {
      keys.append(index)
      isEscaped = isEscaped || nodes[index].flag
      index = Int(nodes[index + 1].next)
    }
    if keys.count <= 12, !isEscaped {
      for later in 1..<keys.count {
        for earlier in 0..<later where rawKey(keys[later]).elementsEqual(rawKey(keys[earlier])) {
          throw duplicate(keys[later])
        }
      }
      return
    }
    var seen = Set<JSONKey>(minimumCapacity: keys.count)
    for key in keys {
      let raw = rawKey(key)
      let bytes = nodes[key].flag ? JSONKey(decoded: JSONString.decode(raw)) : JSONKey(raw: raw)
      guard seen.insert(bytes).inserted else { throw duplicate(key) }
    }
  }

  private func rawKey(_ node: Int) -> UnsafeBufferPointer<UInt8> {
    let start = Int(nodes[node].start)
    return UnsafeBufferPointer(rebasing: text[start..<start + Int(nodes[node].length)])
  }

  private func duplicate(_ key: Int) -> ModelFileError {
    var name = String(decoding: rawKey(key), as: UTF8.self)
    if nodes[key].flag { name = String(decoding: JSONString.decode(rawKey(key)), as: UTF8.self) }
    return failure("expected the key only once in its object", at: Int(nodes[key].start) - 1, key: name)
  }

  /// A key's bytes: hashed with the process's seed, so that no file can be made to collide.
  private struct JSONKey: Hashable {
    var raw: UnsafeBufferPointer<UInt8>?
    var decoded: [UInt8] = []

    init(raw: UnsafeBufferPointer<UInt8>) { self.raw = raw }
    init(decoded: [UInt8]) { self.decoded = decoded }

    func withBytes<Result>(_ body: (UnsafeBufferPointer<UInt8>) -> Result) -> Result {
      if let raw { body(raw) } else { decoded.withUnsafeBufferPointer(body) }
    }

    static func == (left: JSONKey, right: JSONKey) -> Bool {
      left.withBytes { left in right.withBytes { left.elementsEqual($0) } }
    }

    func hash(into hasher: inout Hasher) {
      withBytes { bytes in
        hasher.combine(bytes.count)
        hasher.combine(bytes: UnsafeRawBufferPointer(bytes))
      }
    }
  }

  // MARK: Messages

  private static func quoted(_ byte: UInt8) -> String { "'\(Unicode.Scalar(byte))'" }

  /// The byte or word at the current position, for messages.
  private func found() -> String {
    guard position < text.count else { return "the end of the file" }
    for word in ["NaN", "Infinity"] where text[position...].starts(with: word.utf8) {
      let sign = position > 0 && text[position - 1] == UInt8(ascii: "-") ? "-" : ""
      return "\(sign)\(word), which JSON doesn't have"
    }
    let byte = text[position]
    guard byte < 0x7F, byte > 0x20 else { return "0x" + String(byte, radix: 16) }
    return Self.quoted(byte)
  }

  private func failure(_ message: String, at offset: Int? = nil, key: String? = nil) -> ModelFileError {
    let offset = offset ?? position
    var line = 1
    var column = 1
    for byte in text[..<min(offset, text.count)] {
      if byte == 0x0A {
        line += 1
        column = 1
      } else if byte & 0xC0 != 0x80 {
        column += 1
      }
    }
    // The keys on the way to the place, as in `rope_scaling.factor`.
    var path = open.compactMap { container -> String? in
      guard container.isObject, container.key > 0, container.key < nodes.count else { return nil }
      return String(decoding: rawKey(container.key), as: UTF8.self)
    }
    if let key { path.append(key) }
    return ModelFileError(
      .malformed, file: file, subject: path.isEmpty ? nil : path.joined(separator: "."),
      expectation: "\(message) (line \(line), column \(column))")
  }
}
