/// Writes GGUF files (version 3, little-endian), one tensor after another.
public struct GGUFWriter: Sendable {
  /// The metadata, in the order in which it is written.
  public private(set) var metadata: [(key: String, value: GGUFValue)] = []
  /// The tensors, in the order in which they are written.
  public var tensors: [TensorDescription] = []
  /// The alignment of tensors in bytes, a power of two from 8 to 65,536.
  ///
  /// `general.alignment` is written for any value but 32, the format's default.
  public var alignment = 32

  private static let alignmentKey = "general.alignment"

  /// Creates a writer of an empty file.
  public init() {}

  /// Creates a writer of a file without tensors that has the metadata of another.
  public init(metadata: GGUFMetadata) { self.metadata = metadata.values }

  /// Takes the value of `key` out, if there is one.
  public mutating func remove(_ key: String) {
    metadata.removeAll { $0.key.utf8.elementsEqual(key.utf8) }
  }

  /// Sets the value of `key`, in the place of an earlier value or behind all others.
  public mutating func set(_ key: String, _ value: GGUFValue) {
    if let position = metadata.firstIndex(where: { $0.key.utf8.elementsEqual(key.utf8) }) {
      metadata[position].value = value
    } else {
      metadata.append((key, value))
    }
  }

  /// Writes the file.
  ///
  /// - Parameters:
  ///   - path: The file to be; nothing is seen of it until it is complete.
  ///   - body: Called for every tensor in order; it writes all its bytes to the sink.
  /// - Throws: `ModelFileError` for what the format can't hold or what can't be written, and what `body`
  ///   throws.
  public func write(
    to path: String, _ body: (TensorDescription, TensorSink) throws -> Void
  ) throws {
    let header = try encode(for: path)
    let output = try AtomicFileWriter(path: path)
    try output.write(header)
    for tensor in tensors {
      try output.pad(to: alignment)
      let sink = TensorSink(output, tensor, byteCount: tensor.byteCount ?? 0)
      try body(tensor, sink)
      try sink.finish()
    }
    try output.pad(to: alignment)
    try output.commit()
  }

  /// The file up to its data.
  private func encode(for path: String) throws(ModelFileError) -> [UInt8] {
    func failure(_ subject: String, _ expectation: String) -> ModelFileError {
      ModelFileError(.malformed, file: path, subject: subject, expectation: expectation)
    }
    guard alignment >= 8, alignment <= 65_536, alignment.nonzeroBitCount == 1 else {
      throw failure(Self.alignmentKey, "expected a power of two from 8 to 65536, found \(alignment)")
    }
    var values = metadata.filter { $0.key != Self.alignmentKey }
    if alignment != 32 { values.append((Self.alignmentKey, .uint32(UInt32(alignment)))) }
    var encoder = GGUFEncoder()
    encoder.bytes = GGUFParser.magic
    encoder.append(UInt32(3))
    encoder.append(UInt64(tensors.count))
    encoder.append(UInt64(values.count))
    for (key, value) in values {
      guard !key.isEmpty, key.utf8.count <= GGUFParser.longestKey else {
        throw failure(key, "expected a key of 1 to \(GGUFParser.longestKey) bytes")
      }
      encoder.append(key)
      encoder.append(value.type.rawValue)
      encoder.append(value)
    }
    var names = NameTable(minimumCapacity: tensors.count)
    var offset = 0
    for (number, tensor) in tensors.enumerated() {
      guard !tensor.name.isEmpty, tensor.name.utf8.count <= GGUFParser.longestName,
        names.insert(tensor.name, number)
      else {
        throw failure(tensor.name, "expected a name of 1 to \(GGUFParser.longestName) bytes, and only once")
      }
      guard tensor.type.rawValue < GGUFParser.typeCount else {
        throw failure(tensor.name, "expected a tensor type that GGUF has, found \(tensor.type.name)")
      }
      guard tensor.shape.count <= GGUFParser.mostDimensions, !tensor.shape.contains(0),
        let byteCount = tensor.byteCount
      else {
        throw failure(
          tensor.name,
          "expected at most 4 dimensions from 1 and whole blocks, found \(tensor.type.name) of shape \(tensor.shape)"
        )
      }
      encoder.append(tensor.name)
      encoder.append(UInt32(tensor.shape.count))
      for size in tensor.shape.reversed() { encoder.append(UInt64(size)) }
      encoder.append(tensor.type.rawValue)
      encoder.append(UInt64(offset))
      let (end, overflow) = offset.addingReportingOverflow(byteCount)
      guard !overflow, end <= Int.max - alignment else {
        throw failure(tensor.name, "expected a file below 2^63 bytes")
      }
      offset = (end + alignment - 1) / alignment * alignment
    }
    return encoder.bytes
  }
}
