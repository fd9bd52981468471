import SalanganeFiles

/// A value of a JSON file together with its place in it, for messages.
struct JSONField {
  let value: JSONValue
  /// The keys that lead to the value: `model.vocab`.
  let path: String

  init(_ document: JSONDocument) {
    value = document.root
    path = ""
  }

  init(_ value: JSONValue, path: String) {
    self.value = value
    self.path = path
  }

  /// The member `key`, or nil if it is absent or null.
  func optional(_ key: String) -> JSONField? {
    guard let member = value[key], !member.isNull else { return nil }
    return JSONField(member, path: path.isEmpty ? key : "\(path).\(key)")
  }

  /// The member `key`, which must be there.
  func required(_ key: String) throws(ModelFileError) -> JSONField {
    if let member = optional(key) { return member }
    throw malformed("expected a key \"\(key)\" in it, found none")
  }

  /// The elements of an array.
  func elements() throws(ModelFileError) -> [JSONField] {
    guard value.kind == .array else { throw malformed("expected an array") }
    return value.elements.enumerated().map { JSONField($1, path: "\(path)[\($0)]") }
  }

  /// Checks that this is an object.
  func object() throws(ModelFileError) -> JSONField {
    guard value.kind == .object else { throw malformed("expected an object") }
    return self
  }

  func string() throws(ModelFileError) -> String {
    guard let string = value.string else { throw malformed("expected a string") }
    return string
  }

  /// The bytes of a string.
  func utf8() throws(ModelFileError) -> [UInt8] {
    guard let bytes = value.utf8 else { throw malformed("expected a string") }
    return bytes
  }

  func bool() throws(ModelFileError) -> Bool {
    guard let bool = value.bool else { throw malformed("expected true or false") }
    return bool
  }

  func int(_ range: ClosedRange<Int>) throws(ModelFileError) -> Int {
    guard let int = value.int, range.contains(int) else {
      throw malformed("expected an integer from \(range.lowerBound) to \(range.upperBound)")
    }
    return int
  }

  /// The boolean `key`, or `fallback` if it is absent or null.
  func bool(_ key: String, default fallback: Bool) throws(ModelFileError) -> Bool {
    try optional(key)?.bool() ?? fallback
  }

  /// The string `type`, by which the parts of a tokenizer.json say what they are.
  func type() throws(ModelFileError) -> String { try object().required("type").string() }

  func malformed(_ expectation: String) -> ModelFileError {
    ModelFileError(
      .malformed, file: value.file, subject: path.isEmpty ? nil : path, expectation: expectation)
  }

  func unsupported(_ expectation: String) -> ModelFileError {
    ModelFileError(
      .unsupported, file: value.file, subject: path.isEmpty ? nil : path, expectation: expectation)
  }
}
