import SalanganeFiles

/// What `inspect` shows of a checkpoint.
struct InspectionReport {
  private let checkpoint: Checkpoint
  private let metadata: [(key: String, value: Value)]
  /// Tensor types by name, in the order in which they occur.
  private let types: [(name: String, count: Int, byteCount: Int)]
  private let parameterCount: Int

  /// A metadata value in the one form that both outputs share.
  private indirect enum Value {
    case string(String)
    case integer(String)
    case number(Double)
    case boolean(Bool)
    case null
    case list([Value])
    case object([(key: String, value: Value)])
    /// An array too long to show.
    case elided(type: String, count: Int)
  }

  /// Arrays with more elements are given by their length only.
  private static let longestList = 16

  /// Gathers what there is to show.
  ///
  /// - Throws: `ModelFileError` if the model's configuration can't be read.
  init(_ checkpoint: Checkpoint) throws(ModelFileError) {
    self.checkpoint = checkpoint
    if let gguf = checkpoint.gguf {
      metadata = gguf.metadata.values.map { ($0.key, Self.value($0.value)) }
    } else if let configuration = try checkpoint.readJSON("config.json") {
      metadata = configuration.root.members.map { ($0.key.string ?? "", Self.value($0.value)) }
    } else {
      metadata = []
    }
    var types: [(name: String, count: Int, byteCount: Int)] = []
    var parameterCount = 0
    for tensor in checkpoint.tensors {
      parameterCount += tensor.elementCount
      if let position = types.firstIndex(where: { $0.name == tensor.type.name }) {
        types[position].count += 1
        types[position].byteCount += tensor.byteCount
      } else {
        types.append((tensor.type.name, 1, tensor.byteCount))
      }
    }
    self.types = types
    self.parameterCount = parameterCount
  }

  private static func value(_ value: GGUFValue) -> Value {
    switch value {
    case .string(let text): return .string(text)
    case .bool(let flag): return .boolean(flag)
    case .float32(let number): return .number(Double(number.description) ?? Double(number))
    case .float64(let number): return .number(number)
    case .uint64(let number): return .integer(String(number))
    case .array(let array):
      guard array.count <= longestList else {
        return .elided(type: "\(array.elementType)", count: array.count)
      }
      if let strings = array.strings { return .list(strings.map { .string($0) }) }
      if let flags = array.bools { return .list(flags.map { .boolean($0) }) }
      if let integers = array.ints { return .list(integers.map { .integer(String($0)) }) }
      if let numbers = array.floats { return .list(numbers.map { Self.value(.float32($0)) }) }
      if let numbers = array.doubles { return .list(numbers.map { .number($0) }) }
      if let arrays = array.arrays { return .list(arrays.map { Self.value(.array($0)) }) }
      return .elided(type: "\(array.elementType)", count: array.count)
    default: return value.int.map { .integer(String($0)) } ?? .null
    }
  }

  private static func value(_ value: JSONValue) -> Value {
    switch value.kind {
    case .null: return .null
    case .boolean: return .boolean(value.bool ?? false)
    case .string: return .string(value.string ?? "")
    case .integer, .number:
      return value.kind == .integer && value.int != nil
        ? .integer(String(value.int ?? 0)) : .number(value.double ?? 0)
    case .array:
      guard value.count <= longestList else { return .elided(type: "array", count: value.count) }
      return .list(value.elements.map { Self.value($0) })
    case .object:
      guard value.count <= longestList else { return .elided(type: "object", count: value.count) }
      return .object(value.members.map { ($0.key.string ?? "", Self.value($0.value)) })
    }
  }

  // MARK: JSON

  /// One JSON object and a line end.
  func json(listingTensors: Bool) -> [UInt8] {
    var writer = JSONWriter()
    writer.object { writer in
      writer.key("path")
      writer.value(checkpoint.path)
      writer.key("format")
      writer.value(checkpoint.format.rawValue)
      writer.key("architecture")
      writer.value(checkpoint.architecture)
      writer.key("files")
      writer.array { writer in
        for file in checkpoint.files {
          writer.object { writer in
            writer.key("path")
            writer.value(file.path)
            writer.key("bytes")
            writer.value(file.count)
          }
        }
      }
      writer.key("tensor_count")
      writer.value(checkpoint.tensors.count)
      writer.key("parameters")
      writer.value(parameterCount)
      writer.key("bytes")
      writer.value(checkpoint.byteCount)
      writer.key("types")
      writer.object { writer in
        for type in types {
          writer.key(type.name)
          writer.object { writer in
            writer.key("tensors")
            writer.value(type.count)
            writer.key("bytes")
            writer.value(type.byteCount)
          }
        }
      }
      writer.key("metadata")
      writer.object { writer in
        for (key, value) in metadata {
          writer.key(key)
          Self.write(value, to: &writer)
        }
      }
      if listingTensors { writeTensors(to: &writer) }
    }
    writer.newline()
    return writer.bytes
  }

