/// One safetensors file: its metadata and its tensors.
///
/// The checks are those of the format's own library: a header of at most 100 MB, tensors that fill the
/// rest of the file without holes, in whatever order the header names them.
public struct SafetensorsFile: Sendable {
  /// The `__metadata__` of the header, in its order.
  public let metadata: [(key: String, value: String)]
  /// The tensors, in the order of their bytes in the file.
  public let tensors: [StoredTensor]
  /// The file.
  public let file: FileBytes

  private let table: NameTable

  /// The largest header that the format's library accepts.
  static let longestHeader = 100_000_000
  /// No model needs more; this only keeps shapes bounded.
  static let mostDimensions = 8

  /// The path of the file.
  public var path: String { file.path }

  /// The tensor `name`, or nil.
  public func tensor(_ name: String) -> StoredTensor? { table[name].map { tensors[$0] } }

  /// Opens a safetensors file.
  ///
  /// - Parameters:
  ///   - path: The file.
  ///   - mapped: Whether to map the file, or to read it into memory.
  ///   - limits: The most that is taken from a file before it is checked.
  /// - Throws: `ModelFileError`: `unsupported` for element types without a `TensorType`, `malformed` for
  ///   whatever breaks the format.
  public init(path: String, mapped: Bool = true, limits: FileLimits = .init()) throws(ModelFileError) {
    try self.init(FileBytes(path: path, mapped: mapped), limits: limits)
  }

  /// Reads a file that is open already.
  init(_ file: FileBytes, limits: FileLimits) throws(ModelFileError) {
    self.file = file
    let longest = min(Self.longestHeader, limits.safetensorsHeaderBytes)
    let (document, dataStart) = try Self.header(file, longest: longest)
    let root = document.root
    guard root.kind == .object else {
      throw Self.failure(file, "header", "expected a JSON object")
    }
    let count = root.count - (root["__metadata__"] == nil ? 0 : 1)
    try limits.check(tensors: count, file: file.path)
    var metadata: [(key: String, value: String)] = []
    var tensors: [StoredTensor] = []
    tensors.reserveCapacity(root.count)
    for (key, value) in root.members {
      let name = key.string ?? ""
      if name == "__metadata__" {
        metadata = try Self.metadata(value, file)
      } else {
        tensors.append(try Self.tensor(name, value, file, dataStart: dataStart))
      }
    }
    // Empty tensors lie at the same place as the tensor behind them.
    tensors.sort { ($0.offset, $0.byteCount) < ($1.offset, $1.byteCount) }
    var end = dataStart
    var table = NameTable(minimumCapacity: tensors.count)
    for (position, tensor) in tensors.enumerated() {
      guard tensor.offset == end else {
        let relation =
          tensor.offset < end ? "found them shared with another tensor" : "found a hole before them"
        throw Self.failure(
          file, tensor.name, "expected bytes that start at \(end - dataStart) of the data, \(relation)")
      }
      end += tensor.byteCount
      guard table.insert(tensor.name, position) else {
        throw Self.failure(file, tensor.name, "expected the tensor only once")
      }
    }
    guard end == file.count else {
      throw Self.failure(
        file, tensors.last?.name,
        "expected the last tensor to end with the file, found \(file.count - end) more bytes")
    }
    self.metadata = metadata
    self.tensors = tensors
    self.table = table
  }

  /// True if a file that starts like this could be safetensors: a length that fits, and an object.
  static func isPlausible(_ start: [UInt8]) -> Bool {
    guard start.count > 8, start[8] == UInt8(ascii: "{") else { return false }
    let length = start[..<8].reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    return length >= 2 && length <= UInt64(longestHeader)
  }

