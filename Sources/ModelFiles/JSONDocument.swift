/// How much of a JSON text the reader accepts.
public struct JSONLimits: Sendable {
  /// The deepest nesting of arrays and objects.
  public var depth: Int
  /// The largest text, in bytes.
  ///
  /// Offsets are stored in 32 bits, so larger values count as 2 GiB - 1.
  public var byteCount: Int
  /// Objects with at most this many members are checked for duplicate keys; `.max` checks all.
  ///
  /// The default leaves out vocabularies, whose keys go into a table that notices duplicates anyway.
  public var membersCheckedForDuplicates: Int

  /// Creates limits; the defaults suit `config.json` and `tokenizer.json`.
  public init(depth: Int = 64, byteCount: Int = 256 << 20, membersCheckedForDuplicates: Int = 4096) {
    self.depth = depth
    self.byteCount = byteCount
    self.membersCheckedForDuplicates = membersCheckedForDuplicates
  }
}

/// A JSON text, parsed once into a flat array of nodes over its bytes.
///
/// The reader is strict (RFC 8259): whatever it accepts is valid UTF-8 with paired surrogates, has no
/// bare control characters, no trailing text and no number beyond the range of a `Double`. It refuses a
/// byte order mark, as `json.load` of Python and serde_json do, and it refuses `NaN` and `Infinity`,
/// which Python's writer may produce.
///
/// Strings and numbers are decoded when they are asked for, so a vocabulary of 150,000 entries costs no
/// allocation an entry.
public struct JSONDocument: Sendable {
  let storage: JSONStorage

  /// Parses `utf8`.
  ///
  /// - Parameters:
  ///   - utf8: The text; it is kept for as long as a value of the document is.
  ///   - file: The path that errors name.
  ///   - limits: What is accepted.
  /// - Throws: `ModelFileError` of the kind `malformed`, naming the enclosing key, line and column.
  public init(_ utf8: [UInt8], file: String, limits: JSONLimits = .init()) throws(ModelFileError) {
    storage = JSONStorage(
      bytes: utf8, nodes: try JSONParser.parse(utf8, file: file, limits: limits), file: file)
  }

  /// The text's one value.
  public var root: JSONValue { JSONValue(storage: storage, index: 0) }

  /// The path the document was created with.
  public var file: String { storage.file }
}

/// One parsed value: a span of the text and, for arrays and objects, of the nodes that follow it.
struct JSONNode {
  /// Offset of the first byte; for strings, of the byte after the quotation mark.
  var start: UInt32
  /// Bytes between the quotation marks of a string or of a number; elements or members of a container.
  var length: UInt32
  /// Index of the first node behind this value.
  var next: UInt32
  var kind: JSONValue.Kind
  /// For strings, whether it holds escapes; for booleans, the value.
  var flag: Bool
}

/// What all values of a document share: immutable.
final class JSONStorage: Sendable {
  let bytes: [UInt8]
  let nodes: [JSONNode]
  let file: String

  init(bytes: [UInt8], nodes: [JSONNode], file: String) {
    self.bytes = bytes
    self.nodes = nodes
    self.file = file
  }
}

/// A value in a `JSONDocument`: a small handle that keeps the document alive.
public struct JSONValue: Sendable {
  /// What a value is.
  public enum Kind: UInt8, Sendable {
    case null, boolean
    /// A number written without fraction and exponent, of any size.
    case integer
    /// A number written with a fraction or an exponent.
    case number
    case string, array, object
  }

  let storage: JSONStorage
  let index: Int

  var node: JSONNode { storage.nodes[index] }

  /// What the value is.
  public var kind: Kind { node.kind }

  /// The path of the document.
  public var file: String { storage.file }

  /// True for `null`.
  public var isNull: Bool { kind == .null }

  /// The boolean, or nil for other kinds.
  public var bool: Bool? {
    let node = node
    return node.kind == .boolean ? node.flag : nil
  }

  /// The number if it is an integer that `Int` holds, however it is written: `5`, `5.0` and `0.5e1` are 5.
  public var int: Int? {
    withNumber { text in JSONNumber.integer(text) } ?? nil
  }

  /// The number, rounded to the nearest `Double`; always finite.
  public var double: Double? {
    withNumber { text in JSONNumber.double(text) }
  }

  /// The string, or nil for other kinds.
  ///
  /// Swift compares strings by canonical equivalence: compare the bytes where that matters.
  public var string: String? {
    withUTF8 { String(decoding: $0, as: UTF8.self) }
  }

