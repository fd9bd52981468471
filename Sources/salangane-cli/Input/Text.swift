import SalanganeFiles

/// Checks of text that comes from outside.
enum Text {
  /// The text that `bytes` hold.
  ///
  /// - Throws: `ModelFileError` of the kind `malformed` if they aren't UTF-8; it names the line.
  static func validate(_ bytes: [UInt8], file: String, line: Int?) throws(ModelFileError) -> String {
    if let text = String(validating: bytes, as: UTF8.self) { return text }
    var line = line ?? 1
    // The first place where decoding and encoding again changes something is in the first broken line.
    for (original, repaired) in zip(bytes, String(decoding: bytes, as: UTF8.self).utf8) {
      if original != repaired { break }
      if original == UInt8(ascii: "\n") { line += 1 }
    }
    throw ModelFileError(
      .malformed, file: file, subject: "line \(line)", expectation: "expected UTF-8, found other bytes")
  }
}
