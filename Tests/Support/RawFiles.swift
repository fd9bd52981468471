/// A GGUF file in its parts, each of which a test may spoil; `bytes` writes them without any check.
public struct RawGGUF: Sendable {
  /// A key, the id of its value's type, and the value as it is written.
  public struct Value: Sendable {
    /// The key's bytes.
    public var key: [UInt8]
    /// The id of the type.
    public var type: UInt32
    /// The value as it is written.
    public var payload: [UInt8]

    /// Creates a value.
    public init(_ key: String, type: UInt32, _ payload: [UInt8]) {
      self.key = Array(key.utf8)
      self.type = type
      self.payload = payload
    }
  }

  /// A tensor's description; sizes are innermost first, as in the file.
  public struct Tensor: Sendable {
    /// The name's bytes.
    public var name: [UInt8]
    /// The sizes, innermost first.
    public var sizes: [UInt64]
    /// The id of the type.
    public var type: UInt32
    /// Where the bytes start in the data.
    public var offset: UInt64

    /// Creates a description.
    public init(_ name: String, _ sizes: [UInt64], type: UInt32, offset: UInt64) {
      self.name = Array(name.utf8)
      self.sizes = sizes
      self.type = type
      self.offset = offset
    }
  }

  /// The first bytes.
  public var magic = Array("GGUF".utf8)
  /// The version of the format.
  public var version: UInt32 = 3
  /// The count in the header, if it is to differ from the true one.
  public var tensorCount: UInt64?
  /// The count in the header, if it is to differ from the true one.
  public var valueCount: UInt64?
  /// The metadata.
  public var values: [Value]
  /// The descriptions of tensors.
  public var tensors: [Tensor]
  /// What the data is aligned to, whatever the metadata says.
  public var alignment = 32
  /// The bytes of all tensors.
  public var data: [UInt8]
  /// How many bytes are cut off the end.
  public var cut = 0

  /// A tiny valid model: three strings, an F32 matrix `[2, 8]` and a Q8_0 matrix `[1, 32]`.
  public init() {
    values = [
      Value("general.architecture", type: 8, Self.string("bert")),
      Value("bert.block_count", type: 4, Self.number(UInt32(2))),
      Value("bert.attention.causal", type: 7, [0]),
      Value("bert.epsilon", type: 6, Self.number(Float(1e-12))),
      Value(
        "tokenizer.ggml.tokens", type: 9,
        Self.array(of: 8, count: 3, Self.string("a") + Self.string("") + Self.string("é"))),
      Value("tokenizer.ggml.flags", type: 9, Self.array(of: 7, count: 2, [1, 0])),
      Value("tokenizer.ggml.scores", type: 9, Self.array(of: 6, count: 1, Self.number(Float(-0.5)))),
    ]
    tensors = [
      Tensor("first.weight", [8, 2], type: 0, offset: 0),
      Tensor("second.weight", [32], type: 8, offset: 64),
    ]
    data = (0..<128).map { UInt8($0) }
  }

  /// The file.
  public var bytes: [UInt8] {
    var bytes = magic + Self.number(version)
    bytes += Self.number(tensorCount ?? UInt64(tensors.count))
    bytes += Self.number(valueCount ?? UInt64(values.count))
    for value in values {
      bytes += Self.string(value.key) + Self.number(value.type) + value.payload
    }
    for tensor in tensors {
      bytes += Self.string(tensor.name) + Self.number(UInt32(tensor.sizes.count))
      bytes += tensor.sizes.flatMap { Self.number($0) }
      bytes += Self.number(tensor.type) + Self.number(tensor.offset)
    }
    while bytes.count % alignment != 0 { bytes.append(0) }
    return Array((bytes + data).dropLast(cut))
  }

  /// Puts a value in the place of the one for `key`, or behind all others.
  public mutating func set(_ key: String, type: UInt32, _ payload: [UInt8]) {
    if let position = values.firstIndex(where: { $0.key == Array(key.utf8) }) {
      values[position] = Value(key, type: type, payload)
    } else {
      values.append(Value(key, type: type, payload))
    }
  }

  /// The little-endian bytes of a number.
  public static func number<Number: BitwiseCopyable>(_ number: Number) -> [UInt8] {
    withUnsafeBytes(of: number) { Array($0) }
  }

  /// A string as it is written: its length and its bytes.
  public static func string(_ text: String) -> [UInt8] { string(Array(text.utf8)) }

  /// A string as it is written: its length and its bytes.
  public static func string(_ text: [UInt8]) -> [UInt8] { number(UInt64(text.count)) + text }

  /// An array as it is written: its element type, its count and its elements.
  public static func array(of type: UInt32, count: UInt64, _ elements: [UInt8]) -> [UInt8] {
    number(type) + number(count) + elements
  }
}

/// A safetensors file in its parts, each of which a test may spoil.
public struct RawSafetensors: Sendable {
  /// The header's text.
  public var header: [UInt8]
  /// The length that the file gives for the header, if it is to differ from the true one.
  public var headerLength: UInt64?
  /// The bytes behind the header.
  public var data: [UInt8]
  /// How many bytes are left of the file, if not all.
  public var length: Int?

  /// Creates a file; the default is a tiny valid one with two tensors.
  public init(
    _ header: String = """
    {"__metadata__":{"format":"pt"},"first":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},\
    "second":{"dtype":"U8","shape":[3],"data_offsets":[16,19]}}
    """, dataCount: Int = 19
  ) {
    self.header = Array(header.utf8)
    data = (0..<dataCount).map { UInt8(truncatingIfNeeded: $0) }
  }

  /// The file.
  public var bytes: [UInt8] {
    let bytes = RawGGUF.number(headerLength ?? UInt64(header.count)) + header + data
    return Array(bytes.prefix(length ?? bytes.count))
  }
}

extension RawGGUF {
  /// The two parts of a valid split set; they belong into `NAME-00001-of-00002.gguf` and
  /// `NAME-00002-of-00002.gguf`.
  public static var splitSet: (first: RawGGUF, second: RawGGUF) {
    var first = RawGGUF()
    var second = RawGGUF()
    second.values = []
    second.tensors[0].name = Array("third.weight".utf8)
    second.tensors[1].name = Array("fourth.weight".utf8)
    func mark(_ file: inout RawGGUF, _ number: UInt16) {
      file.set("split.no", type: 2, number == 0 ? [0, 0] : RawGGUF.number(number))
      file.set("split.count", type: 2, RawGGUF.number(UInt16(2)))
      file.set("split.tensors.count", type: 5, RawGGUF.number(Int32(4)))
    }
    mark(&first, 0)
    mark(&second, 1)
    return (first, second)
  }
}
