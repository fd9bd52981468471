/// Builds one JSON text without spaces, in the order of the calls.
///
/// Numbers are written with the fewest digits that read back as the same value.
struct JSONWriter {
  /// The text so far.
  private(set) var bytes: [UInt8] = []
  /// Whether a comma belongs before the next value or key.
  private var needsComma = false

  /// Forgets the text, but keeps its memory.
  mutating func removeAll() {
    bytes.removeAll(keepingCapacity: true)
    needsComma = false
  }

  /// Writes an object whose members `body` writes.
  mutating func object<Failure: Error>(
    _ body: (inout JSONWriter) throws(Failure) -> Void
  ) throws(Failure) {
    try container("{", "}", body)
  }

  /// Writes an array whose elements `body` writes.
  mutating func array<Failure: Error>(
    _ body: (inout JSONWriter) throws(Failure) -> Void
  ) throws(Failure) {
    try container("[", "]", body)
  }

  /// Writes the key of a member; its value comes next.
  mutating func key(_ name: String) {
    separate()
    quote(name)
    bytes.append(UInt8(ascii: ":"))
    needsComma = false
  }

  /// Writes a string.
  mutating func value(_ text: String) {
    separate()
    quote(text)
    needsComma = true
  }

  /// Writes an integer.
  mutating func value(_ number: some BinaryInteger) { raw(String(number).utf8) }

  /// Writes true or false.
  mutating func value(_ flag: Bool) { raw((flag ? "true" : "false").utf8) }

  /// Writes a number; null where JSON has no number for it.
  mutating func value(_ number: Float) { raw((number.isFinite ? number.description : "null").utf8) }

  /// Writes a number; null where JSON has no number for it.
  mutating func value(_ number: Double) { raw((number.isFinite ? number.description : "null").utf8) }

  /// Writes null.
  mutating func null() { raw("null".utf8) }

  /// Writes an array of numbers.
  mutating func array(_ numbers: some Sequence<Float>) {
    array { writer in for number in numbers { writer.value(number) } }
  }

  /// Writes an array of integers.
  mutating func array(_ numbers: some Sequence<some BinaryInteger>) {
    array { writer in for number in numbers { writer.value(number) } }
  }

  /// Writes a value that is JSON already.
  mutating func raw(_ json: some Sequence<UInt8>) {
    separate()
    bytes.append(contentsOf: json)
    needsComma = true
  }

  /// Ends a line.
  mutating func newline() {
    bytes.append(UInt8(ascii: "\n"))
    needsComma = false
  }

  private mutating func container<Failure: Error>(
    _ open: Unicode.Scalar, _ close: Unicode.Scalar, _ body: (inout JSONWriter) throws(Failure) -> Void
  ) throws(Failure) {
    separate()
    bytes.append(UInt8(ascii: open))
    needsComma = false
    try body(&self)
    bytes.append(UInt8(ascii: close))
    needsComma = true
  }

  private mutating func separate() {
    if needsComma { bytes.append(UInt8(ascii: ",")) }
  }

  /// Writes a string with the escapes that RFC 8259 section 7 asks for.
  private mutating func quote(_ text: String) {
    bytes.append(UInt8(ascii: "\""))
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "\""), UInt8(ascii: "\\"):
        bytes.append(UInt8(ascii: "\\"))
        bytes.append(byte)
      case UInt8(ascii: "\n"): bytes.append(contentsOf: "\\n".utf8)
      case UInt8(ascii: "\r"): bytes.append(contentsOf: "\\r".utf8)
      case UInt8(ascii: "\t"): bytes.append(contentsOf: "\\t".utf8)
      case 0..<0x20, 0x7F:
        let digits = String(byte, radix: 16)
        bytes.append(contentsOf: "\\u".utf8)
        bytes.append(contentsOf: repeatElement(UInt8(ascii: "0"), count: 4 - digits.utf8.count))
        bytes.append(contentsOf: digits.utf8)
      default: bytes.append(byte)
      }
    }
    bytes.append(UInt8(ascii: "\""))
  }
}
