/// The types of GGUF metadata values, with the ids of the format ("gguf_metadata_value_type").
public enum GGUFValueType: UInt32, CaseIterable, Sendable {
  case uint8 = 0
  case int8 = 1
  case uint16 = 2
  case int16 = 3
  case uint32 = 4
  case int32 = 5
  case float32 = 6
  case bool = 7
  case string = 8
  case array = 9
  case uint64 = 10
  case int64 = 11
  case float64 = 12

  /// Bytes of one value, or nil for strings and arrays.
  var byteCount: Int? {
    switch self {
    case .uint8, .int8, .bool: 1
    case .uint16, .int16: 2
    case .uint32, .int32, .float32: 4
    case .uint64, .int64, .float64: 8
    case .string, .array: nil
    }
  }

  /// Bytes that one value takes at least.
  var leastByteCount: Int {
    // A string is its length; an array its element type and its count.
    byteCount ?? (self == .string ? 8 : 12)
  }
}

/// A GGUF metadata value.
public enum GGUFValue: Sendable {
  case uint8(UInt8)
  case int8(Int8)
  case uint16(UInt16)
  case int16(Int16)
  case uint32(UInt32)
  case int32(Int32)
  case float32(Float)
  case bool(Bool)
  case string(String)
  case array(GGUFArray)
  case uint64(UInt64)
  case int64(Int64)
  case float64(Double)

  /// The value's type.
  public var type: GGUFValueType {
    switch self {
    case .uint8: .uint8
    case .int8: .int8
    case .uint16: .uint16
    case .int16: .int16
    case .uint32: .uint32
    case .int32: .int32
    case .float32: .float32
    case .bool: .bool
    case .string: .string
    case .array: .array
    case .uint64: .uint64
    case .int64: .int64
    case .float64: .float64
    }
  }

  /// The value of any integer type, if `Int` holds it.
  public var int: Int? {
    switch self {
    case .uint8(let value): Int(value)
    case .int8(let value): Int(value)
    case .uint16(let value): Int(value)
    case .int16(let value): Int(value)
    case .uint32(let value): Int(value)
    case .int32(let value): Int(value)
    case .uint64(let value): Int(exactly: value)
    case .int64(let value): Int(value)
    case .float32, .bool, .string, .array, .float64: nil
    }
  }

  /// The value of any number type; it may be infinite or NaN.
  public var double: Double? {
    switch self {
    case .float32(let value): Double(value)
    case .float64(let value): value
    case .uint64(let value): Double(value)
    default: int.map(Double.init)
    }
  }

  /// The boolean.
  public var bool: Bool? {
    if case .bool(let value) = self { value } else { nil }
  }

  /// The string.
  public var string: String? {
    if case .string(let value) = self { value } else { nil }
  }

  /// The array.
  public var array: GGUFArray? {
    if case .array(let value) = self { value } else { nil }
  }
}

/// A GGUF metadata array: a view of its bytes, so that a vocabulary costs nothing until it is walked.
public struct GGUFArray: Sendable {
  /// The type of every element.
  public let elementType: GGUFValueType
  /// How many elements there are.
  public let count: Int

  /// The elements as the format writes them, checked.
  private let content: Content

  private enum Content: Sendable {
    case file(FileBytes, Range<Int>)
    case owned([UInt8])
  }

  /// The array whose elements take `range` of `file`; they have been checked.
  init(elementType: GGUFValueType, count: Int, file: FileBytes, range: Range<Int>) {
    self.elementType = elementType
    self.count = count
    content = .file(file, range)
  }

  private init(elementType: GGUFValueType, count: Int, encoded: [UInt8]) {
    self.elementType = elementType
    self.count = count
    content = .owned(encoded)
  }

  /// An array of strings, to be written.
  public init(_ strings: some Sequence<String>) {
    var encoder = GGUFEncoder()
    var count = 0
    for string in strings {
      encoder.append(string)
      count += 1
    }
    self.init(elementType: .string, count: count, encoded: encoder.bytes)
  }

  /// An array of numbers of one type, to be written.
  public init<Number: GGUFNumber>(_ numbers: some Sequence<Number>) {
    var encoder = GGUFEncoder()
    var count = 0
    for number in numbers {
      encoder.append(number)
      count += 1
    }
    self.init(elementType: Number.valueType, count: count, encoded: encoder.bytes)
  }

