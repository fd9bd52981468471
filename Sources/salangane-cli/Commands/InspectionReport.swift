import Salangane
import SalanganeFiles

/// What `inspect` shows of a checkpoint.
struct InspectionReport {
  private let checkpoint: Checkpoint
  private let memory: ModelMemory?
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
  /// - Parameters:
  ///   - checkpoint: The model.
  ///   - memory: What it needs; nil if that isn't known.
  /// - Throws: `ModelFileError` if the model's configuration can't be read.
  init(_ checkpoint: Checkpoint, memory: ModelMemory?) throws(ModelFileError) {
    self.checkpoint = checkpoint
    self.memory = memory
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
      if let memory {
        writer.key("memory")
        Self.write(memory, to: &writer)
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

  private static func write(_ memory: ModelMemory, to writer: inout JSONWriter) {
    writer.object { writer in
      for (key, value) in [
        ("context", memory.contextLength), ("weights", memory.weights), ("files", memory.files),
        ("cache", memory.cache), ("cache_per_1000_tokens", memory.cachePerThousand),
        ("scratch", memory.scratch), ("total", memory.total), ("available", memory.system.available),
        ("limit", memory.system.limit),
      ] {
        writer.key(key)
        writer.value(value)
      }
      writer.key("fits")
      writer.value(memory.fits)
      writer.key("kv_type")
      writer.value(memory.cacheType.rawValue)
      writer.key("cached_values_per_token")
      writer.array(memory.cachedValues)
    }
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
        checkpoint.files.map { "\(Self.line($0.path)) (\($0.count.formattedBytes))" }.joined(separator: ", ")
      ),
      ("tensors", "\(checkpoint.tensors.count) (\(checkpoint.byteCount.formattedBytes))"),
      ("parameters", parameterCount.formattedCount),
    ]
    let types = types.map { "\($0.name) x \($0.count) (\($0.byteCount.formattedBytes))" }
    lines.append(("types", types.joined(separator: ", ")))
    if let memory { lines += Self.lines(memory) }
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

  private static func lines(_ memory: ModelMemory) -> [(String, String)] {
    var parts = ["\(memory.weights.formattedBytes) of weights"]
    if memory.files > 0 { parts.append("\(memory.files.formattedBytes) of files") }
    if !memory.cachedValues.isEmpty { parts.append("\(memory.cache.formattedBytes) of cache") }
    parts.append("\(memory.scratch.formattedBytes) of scratch")
    var lines = [
      ("context", "\(memory.contextLength) tokens"),
      (
        "memory",
        "\(memory.total.formattedBytes) (\(parts.joined(separator: ", "))), "
          + (memory.fits ? "fits into" : "doesn't fit into")
          + " the \(memory.system.available.formattedBytes) that are available"
      ),
    ]
    if let least = memory.cachedValues.min(), let most = memory.cachedValues.max() {
      let values = least == most ? "\(most)" : "\(least) to \(most)"
      lines.append(
        (
          "cache",
          "\(memory.cachePerThousand.formattedBytes) for 1000 tokens, \(values) values a token and layer as "
            + memory.cacheType.rawValue
        ))
    }
    return lines
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
}