  private func writeTensors(to writer: inout JSONWriter) {
    writer.key("tensors")
    writer.array { writer in
      for tensor in checkpoint.tensors {
        writer.object { writer in
          writer.key("name")
          writer.value(tensor.name)
          writer.key("type")
          writer.value(tensor.type.name)
          writer.key("shape")
          writer.array(tensor.shape)
          writer.key("bytes")
          writer.value(tensor.byteCount)
          writer.key("offset")
          writer.value(tensor.offset)
          writer.key("file")
          writer.value(tensor.file.path)
        }
      }
    }
  }

  private static func write(_ value: Value, to writer: inout JSONWriter) {
    switch value {
    case .string(let text): writer.value(text)
    case .integer(let digits): writer.raw(digits.utf8)
    case .number(let number): writer.value(number)
    case .boolean(let flag): writer.value(flag)
    case .null: writer.null()
    case .list(let values): writer.array { writer in for value in values { write(value, to: &writer) } }
    case .object(let members):
      writer.object { writer in
        for (key, value) in members {
          writer.key(key)
          write(value, to: &writer)
        }
      }
    case .elided(let type, let count):
      writer.object { writer in
        writer.key("type")
        writer.value(type)
        writer.key("count")
        writer.value(count)
      }
    }
  }

  // MARK: Text

  /// Lines for people.
  func text(listingTensors: Bool) -> String {
    var lines: [(String, String)] = [
      ("path", Self.line(checkpoint.path)),
      ("format", checkpoint.format.rawValue),
      ("architecture", Self.line(checkpoint.architecture)),
      (
        "files",
        checkpoint.files.map { "\(Self.line($0.path)) (\(Self.size($0.count)))" }.joined(separator: ", ")
      ),
      ("tensors", "\(checkpoint.tensors.count) (\(Self.size(checkpoint.byteCount)))"),
      ("parameters", Self.quantity(parameterCount)),
    ]
    let types = types.map { "\($0.name) x \($0.count) (\(Self.size($0.byteCount)))" }
    lines.append(("types", types.joined(separator: ", ")))
    var text = lines.map { "\(Self.pad($0 + ":", to: 14))\($1)\n" }.joined()
    if !metadata.isEmpty {
      text += "\n\(checkpoint.gguf == nil ? "config.json" : "metadata"):\n"
      for (key, value) in metadata { text += "  \(Self.line(key)) = \(Self.describe(value))\n" }
    }
    guard listingTensors else { return text }
    text += "\ntensors:\n"
    let names = checkpoint.tensors.map { Self.line($0.name) }
    let width = names.reduce(0) { max($0, $1.count) } + 2
    for (name, tensor) in zip(names, checkpoint.tensors) {
      text += "  \(Self.pad(name, to: width))\(Self.pad(tensor.type.name, to: 9))\(tensor.shape)\n"
    }
    return text
  }

  private static func describe(_ value: Value) -> String {
    switch value {
    case .string(let text): return "\"\(line(text))\""
    case .integer(let digits): return digits
    case .number(let number): return number.isFinite ? number.description : "not finite"
    case .boolean(let flag): return flag ? "true" : "false"
    case .null: return "null"
    case .list(let values): return "[" + values.map(describe).joined(separator: ", ") + "]"
    case .object(let members):
      return "{" + members.map { "\(line($0.key)): \(describe($0.value))" }.joined(separator: ", ") + "}"
    case .elided(let type, let count): return "\(count) x \(type)"
    }
  }

  /// Text out of a file on one line, of bounded length, with its control characters made visible.
  private static func line(_ text: String) -> String {
    var line = ""
    for (count, scalar) in text.unicodeScalars.enumerated() {
      guard count < 200 else { return line + "..." }
      switch scalar.properties.generalCategory {
      case .control, .format, .lineSeparator, .paragraphSeparator:
        line += scalar == "\n" ? "\\n" : "\\u{" + String(scalar.value, radix: 16) + "}"
      default: line.unicodeScalars.append(scalar)
      }
    }
    return line
  }

  private static func pad(_ text: String, to width: Int) -> String {
    text + String(repeating: " ", count: max(1, width - text.count))
  }

  /// A number of bytes, in powers of 1000.
  private static func size(_ bytes: Int) -> String {
    bytes < 1000 ? "\(bytes) B" : quantity(bytes) + "B"
  }

  /// A count with one decimal and a unit prefix.
  private static func quantity(_ count: Int) -> String {
    var value = Double(count)
    var prefixes = ["", "k", "M", "G", "T"][...]
    while value >= 999.95, prefixes.count > 1 {
      value /= 1000
      prefixes.removeFirst()
    }
    guard let prefix = prefixes.first, !prefix.isEmpty else { return "\(count)" }
    let tenths = Int((value * 10).rounded())
    return "\(tenths / 10).\(tenths % 10) \(prefix)"
  }
}
