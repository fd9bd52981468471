/// Writes safetensors files, one tensor after another.
public struct SafetensorsWriter {
  /// The `__metadata__`, in the order in which it is written.
  public var metadata: [(key: String, value: String)] = []
  /// The tensors to write; see `order`.
  public var tensors: [TensorDescription] = []

  /// Creates a writer of an empty file.
  public init() {}

  /// The tensors in the order in which they are written: larger elements first, so that all lie aligned.
  public var order: [TensorDescription] {
    tensors.enumerated().sorted { left, right in
      let (a, b) = (left.element.type.bytesPerBlock, right.element.type.bytesPerBlock)
      return a == b ? left.offset < right.offset : a > b
    }.map(\.element)
  }

  /// Writes the file.
  ///
  /// - Parameters:
  ///   - path: The file to be; nothing is seen of it until it is complete.
  ///   - body: Called for every tensor in `order`; it writes all its bytes to the sink.
  /// - Throws: `ModelFileError` for what the format can't hold or what can't be written, and what `body`
  ///   throws.
  public func write(
    to path: String, _ body: (TensorDescription, TensorSink) throws -> Void
  ) throws {
    let header = try encode(for: path)
    let output = try AtomicFileWriter(path: path)
    try output.write(header)
    for tensor in order {
      let sink = TensorSink(output, tensor, byteCount: tensor.byteCount ?? 0)
      try body(tensor, sink)
      try sink.finish()
    }
    try output.commit()
  }

  /// The header with its length.
  private func encode(for path: String) throws(ModelFileError) -> [UInt8] {
    func failure(_ subject: String, _ expectation: String) -> ModelFileError {
      ModelFileError(.malformed, file: path, subject: subject, expectation: expectation)
    }
    var members: [String] = []
    if !metadata.isEmpty {
      var keys = NameTable()
      for (number, entry) in metadata.enumerated() where !keys.insert(entry.key, number) {
        throw failure("__metadata__.\(entry.key)", "expected the key only once")
      }
      let values = metadata.map { "\(JSONString.encode($0.key)):\(JSONString.encode($0.value))" }
      members.append("\"__metadata__\":{\(values.joined(separator: ","))}")
    }
    var names = NameTable(minimumCapacity: tensors.count)
    var offset = 0
    for (number, tensor) in order.enumerated() {
      guard !tensor.name.isEmpty, tensor.name != "__metadata__", names.insert(tensor.name, number) else {
        throw failure(tensor.name, "expected a name that isn't empty or reserved, and only once")
      }
      guard let type = SafetensorsFile.types.first(where: { $0.value == tensor.type })?.key else {
        throw failure(tensor.name, "expected a tensor type that safetensors has, found \(tensor.type.name)")
      }
      guard tensor.shape.count <= SafetensorsFile.mostDimensions, let byteCount = tensor.byteCount else {
        throw failure(tensor.name, "expected at most 8 dimensions from 0, found shape \(tensor.shape)")
      }
      let (end, overflow) = offset.addingReportingOverflow(byteCount)
      guard !overflow else { throw failure(tensor.name, "expected a file below 2^63 bytes") }
      let shape = tensor.shape.map(String.init).joined(separator: ",")
      members.append(
        "\(JSONString.encode(tensor.name)):{\"dtype\":\"\(type)\",\"shape\":[\(shape)],\"data_offsets\":[\(offset),\(end)]}"
      )
      offset = end
    }
    var header = Array("{\(members.joined(separator: ","))}".utf8)
    // Spaces at its end make the header's length a multiple of 8, and the data aligned.
    header += [UInt8](repeating: UInt8(ascii: " "), count: (8 - header.count % 8) % 8)
    guard header.count <= SafetensorsFile.longestHeader else {
      throw failure(
        "header", "expected at most \(SafetensorsFile.longestHeader) bytes, found \(header.count)")
    }
    var encoder = GGUFEncoder()
    encoder.append(UInt64(header.count))
    return encoder.bytes + header
  }
}
