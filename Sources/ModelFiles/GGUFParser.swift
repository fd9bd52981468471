/// Checks one GGUF file from its first byte to its last, and takes note of what it holds.
struct GGUFParser {
  private(set) var version = 0
  private(set) var alignment = 32
  private(set) var metadata: GGUFMetadata
  private(set) var tensors: [StoredTensor] = []

  private let file: FileBytes
  private var position = 0
  /// Where metadata and descriptions must end: at the end of the file, or earlier.
  private let limit: Int
  private let limits: FileLimits

  /// Longer names than ggml's 63 bytes occur in no known file; this only keeps them bounded.
  static let longestName = 512
  /// The format's limit for keys.
  static let longestKey = 65_535
  /// ggml has no arrays of arrays at all; the format allows them.
  private static let deepestNesting = 4
  static let mostDimensions = 4

  /// Entries take more memory than the few bytes of the file that allow for them: what is larger grows.
  private static let mostReserved = 1 << 14

  /// Raw values of `TensorType` from here on aren't type ids of GGUF.
  static let typeCount: UInt32 = 1000

  /// The first four bytes of every GGUF file.
  static let magic: [UInt8] = Array("GGUF".utf8)

  /// A tensor's description, whose offset still counts from the start of the data.
  private struct Info {
    var name: String
    var type: TensorType
    var shape: [Int]
    var offset: UInt64
    var byteCount: Int
  }

  init(file: FileBytes, limits: FileLimits) {
    self.file = file
    self.limits = limits
    limit = min(file.count, max(0, limits.ggufHeaderBytes))
    metadata = GGUFMetadata(file: file, minimumCapacity: 0)
  }

  mutating func parse() throws(ModelFileError) {
    let (tensorCount, valueCount) = try parseHeader()
    metadata = GGUFMetadata(file: file, minimumCapacity: min(valueCount, Self.mostReserved))
    for number in 0..<valueCount { try parseKeyAndValue(number) }
    try parseAlignment()
    var infos: [Info] = []
    var names = NameTable(minimumCapacity: min(tensorCount, Self.mostReserved))
    infos.reserveCapacity(min(tensorCount, Self.mostReserved))
    for number in 0..<tensorCount {
      let info = try parseTensorInfo(number)
      guard names.insert(info.name, number) else {
        throw failure("expected the tensor only once", info.name)
      }
      infos.append(info)
    }
    try placeTensors(infos)
  }

  // MARK: Parts of the file

  private mutating func parseHeader() throws(ModelFileError) -> (tensorCount: Int, valueCount: Int) {
    guard file.bytes.starts(with: Self.magic) else {
      throw failure("expected a GGUF file, which starts with the bytes GGUF")
    }
    position = 4
    let version = try load(UInt32.self, "header")
    guard version & 0xFFFF != 0 || version == 0 else {
      throw failure("expected a little-endian GGUF file, found a big-endian one", "version", .unsupported)
    }
    guard version == 2 || version == 3 else {
      let kind: ModelFileError.Kind = version == 0 ? .malformed : .unsupported
      throw failure("expected GGUF version 2 or 3, found \(version)", "version", kind)
    }
    self.version = Int(version)
    let tensorCount = try load(UInt64.self, "header")
    let valueCount = try load(UInt64.self, "header")
    // Key: length, one byte, type, one byte of value. Tensor: length, one byte, dimensions, type, offset.
    let values = try count(valueCount, ofAtLeast: 14, "metadata values")
    let tensors = try count(tensorCount, ofAtLeast: 25, "tensors")
    guard values <= limits.metadataValues else {
      throw failure("expected at most \(limits.metadataValues) metadata values, found \(values)", "header")
    }
    try limits.check(tensors: tensors, file: file.path)
    return (tensors, values)
  }

  private mutating func parseKeyAndValue(_ number: Int) throws(ModelFileError) {
    let key = try name("metadata key \(number)", longest: Self.longestKey)
    let type = try valueType(key)
    let start = position
    try checkValue(type, key, depth: 0)
    guard metadata.insert(.init(key: key, type: type, range: start..<position)) else {
      throw failure("expected the key only once", key)
    }
  }

  private mutating func parseAlignment() throws(ModelFileError) {
    let key = "general.alignment"
    guard let value = metadata[key] else { return }
    guard case .uint32(let alignment) = value else {
      throw failure("expected a uint32, found \(value.type)", key)
    }
    guard alignment >= 8, alignment <= 65_536, alignment.nonzeroBitCount == 1 else {
      throw failure("expected a power of two from 8 to 65536, found \(alignment)", key)
    }
    self.alignment = Int(alignment)
  }

  private mutating func parseTensorInfo(_ number: Int) throws(ModelFileError) -> Info {
    let name = try name("tensor \(number)", longest: Self.longestName)
    let dimensions = try load(UInt32.self, name)
    guard dimensions <= Self.mostDimensions else {
      throw failure("expected at most \(Self.mostDimensions) dimensions, found \(dimensions)", name)
    }
    var shape: [Int] = []
    for _ in 0..<dimensions {
      let size = try load(UInt64.self, name)
      guard size > 0, let size = Int(exactly: size) else {
        throw failure("expected dimensions from 1 to \(Int.max), found \(size)", name)
      }
      // The file has the innermost dimension first.
      shape.insert(size, at: 0)
    }
    let id = try load(UInt32.self, name)
    let offset = try load(UInt64.self, name)
    guard id < Self.typeCount, let type = TensorType(rawValue: id) else {
      throw failure("expected a known tensor type, found type id \(id)", name, .unsupported)
    }
    guard (shape.last ?? 1) % type.valuesPerBlock == 0 else {
      throw failure(
        "expected rows of whole \(type.name) blocks of \(type.valuesPerBlock) values, found shape \(shape)",
        name)
    }
    guard let byteCount = TensorSize.bytes(type: type, shape: shape) else {
      throw failure("expected a size below 2^63 bytes, found \(type.name) of shape \(shape)", name)
    }
    return Info(name: name, type: type, shape: shape, offset: offset, byteCount: byteCount)
  }