  /// The decoded bytes of a string, valid UTF-8; nil for other kinds.
  public var utf8: [UInt8]? {
    withUTF8 { Array($0) }
  }

  /// Calls `body` with the decoded bytes of a string, or returns nil for other kinds.
  ///
  /// Strings without escapes are not copied. The pointer is valid during the call only.
  public func withUTF8<Result, Failure: Error>(
    _ body: (UnsafeBufferPointer<UInt8>) throws(Failure) -> Result
  ) throws(Failure) -> Result? {
    let node = node
    guard node.kind == .string else { return nil }
    return try storage.bytes.withUnsafeBufferPointer { (bytes) throws(Failure) -> Result in
      let start = Int(node.start)
      let text = UnsafeBufferPointer(rebasing: bytes[start..<start + Int(node.length)])
      guard node.flag else { return try body(text) }
      let decoded = JSONString.decode(text)
      return try decoded.withUnsafeBufferPointer { (buffer) throws(Failure) -> Result in try body(buffer) }
    }
  }

  /// Members of an object or elements of an array; 0 for other kinds.
  public var count: Int {
    let node = node
    return node.kind == .array || node.kind == .object ? Int(node.length) : 0
  }

  /// The member `key` of an object, compared byte by byte; nil if there is none or this is no object.
  ///
  /// Linear in the number of members: walk `members` to look up many keys of a large object.
  public subscript(_ key: String) -> JSONValue? {
    guard kind == .object else { return nil }
    var key = key
    return key.withUTF8 { wanted -> JSONValue? in
      for (name, value) in members where name.hasUTF8(wanted) {
        return value
      }
      return nil
    }
  }

  /// The elements of an array, in order; empty for other kinds.
  public var elements: JSONElements { JSONElements(array: self) }

  /// The members of an object, in the order of the text; empty for other kinds.
  public var members: JSONMembers { JSONMembers(object: self) }

  /// True if this is a string of exactly these bytes.
  func hasUTF8(_ wanted: UnsafeBufferPointer<UInt8>) -> Bool {
    let node = node
    // An escaped string is always longer than what it stands for.
    guard node.kind == .string, node.flag ? node.length > wanted.count : node.length == wanted.count else {
      return false
    }
    return withUTF8 { $0.elementsEqual(wanted) } ?? false
  }

  private func withNumber<Result>(_ body: (UnsafeBufferPointer<UInt8>) -> Result) -> Result? {
    let node = node
    guard node.kind == .integer || node.kind == .number else { return nil }
    return storage.bytes.withUnsafeBufferPointer { bytes in
      let start = Int(node.start)
      return body(UnsafeBufferPointer(rebasing: bytes[start..<start + Int(node.length)]))
    }
  }
}

/// The elements of a JSON array.
public struct JSONElements: Sequence, Sendable {
  let array: JSONValue

  /// How many elements there are.
  public var count: Int { array.kind == .array ? array.count : 0 }

  /// Returns an iterator over the elements.
  public func makeIterator() -> Iterator {
    Iterator(storage: array.storage, index: array.index + 1, left: count)
  }

  /// Walks the elements in order.
  public struct Iterator: IteratorProtocol {
    let storage: JSONStorage
    var index: Int
    var left: Int

    /// Returns the next element.
    public mutating func next() -> JSONValue? {
      guard left > 0 else { return nil }
      left -= 1
      let value = JSONValue(storage: storage, index: index)
      index = Int(value.node.next)
      return value
    }
  }
}

/// The members of a JSON object, in the order of the text.
public struct JSONMembers: Sequence, Sendable {
  let object: JSONValue

  /// How many members there are.
  public var count: Int { object.kind == .object ? object.count : 0 }

  /// Returns an iterator over the members.
  public func makeIterator() -> Iterator {
    Iterator(storage: object.storage, index: object.index + 1, left: count)
  }

  /// Walks the members in order.
  public struct Iterator: IteratorProtocol {
    let storage: JSONStorage
    var index: Int
    var left: Int

    /// Returns the next member; the key is a string value.
    public mutating func next() -> (key: JSONValue, value: JSONValue)? {
      guard left > 0 else { return nil }
      left -= 1
      let key = JSONValue(storage: storage, index: index)
      let value = JSONValue(storage: storage, index: index + 1)
      index = Int(value.node.next)
      return (key, value)
    }
  }
}
