import SalanganeFiles

/// The largest id that a vocabulary of `count` tokens may use: some holes are found in the wild, but tables
/// indexed by id must not grow beyond what the file itself takes.
func largestTokenID(count: Int) -> Int {
  min(2 * count + 65_536, Int(Int32.max) - 1)
}

extension Vocabulary {
  /// Adds a token, and makes an error of a conflict.
  mutating func add(
    _ token: UTF8Text, id: Int32, file: String, subject: String
  ) throws(ModelFileError) {
    try ReadInterruption.check(after: count, file: file)
    do throws(Conflict) {
      try add(token, id: id)
    } catch {
      let name = String(decoding: token, as: UTF8.self)
      let expectation =
        switch error {
        case .duplicateToken(let other):
          "expected the token \"\(name)\" of id \(id) only once, found it as id \(other) too"
        case .duplicateID:
          "expected one token of id \(id), found \"\(string(of: id) ?? "")\" and \"\(name)\""
        case .overfull:
          "expected a vocabulary that can be indexed, found too many like \"\(name)\""
        }
      throw ModelFileError(.malformed, file: file, subject: subject, expectation: expectation)
    }
  }

  /// Reads the object of tokens and ids of a tokenizer.json.
  init(_ field: JSONField) throws(ModelFileError) {
    let object = try field.object().value
    let largest = largestTokenID(count: object.count)
    self.init(capacity: object.count)
    for (key, value) in object.members {
      guard let id = value.int, id >= 0, id <= largest else {
        throw field.malformed(
          "expected an id from 0 to \(largest) for the token \"\(key.string ?? "")\"")
      }
      try key.withUTF8 { (token) throws(ModelFileError) in
        try add(token, id: Int32(id), file: field.value.file, subject: field.path)
      }
    }
  }

  /// The id of a token that a file names.
  func id(of token: String, named field: JSONField) throws(ModelFileError) -> Int32 {
    guard let id = id(of: token) else {
      throw field.malformed("expected a token of the vocabulary, found \"\(token)\"")
    }
    return id
  }

  /// The id of a token, or nil if there is none.
  func id(of token: String) -> Int32? {
    var token = token
    return token.withUTF8 { id(of: $0) }
  }
}