  /// An array of booleans, to be written.
  public init(_ booleans: some Sequence<Bool>) {
    let encoded = booleans.map { UInt8($0 ? 1 : 0) }
    self.init(elementType: .bool, count: encoded.count, encoded: encoded)
  }

  /// An array of arrays, to be written.
  public init(_ arrays: some Sequence<GGUFArray>) {
    var encoder = GGUFEncoder()
    var count = 0
    for array in arrays {
      encoder.append(array)
      count += 1
    }
    self.init(elementType: .array, count: count, encoded: encoder.bytes)
  }

  /// The elements of any integer type; nil for other types or if `Int` doesn't hold one of them.
  public var ints: [Int]? {
    switch elementType {
    case .uint8: numbers(UInt8.self).map(Int.init)
    case .int8: numbers(Int8.self).map(Int.init)
    case .uint16: numbers(UInt16.self).map(Int.init)
    case .int16: numbers(Int16.self).map(Int.init)
    case .uint32: numbers(UInt32.self).map(Int.init)
    case .int32: numbers(Int32.self).map(Int.init)
    case .int64: numbers(Int64.self).map(Int.init)
    case .uint64:
      numbers(UInt64.self).allSatisfy { $0 <= Int.max } ? numbers(UInt64.self).map { Int($0) } : nil
    case .float32, .bool, .string, .array, .float64: nil
    }
  }

  /// The elements of any number type; they may be infinite or NaN.
  public var doubles: [Double]? {
    switch elementType {
    case .float32: numbers(Float.self).map(Double.init)
    case .float64: numbers(Double.self)
    case .uint64: numbers(UInt64.self).map(Double.init)
    default: ints?.map(Double.init)
    }
  }

  /// The elements of an array of float32, which is how vocabularies store scores.
  public var floats: [Float]? { elementType == .float32 ? numbers(Float.self) : nil }

  /// The elements of an array of booleans.
  public var bools: [Bool]? { elementType == .bool ? numbers(UInt8.self).map { $0 != 0 } : nil }

  /// The elements of an array of strings; nil for other types or if one isn't valid UTF-8.
  public var strings: [String]? {
    var strings: [String] = []
    strings.reserveCapacity(elementType == .string ? count : 0)
    var isValid = true
    let isArrayOfStrings = forEachUTF8 { text in
      if let string = String(validating: text, as: UTF8.self) {
        strings.append(string)
      } else {
        isValid = false
      }
    }
    return isArrayOfStrings && isValid ? strings : nil
  }

  /// The elements of an array of arrays.
  public var arrays: [GGUFArray]? {
    guard elementType == .array else { return nil }
    return withBytes { bytes in
      var cursor = GGUFCursor(bytes: bytes)
      return (0..<count).map { _ in
        let type = GGUFValueType(rawValue: cursor.load(UInt32.self)) ?? .uint8
        let count = Int(truncatingIfNeeded: cursor.load(UInt64.self))
        let start = cursor.position
        cursor.skip(elements: count, type)
        return GGUFArray(elementType: type, count: count, content: content, start..<cursor.position)
      }
    }
  }

  private init(elementType: GGUFValueType, count: Int, content: Content, _ range: Range<Int>) {
    self.elementType = elementType
    self.count = count
    switch content {
    case .file(let file, let outer):
      self.content = .file(file, outer.lowerBound + range.lowerBound..<outer.lowerBound + range.upperBound)
    case .owned(let bytes):
      self.content = .owned(Array(bytes[range]))
    }
  }

  /// Calls `body` with the bytes of every string, without copying them; returns false if this isn't an
  /// array of strings.
  ///
  /// The bytes are what the file holds, valid UTF-8 or not.
  @discardableResult
  public func forEachUTF8<Failure: Error>(
    _ body: (UnsafeBufferPointer<UInt8>) throws(Failure) -> Void
  ) throws(Failure) -> Bool {
    guard elementType == .string else { return false }
    try withBytes { (bytes) throws(Failure) in
      var cursor = GGUFCursor(bytes: bytes)
      for _ in 0..<count {
        try cursor.string().withMemoryRebound(to: UInt8.self, body)
      }
    }
    return true
  }

