/// Reads the fields of one Protocol Buffers message (wire format, protobuf.dev/programming-guides/encoding).
///
/// Every length is checked against the bytes that are left, and nothing is nested but what the caller asks
/// for: time and memory are bounded by the size of the message.
struct ProtobufReader {
  /// What is wrong with the bytes, as words that follow "expected".
  struct Failure: Error {
    /// The offset in the message.
    var offset: Int
    var expectation: String
  }

  /// The value of a field.
  enum Value {
    case varint(UInt64)
    case fixed64(UInt64)
    case bytes(UTF8Text)
    case fixed32(UInt32)

    /// The name of the wire type, for messages.
    var kind: String {
      switch self {
      case .varint: "a varint"
      case .fixed64: "64 bits"
      case .bytes: "bytes"
      case .fixed32: "32 bits"
      }
    }
  }

  private let message: UTF8Text
  /// The offset of the next field.
  private(set) var position = 0

  init(_ message: UTF8Text) {
    self.message = message
  }

  /// The next field, or nil at the end of the message.
  mutating func next() throws(Failure) -> (field: Int, value: Value)? {
    guard position < message.count else { return nil }
    let start = position
    let key = try varint()
    guard key >> 3 >= 1, key >> 3 < 1 << 29 else {
      throw Failure(offset: start, expectation: "a field number from 1 to 536870911")
    }
    let field = Int(key >> 3)
    switch key & 7 {
    case 0: return (field, .varint(try varint()))
    case 1: return (field, .fixed64(try fixed(8)))
    case 2:
      let lengthStart = position
      let length = try varint()
      guard length <= UInt64(message.count - position) else {
        throw Failure(
          offset: lengthStart,
          expectation: "a length of at most the \(message.count - position) bytes left, found \(length)")
      }
      let range = position..<position + Int(length)
      position = range.upperBound
      return (field, .bytes(message.slice(range)))
    case 5: return (field, .fixed32(UInt32(try fixed(4))))
    case let type: throw Failure(offset: start, expectation: "a wire type that is in use, found \(type)")
    }
  }

  /// An integer of 7 bits a byte, at most 10 bytes for 64 bits.
  private mutating func varint() throws(Failure) -> UInt64 {
    let start = position
    var result: UInt64 = 0
    for index in 0..<10 {
      guard position < message.count else {
        throw Failure(offset: start, expectation: "an integer, found the end")
      }
      let byte = message[position]
      position += 1
      if index == 9, byte > 1 { break }
      result |= UInt64(byte & 0x7F) << UInt64(7 * index)
      if byte < 0x80 { return result }
    }
    throw Failure(offset: start, expectation: "an integer of at most 64 bits, found a longer one")
  }

  private mutating func fixed(_ count: Int) throws(Failure) -> UInt64 {
    guard message.count - position >= count else {
      throw Failure(offset: position, expectation: "\(count) bytes more, found \(message.count - position)")
    }
    var result: UInt64 = 0
    for index in 0..<count { result |= UInt64(message[position + index]) << UInt64(8 * index) }
    position += count
    return result
  }
}
