/// A GGUF model: its metadata and its tensors, out of one file or a split set.
///
/// Versions 2 and 3 of the format, little-endian ("GGUF" in ggml's documentation). Everything is checked
/// when the file is opened, against the rules of the format and the size of the file.
public struct GGUFFile: Sendable {
  /// The metadata of the (first) file, in its order.
  public let metadata: GGUFMetadata
  /// All tensors, file by file, in the order of their descriptions.
  public let tensors: [StoredTensor]
  /// The version of the format: 2 or 3.
  public let version: Int
  /// The alignment of tensors in the (first) file, in bytes.
  public let alignment: Int
  /// The file, or the files of the split set in order.
  public let files: [FileBytes]

  private let table: NameTable

  /// The path of the (first) file.
  public var path: String { files[0].path }

  /// The tensor `name`, or nil.
  public func tensor(_ name: String) -> StoredTensor? { table[name].map { tensors[$0] } }

  /// Opens `path` and, if it is the first part of a split set, the other parts beside it.
  ///
  /// - Parameters:
  ///   - path: The file.
  ///   - mapped: Whether to map files, or to read them into memory.
  ///   - limits: The most that is taken from a file before it is checked.
  /// - Throws: `ModelFileError`: `missing` also for a missing part, `unsupported` for other versions, byte
  ///   orders and tensor types, `malformed` for whatever breaks the format.
  public init(path: String, mapped: Bool = true, limits: FileLimits = .init()) throws(ModelFileError) {
    try self.init(first: FileBytes(path: path, mapped: mapped), limits: limits)
  }

  /// Reads a file that is open already; other parts are opened in the same way.
  init(first file: FileBytes, limits: FileLimits) throws(ModelFileError) {
    var parser = GGUFParser(file: file, limits: limits)
    try parser.parse()
    let metadata = parser.metadata
    var files = [file]
    var tensors = parser.tensors
    if let set = try GGUFSplitSet(first: file.path, metadata: metadata) {
      for number in 1..<set.count {
        let part = try FileBytes(path: set.path(number), mapped: file.isMapped)
        var parser = GGUFParser(file: part, limits: limits)
        try parser.parse()
        try set.check(part: number, parser.metadata, against: metadata)
        files.append(part)
        tensors += parser.tensors
        try limits.check(tensors: tensors.count, file: part.path)
      }
      try set.check(tensorCount: tensors.count)
    }
    var table = NameTable(minimumCapacity: tensors.count)
    for (position, tensor) in tensors.enumerated() {
      guard table.insert(tensor.name, position) else {
        throw ModelFileError(
          .malformed, file: tensor.file.path, subject: tensor.name,
          expectation: "expected the tensor only once in the split set")
      }
    }
    self.metadata = metadata
    self.tensors = tensors
    self.table = table
    self.files = files
    version = parser.version
    alignment = parser.alignment
  }
}

/// The metadata of a GGUF file: values by key, in the order of the file.
public struct GGUFMetadata: Sendable {
  struct Entry: Sendable {
    let key: String
    let type: GGUFValueType
    /// The value's bytes in the file.
    let range: Range<Int>
  }

  let file: FileBytes
  private(set) var entries: [Entry] = []
  private var table: NameTable

  init(file: FileBytes, minimumCapacity: Int) {
    self.file = file
    entries.reserveCapacity(minimumCapacity)
    table = NameTable(minimumCapacity: minimumCapacity)
  }

  /// The path of the file.
  public var path: String { file.path }

  /// How many keys there are.
  public var count: Int { entries.count }

  /// The keys, in the order of the file.
  public var keys: [String] { entries.map(\.key) }

  /// The value of `key`, or nil.
  public subscript(_ key: String) -> GGUFValue? { table[key].map { value(of: entries[$0]) } }

  /// The keys and values, in the order of the file.
  public var values: [(key: String, value: GGUFValue)] { entries.map { ($0.key, value(of: $0)) } }

  /// Adds a checked value, or returns false if the key is there already.
  mutating func insert(_ entry: Entry) -> Bool {
    guard table.insert(entry.key, entries.count) else { return false }
    entries.append(entry)
    return true
  }

  private func value(of entry: Entry) -> GGUFValue {
    var cursor = GGUFCursor(bytes: file.bytes)
    cursor.position = entry.range.lowerBound
    switch entry.type {
    case .uint8: return .uint8(cursor.load(UInt8.self))
    case .int8: return .int8(cursor.load(Int8.self))
    case .uint16: return .uint16(cursor.load(UInt16.self))
    case .int16: return .int16(cursor.load(Int16.self))
    case .uint32: return .uint32(cursor.load(UInt32.self))
    case .int32: return .int32(cursor.load(Int32.self))
    case .float32: return .float32(cursor.load(Float.self))
    case .bool: return .bool(cursor.load(UInt8.self) != 0)
    case .string: return .string(String(decoding: cursor.string(), as: UTF8.self))
    case .uint64: return .uint64(cursor.load(UInt64.self))
    case .int64: return .int64(cursor.load(Int64.self))
    case .float64: return .float64(cursor.load(Double.self))
    case .array:
      let type = GGUFValueType(rawValue: cursor.load(UInt32.self)) ?? .uint8
      let count = Int(truncatingIfNeeded: cursor.load(UInt64.self))
      return .array(
        GGUFArray(
          elementType: type, count: count, file: file, range: cursor.position..<entry.range.upperBound))
    }
  }
}