  private static func header(
    _ file: FileBytes, longest: Int
  ) throws(ModelFileError) -> (JSONDocument, dataStart: Int) {
    let bytes = file.bytes
    guard bytes.count >= 8 else {
      throw failure(file, "header", "expected the 8 bytes of its length, found \(bytes.count)")
    }
    let length = UInt64(littleEndian: bytes.loadUnaligned(as: UInt64.self))
    guard length <= UInt64(max(0, longest)) else {
      throw failure(file, "header", "expected a length of at most \(longest) bytes, found \(length)")
    }
    guard length <= UInt64(bytes.count - 8) else {
      throw failure(
        file, "header", "expected \(length) bytes within the file, found only \(bytes.count - 8) bytes left")
    }
    let dataStart = 8 + Int(length)
    let text = bytes[8..<dataStart]
    guard text.first == UInt8(ascii: "{") else {
      throw failure(file, "header", "expected a JSON object, which starts with '{'")
    }
    let limits = JSONLimits(depth: 8, byteCount: longest, membersCheckedForDuplicates: .max)
    return (try JSONDocument(Array(text), file: file.path, limits: limits), dataStart)
  }

  private static func metadata(
    _ value: JSONValue, _ file: FileBytes
  ) throws(ModelFileError) -> [(key: String, value: String)] {
    guard value.kind == .object else {
      throw failure(file, "__metadata__", "expected an object of strings")
    }
    var metadata: [(key: String, value: String)] = []
    for (key, value) in value.members {
      guard let key = key.string, let value = value.string else {
        throw failure(file, "__metadata__.\(key.string ?? "")", "expected a string")
      }
      metadata.append((key, value))
    }
    return metadata
  }

  private static func tensor(
    _ name: String, _ value: JSONValue, _ file: FileBytes, dataStart: Int
  ) throws(ModelFileError) -> StoredTensor {
    guard !name.isEmpty else {
      throw failure(file, "header", "expected tensor names that aren't empty")
    }
    guard let typeName = value["dtype"]?.string else {
      throw failure(file, name, "expected an object with a string \"dtype\"")
    }
    guard let shapeValue = value["shape"], let shape = integers(shapeValue) else {
      throw failure(file, name, "expected a \"shape\" of integers from 0")
    }
    guard shape.count <= mostDimensions else {
      throw failure(file, name, "expected at most \(mostDimensions) dimensions, found \(shape.count)")
    }
    guard let offsetsValue = value["data_offsets"], let offsets = integers(offsetsValue), offsets.count == 2
    else {
      throw failure(file, name, "expected \"data_offsets\" of two integers from 0")
    }
    guard let type = types[typeName] else {
      throw ModelFileError(
        .unsupported, file: file.path, subject: name,
        expectation:
          "expected one of the types \(types.keys.sorted().joined(separator: ", ")), found \(typeName)")
    }
    guard let byteCount = TensorSize.bytes(type: type, shape: shape) else {
      throw failure(file, name, "expected a size below 2^63 bytes, found \(typeName) of shape \(shape)")
    }
    let dataCount = file.count - dataStart
    guard offsets[0] <= offsets[1], offsets[1] <= dataCount else {
      throw failure(
        file, name, "expected offsets in order within the \(dataCount) bytes of data, found \(offsets)")
    }
    guard offsets[1] - offsets[0] == byteCount else {
      throw failure(
        file, name,
        "expected \(byteCount) bytes for \(typeName) of shape \(shape), found \(offsets[1] - offsets[0])")
    }
    return StoredTensor(
      name: name, type: type, shape: shape, file: file, offset: dataStart + offsets[0], byteCount: byteCount)
  }

  private static func integers(_ value: JSONValue) -> [Int]? {
    guard value.kind == .array else { return nil }
    var integers: [Int] = []
    for element in value.elements {
      guard element.kind == .integer, let integer = element.int, integer >= 0 else { return nil }
      integers.append(integer)
    }
    return integers
  }

  /// The format's names of types; `F4`, the `F6` types and the `FNUZ` types have no counterpart here.
  static let types: [String: TensorType] = [
    "BOOL": .bool, "U8": .u8, "I8": .i8, "F8_E5M2": .f8_E5M2, "F8_E4M3": .f8_E4M3, "F8_E8M0": .f8_E8M0,
    "I16": .i16, "U16": .u16, "F16": .f16, "BF16": .bf16, "I32": .i32, "U32": .u32, "F32": .f32, "F64": .f64,
    "I64": .i64, "U64": .u64, "C64": .c64,
  ]

  private static func failure(_ file: FileBytes, _ subject: String?, _ expectation: String) -> ModelFileError
  {
    ModelFileError(.malformed, file: file.path, subject: subject, expectation: expectation)
  }
}