  /// Checks where the tensors lie: aligned, inside the file, none on top of another.
  private mutating func placeTensors(_ infos: [Info]) throws(ModelFileError) {
    if infos.isEmpty { return }
    let dataStart = (position + alignment - 1) / alignment * alignment
    let space = max(0, file.count - dataStart)
    tensors.reserveCapacity(infos.count)
    for info in infos {
      guard info.offset % UInt64(alignment) == 0 else {
        throw failure("expected an offset divisible by \(alignment), found \(info.offset)", info.name)
      }
      guard info.offset <= space, info.byteCount <= space - Int(info.offset) else {
        throw failure(
          "expected \(info.byteCount) bytes at offset \(info.offset) of the data, found only \(space) bytes of data",
          info.name)
      }
      tensors.append(
        StoredTensor(
          name: info.name, type: info.type, shape: info.shape, file: file,
          offset: dataStart + Int(info.offset), byteCount: info.byteCount))
    }
    let order = tensors.indices.sorted { tensors[$0].offset < tensors[$1].offset }
    for (earlier, later) in zip(order, order.dropFirst()) {
      let (earlier, later) = (tensors[earlier], tensors[later])
      guard earlier.offset + earlier.byteCount <= later.offset else {
        throw failure("expected bytes of its own, found them shared with \(earlier.name)", later.name)
      }
    }
  }

  // MARK: Values

  private mutating func checkValue(
    _ type: GGUFValueType, _ key: String, depth: Int
  ) throws(ModelFileError) {
    switch type {
    case .bool:
      try checkBooleans(1, key)
    case .string:
      let text = try string(key)
      guard UTF8Check.isValid(text) else { throw failure("expected valid UTF-8", key) }
    case .array:
      guard depth < Self.deepestNesting else {
        throw failure("expected at most \(Self.deepestNesting) levels of arrays", key)
      }
      let elementType = try valueType(key)
      let written = try load(UInt64.self, key)
      let count = try count(written, ofAtLeast: elementType.leastByteCount, "elements", key)
      if elementType == .bool {
        try checkBooleans(count, key)
      } else if let width = elementType.byteCount {
        position += count * width
      } else if elementType == .string {
        for index in 0..<count {
          try ReadInterruption.check(after: index, file: file.path)
          _ = try string(key)
        }
      } else {
        for _ in 0..<count { try checkValue(.array, key, depth: depth + 1) }
      }
    default:
      try skip(type.byteCount ?? 0, key)
    }
  }

  private mutating func checkBooleans(_ count: Int, _ key: String) throws(ModelFileError) {
    let start = position
    try skip(count, key)
    if let value = file.bytes[start..<position].first(where: { $0 > 1 }) {
      throw failure("expected booleans to be 0 or 1, found \(value)", key)
    }
  }

  private mutating func valueType(_ key: String) throws(ModelFileError) -> GGUFValueType {
    let id = try load(UInt32.self, key)
    guard let type = GGUFValueType(rawValue: id) else {
      throw failure("expected a value type from 0 to 12, found \(id)", key)
    }
    return type
  }

  /// A key's or tensor's name.
  private mutating func name(_ subject: String, longest: Int) throws(ModelFileError) -> String {
    let text = try string(subject)
    guard !text.isEmpty else { throw failure("expected a name that isn't empty", subject) }
    guard text.count <= longest else {
      throw failure("expected a name of at most \(longest) bytes, found \(text.count)", subject)
    }
    guard UTF8Check.isValid(text) else { throw failure("expected a name in valid UTF-8", subject) }
    return String(decoding: text, as: UTF8.self)
  }

  // MARK: Bytes

  private mutating func string(_ subject: String) throws(ModelFileError) -> UnsafeRawBufferPointer {
    let written = try load(UInt64.self, subject)
    let length = try count(written, ofAtLeast: 1, "bytes of text", subject)
    defer { position += length }
    return UnsafeRawBufferPointer(rebasing: file.bytes[position..<position + length])
  }

  private mutating func load<Number: BitwiseCopyable & FixedWidthInteger>(
    _: Number.Type, _ subject: String
  ) throws(ModelFileError) -> Number {
    let start = position
    try skip(MemoryLayout<Number>.size, subject)
    return Number(littleEndian: file.bytes.loadUnaligned(fromByteOffset: start, as: Number.self))
  }

  private mutating func skip(_ byteCount: Int, _ subject: String) throws(ModelFileError) {
    guard byteCount <= limit - position else {
      throw failure(
        "expected \(byteCount) more bytes at offset \(position), found only \(limit - position) left", subject
      )
    }
    position += byteCount
  }

  /// Checks a count against the bytes that are left: so many things of at least `size` bytes must fit.
  private func count(
    _ count: UInt64, ofAtLeast size: Int, _ things: String, _ subject: String? = nil
  ) throws(ModelFileError) -> Int {
    let left = limit - position
    guard count <= UInt64(left / size) else {
      let place = limit < file.count ? "first \(limit) bytes of the file" : "file"
      throw failure("expected \(count) \(things) within the \(place), found only \(left) bytes left", subject)
    }
    return Int(count)
  }

  private func failure(
    _ expectation: String, _ subject: String? = nil, _ kind: ModelFileError.Kind = .malformed
  ) -> ModelFileError {
    ModelFileError(kind, file: file.path, subject: subject, expectation: expectation)
  }
}