/// A model that was split over files named `NAME-00001-of-0000N.gguf`.
struct GGUFSplitSet {
  let count: Int
  private let first: String
  private let prefix: String
  private let tensorCount: Int?

  /// The set that `metadata` says the file at `path` begins, or nil for a model in one file.
  init?(first path: String, metadata: GGUFMetadata) throws(ModelFileError) {
    guard let count = try Self.integer("split.count", in: metadata, 0...99_999), count > 1 else { return nil }
    let suffix = "-of-\(Self.fiveDigits(count)).gguf"
    let number = try Self.integer("split.no", in: metadata, 0...count - 1) ?? 0
    // Five digits stand before the suffix, after a dash.
    let name = Array(path.utf8)
    let end = name.count - suffix.utf8.count
    guard
      path.utf8.suffix(suffix.utf8.count).elementsEqual(suffix.utf8), end > 6,
      name[end - 6] == UInt8(ascii: "-")
    else {
      throw ModelFileError(
        .malformed, file: path, subject: "split.count",
        expectation: "expected the file to be named NAME-\(Self.fiveDigits(number + 1))\(suffix)")
    }
    prefix = String(decoding: name[..<(end - 5)], as: UTF8.self)
    guard name[(end - 5)..<end].elementsEqual(Self.fiveDigits(number + 1).utf8) else {
      throw ModelFileError(
        .malformed, file: path, subject: "split.no",
        expectation:
          "expected part \(number + 1) of \(count) to be named \(prefix)\(Self.fiveDigits(number + 1))\(suffix)"
      )
    }
    guard number == 0 else {
      throw ModelFileError(
        .malformed, file: path, subject: "split.no",
        expectation:
          "expected the first part of the split set, \(prefix)\(Self.fiveDigits(1))\(suffix), found part \(number + 1) of \(count)"
      )
    }
    self.count = count
    first = path
    tensorCount = try Self.integer("split.tensors.count", in: metadata, 0...Int.max)
  }

  /// The path of a part, counted from 0.
  func path(_ number: Int) -> String {
    "\(prefix)\(Self.fiveDigits(number + 1))-of-\(Self.fiveDigits(count)).gguf"
  }

  /// Checks that a part says of itself what its name says, and belongs to the first one.
  func check(
    part number: Int, _ metadata: GGUFMetadata, against first: GGUFMetadata
  ) throws(ModelFileError) {
    func expect(_ key: String, _ wanted: Int) throws(ModelFileError) {
      let found = try Self.integer(key, in: metadata, 0...Int.max)
      guard found == wanted else {
        throw ModelFileError(
          .malformed, file: metadata.path, subject: key,
          expectation:
            "expected \(wanted) as the split set has it, found \(found.map(String.init) ?? "nothing")")
      }
    }
    try expect("split.no", number)
    try expect("split.count", count)
    if let tensorCount, metadata["split.tensors.count"] != nil {
      try expect("split.tensors.count", tensorCount)
    }
    let key = "general.architecture"
    if let architecture = metadata[key]?.string, architecture != first[key]?.string {
      throw ModelFileError(
        .malformed, file: metadata.path, subject: key,
        expectation: "expected \(first[key]?.string ?? "nothing") as in the first part, found \(architecture)"
      )
    }
  }

  /// Checks the number of tensors over all parts.
  func check(tensorCount found: Int) throws(ModelFileError) {
    if let tensorCount, tensorCount != found {
      throw ModelFileError(
        .malformed, file: first, subject: "split.tensors.count",
        expectation: "expected \(tensorCount) tensors in the split set, found \(found)")
    }
  }

  private static func fiveDigits(_ number: Int) -> String {
    let digits = String(number)
    return String(repeating: "0", count: max(0, 5 - digits.count)) + digits
  }

  private static func integer(
    _ key: String, in metadata: GGUFMetadata, _ range: ClosedRange<Int>
  ) throws(ModelFileError) -> Int? {
    guard let value = metadata[key] else { return nil }
    guard let integer = value.int, range.contains(integer) else {
      throw ModelFileError(
        .malformed, file: metadata.path, subject: key,
        expectation:
          "expected an integer of at least \(range.lowerBound)\(range.upperBound == .max ? "" : " and at most \(range.upperBound)")"
      )
    }
    return integer
  }
}