  /// Calls `body` with the elements as the format writes them.
  func withBytes<Result, Failure: Error>(
    _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    switch content {
    case .file(let file, let range):
      defer { withExtendedLifetime(file) {} }
      return try body(UnsafeRawBufferPointer(rebasing: file.bytes[range]))
    case .owned(let bytes):
      return try bytes.withUnsafeBufferPointer { (bytes) throws(Failure) in
        try body(UnsafeRawBufferPointer(bytes))
      }
    }
  }

  private func numbers<Number: BitwiseCopyable>(_: Number.Type) -> [Number] {
    let width = MemoryLayout<Number>.size
    return withBytes { bytes in
      (0..<count).map { bytes.loadUnaligned(fromByteOffset: $0 * width, as: Number.self) }
    }
  }
}

/// The number types of GGUF metadata.
public protocol GGUFNumber: BitwiseCopyable, Sendable {
  /// The type in the file.
  static var valueType: GGUFValueType { get }
}

extension UInt8: GGUFNumber {
  /// The type in the file.
  public static var valueType: GGUFValueType { .uint8 }
}
extension Int8: GGUFNumber {
  /// The type in the file.
  public static var valueType: GGUFValueType { .int8 }
}
extension UInt16: GGUFNumber {
  /// The type in the file.
  public static var valueType: GGUFValueType { .uint16 }
}
extension Int16: GGUFNumber {
  /// The type in the file.
  public static var valueType: GGUFValueType { .int16 }
}
extension UInt32: GGUFNumber {
  /// The type in the file.
  public static var valueType: GGUFValueType { .uint32 }
}
extension Int32: GGUFNumber {
  /// The type in the file.
  public static var valueType: GGUFValueType { .int32 }
}
extension UInt64: GGUFNumber {
  /// The type in the file.
  public static var valueType: GGUFValueType { .uint64 }
}
extension Int64: GGUFNumber {
  /// The type in the file.
  public static var valueType: GGUFValueType { .int64 }
}
extension Float: GGUFNumber {
  /// The type in the file.
  public static var valueType: GGUFValueType { .float32 }
}
extension Double: GGUFNumber {
  /// The type in the file.
  public static var valueType: GGUFValueType { .float64 }
}

/// Walks values that have been checked.
struct GGUFCursor {
  let bytes: UnsafeRawBufferPointer
  var position = 0

  init(bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

  /// The next number; the format and the machines this runs on are little-endian.
  mutating func load<Number: BitwiseCopyable>(_: Number.Type) -> Number {
    defer { position += MemoryLayout<Number>.size }
    return bytes.loadUnaligned(fromByteOffset: position, as: Number.self)
  }

  /// The bytes of the next string.
  mutating func string() -> UnsafeRawBufferPointer {
    let length = Int(truncatingIfNeeded: load(UInt64.self))
    defer { position += length }
    return UnsafeRawBufferPointer(rebasing: bytes[position..<position + length])
  }

  /// Goes to the end of an array's elements.
  mutating func skip(elements count: Int, _ type: GGUFValueType) {
    if let width = type.byteCount {
      position += count * width
      return
    }
    for _ in 0..<count {
      if type == .string {
        _ = string()
      } else {
        let type = GGUFValueType(rawValue: load(UInt32.self)) ?? .uint8
        skip(elements: Int(truncatingIfNeeded: load(UInt64.self)), type)
      }
    }
  }
}

/// Writes values as the format does.
struct GGUFEncoder {
  var bytes: [UInt8] = []

  mutating func append<Number: BitwiseCopyable>(_ number: Number) {
    withUnsafeBytes(of: number) { bytes.append(contentsOf: $0) }
  }

  mutating func append(_ string: String) {
    append(UInt64(string.utf8.count))
    bytes.append(contentsOf: string.utf8)
  }

  mutating func append(_ array: GGUFArray) {
    append(array.elementType.rawValue)
    append(UInt64(array.count))
    array.withBytes { bytes.append(contentsOf: $0) }
  }

  mutating func append(_ value: GGUFValue) {
    switch value {
    case .uint8(let value): append(value)
    case .int8(let value): append(value)
    case .uint16(let value): append(value)
    case .int16(let value): append(value)
    case .uint32(let value): append(value)
    case .int32(let value): append(value)
    case .float32(let value): append(value)
    case .bool(let value): append(UInt8(value ? 1 : 0))
    case .string(let value): append(value)
    case .array(let value): append(value)
    case .uint64(let value): append(value)
    case .int64(let value): append(value)
    case .float64(let value): append(value)
    }
  }
}
