import SalanganeFiles

/// A model that must be refused, and how.
public struct MalformedFile: Sendable, CustomStringConvertible {
  /// What is wrong with it.
  public let description: String
  /// The kind of the error.
  public let kind: ModelFileError.Kind
  /// What the message must hold.
  public let message: String
  private let make: @Sendable (TemporaryDirectory) throws -> String

  /// Writes the model into `directory` and returns the path to open.
  public func write(to directory: TemporaryDirectory) throws -> String { try make(directory) }

  init(
    _ description: String, _ message: String, kind: ModelFileError.Kind = .malformed,
    make: @escaping @Sendable (TemporaryDirectory) throws -> String
  ) {
    self.description = description
    self.message = message
    self.kind = kind
    self.make = make
  }

  private static func gguf(
    _ description: String, _ message: String, kind: ModelFileError.Kind = .malformed,
    _ spoil: @escaping @Sendable (inout RawGGUF) -> Void
  ) -> MalformedFile {
    MalformedFile(description, message, kind: kind) { directory in
      var file = RawGGUF()
      spoil(&file)
      return try directory.write(file.bytes, to: "model.gguf")
    }
  }

  static func safetensors(
    _ description: String, _ message: String, kind: ModelFileError.Kind = .malformed,
    _ make: @escaping @Sendable () -> RawSafetensors
  ) -> MalformedFile {
    MalformedFile(description, message, kind: kind) { directory in
      try directory.write(#"{"model_type":"bert"}"#, to: "config.json")
      try directory.write(make().bytes, to: "model.safetensors")
      return directory.path
    }
  }

  static func directory(
    _ description: String, _ message: String, kind: ModelFileError.Kind = .malformed,
    _ files: [String: [UInt8]]
  ) -> MalformedFile {
    MalformedFile(description, message, kind: kind) { directory in
      for (name, bytes) in files { try directory.write(bytes, to: name) }
      return directory.path
    }
  }

  /// Every check of every kind of file.
  public static var all: [MalformedFile] {
    ggufHeaders + ggufValues + ggufTensors + ggufSets + safetensorsHeaders + safetensorsTensors + directories
  }
}

extension MalformedFile {
  /// GGUF files that are wrong from the start.
  public static let ggufHeaders: [MalformedFile] = [
    gguf("empty file", "found an empty file") { $0.cut = $0.bytes.count },
    gguf("another magic", "starts with the bytes GGUF") { $0.magic = Array("GGML".utf8) },
    gguf("only the magic", "expected 4 more bytes at offset 4") { $0.cut = $0.bytes.count - 4 },
    gguf("version 0", "version: expected GGUF version 2 or 3, found 0") { $0.version = 0 },
    gguf("version 1", "found 1", kind: .unsupported) { $0.version = 1 },
    gguf("version 4", "found 4", kind: .unsupported) { $0.version = 4 },
    gguf("big-endian", "big-endian", kind: .unsupported) { $0.version = UInt32(3).byteSwapped },
    gguf("more tensors than bytes", "tensors within the file") { $0.tensorCount = 1 << 60 },
    gguf("as many tensors as there are numbers", "tensors within the file") { $0.tensorCount = .max },
    gguf("more keys than bytes", "metadata values within the file") { $0.valueCount = 1 << 60 },
    gguf("one tensor too many", "tensor 2: ") { $0.tensorCount = 3 },
    gguf("one key too many", "bytes of text within the file") { $0.valueCount = 8 },
    gguf("cut in the metadata", "expected 7 metadata values within the file") {
      $0.cut = $0.bytes.count - 100
    },
  ]

  /// GGUF files with wrong metadata.
  public static let ggufValues: [MalformedFile] = [
    gguf("empty key", "metadata key 1: expected a name that isn't empty") { $0.values[1].key = [] },
    gguf("key that isn't UTF-8", "metadata key 1: expected a name in valid UTF-8") {
      $0.values[1].key = [0x61, 0xFF]
    },
    gguf("key of 70,000 bytes", "at most 65535 bytes") {
      $0.values[1].key = [UInt8](repeating: 0x61, count: 70_000)
    },
    gguf("duplicate key", "bert.block_count: expected the key only once") { $0.values.append($0.values[1]) },
    gguf("no architecture", "general.architecture: expected a string") { $0.values.removeFirst() },
    gguf("architecture is a number", "general.architecture: expected a string") {
      $0.set("general.architecture", type: 4, RawGGUF.number(UInt32(1)))
    },
    gguf("unknown value type", "x: expected a value type from 0 to 12, found 13") {
      $0.set("x", type: 13, [0])
    },
    gguf("unknown element type", "x: expected a value type") {
      $0.set("x", type: 9, RawGGUF.array(of: 99, count: 1, [0]))
    },
    gguf("boolean 2", "x: expected booleans to be 0 or 1, found 2") { $0.set("x", type: 7, [2]) },
    gguf("boolean 255 in an array", "x: expected booleans to be 0 or 1, found 255") {
      $0.set("x", type: 9, RawGGUF.array(of: 7, count: 2, [1, 255]))
    },
    gguf("string that isn't UTF-8", "x: expected valid UTF-8") {
      $0.set("x", type: 8, RawGGUF.string([0xC3, 0x28]))
    },
    gguf("string longer than the file", "x: expected 1099511627776 bytes of text within the file") {
      $0.set("x", type: 8, RawGGUF.number(UInt64(1) << 40))
    },
    gguf("string of 2^64 - 1 bytes", "bytes of text within the file") {
      $0.set("x", type: 8, RawGGUF.number(UInt64.max))
    },
    gguf("array larger than the file", "x: expected 4611686018427387904 elements within the file") {
      $0.set("x", type: 9, RawGGUF.array(of: 12, count: 1 << 62, []))
    },
    gguf("array of more strings than fit", "elements within the file") {
      $0.set("x", type: 9, RawGGUF.array(of: 8, count: 100, RawGGUF.string("a")))
    },
    gguf("deeply nested arrays", "x: expected at most 4 levels of arrays") {
      let inner = RawGGUF.array(of: 0, count: 1, [7])
      $0.set(
        "x", type: 9, (0..<4).reduce(inner) { payload, _ in RawGGUF.array(of: 9, count: 1, payload) })
    },
    gguf("alignment 0", "general.alignment: expected a power of two from 8 to 65536, found 0") {
      $0.set("general.alignment", type: 4, RawGGUF.number(UInt32(0)))
    },
    gguf("alignment 4", "found 4") { $0.set("general.alignment", type: 4, RawGGUF.number(UInt32(4))) },
    gguf("alignment 48", "found 48") { $0.set("general.alignment", type: 4, RawGGUF.number(UInt32(48))) },
    gguf("alignment 131072", "found 131072") {
      $0.set("general.alignment", type: 4, RawGGUF.number(UInt32(131_072)))
    },
    gguf("alignment of another type", "general.alignment: expected a uint32, found uint64") {
      $0.set("general.alignment", type: 10, RawGGUF.number(UInt64(32)))
    },
  ]

  /// GGUF files with wrong tensors.
  public static let ggufTensors: [MalformedFile] = [
    gguf("empty tensor name", "tensor 0: expected a name that isn't empty") { $0.tensors[0].name = [] },
    gguf("tensor name that isn't UTF-8", "valid UTF-8") { $0.tensors[0].name = [0xE9] },
    gguf("tensor name of 513 bytes", "at most 512 bytes") {
      $0.tensors[0].name = [UInt8](repeating: 0x61, count: 513)
    },
    gguf("duplicate tensor", "first.weight: expected the tensor only once") {
      $0.tensors[1].name = $0.tensors[0].name
    },
    gguf("five dimensions", "first.weight: expected at most 4 dimensions, found 5") {
      $0.tensors[0].sizes = [8, 2, 1, 1, 1]
    },
    gguf("a dimension of 0", "first.weight: expected dimensions from 1") { $0.tensors[0].sizes = [8, 0] },
    gguf("a dimension of 2^63", "first.weight: expected dimensions from 1") {
      $0.tensors[0].sizes = [8, 1 << 63]
    },
    gguf("product that overflows", "first.weight: expected a size below 2^63 bytes") {
      $0.tensors[0].sizes = [1 << 31, 1 << 31, 1 << 31]
    },
    gguf("bytes that overflow", "first.weight: expected a size below 2^63 bytes") {
      $0.tensors[0].sizes = [1 << 31, 1 << 31]
    },
    gguf(
      "unknown tensor type", "first.weight: expected a known tensor type, found type id 77",
      kind: .unsupported
    ) {
      $0.tensors[0].type = 77
    },
    gguf("a type that only safetensors has", "found type id 1000", kind: .unsupported) {
      $0.tensors[0].type = 1000
    },
    gguf("rows of half a block", "second.weight: expected rows of whole Q8_0 blocks of 32 values") {
      $0.tensors[1].sizes = [16, 2]
    },
    gguf("offset off the alignment", "second.weight: expected an offset divisible by 32, found 65") {
      $0.tensors[1].offset = 65
    },
    gguf("offset behind the file", "second.weight: expected 34 bytes at offset 4096") {
      $0.tensors[1].offset = 4096
    },
    gguf("offset of 2^64 - 32", "second.weight: expected 34 bytes at offset") {
      $0.tensors[1].offset = UInt64.max - 31
    },
    gguf("tensor longer than the data", "first.weight: expected 320 bytes at offset 0") {
      $0.tensors[0].sizes = [8, 10]
    },
    gguf("cut data", "second.weight: expected 34 bytes at offset 64 of the data, found only 88") {
      $0.cut = 40
    },
    gguf("no data at all", "found only 0 bytes of data") { $0.cut = 129 },
    gguf("overlapping tensors", "found them shared with first.weight") { $0.tensors[1].offset = 32 },
    gguf("tensors at the same place", "found them shared with") { $0.tensors[1].offset = 0 },
  ]

  /// Split sets.
  public static let ggufSets: [MalformedFile] = [
    set("part that is missing", "b-00002-of-00002.gguf: ", kind: .missing) { _, second in second = nil },
    set("part with another number", "split.no: expected 1 as the split set has it, found 0") { _, second in
      second?.set("split.no", type: 2, RawGGUF.number(UInt16(0)))
    },
    set("part of a larger set", "split.count: expected 2 as the split set has it, found 3") { _, second in
      second?.set("split.count", type: 2, RawGGUF.number(UInt16(3)))
    },
    set("part without split keys", "split.no: expected 1 as the split set has it, found nothing") {
      _, second in
      second?.values.removeAll { $0.key.starts(with: "split.".utf8) }
    },
    set("wrong number of tensors", "split.tensors.count: expected 5 tensors in the split set, found 4") {
      first, second in
      first.set("split.tensors.count", type: 5, RawGGUF.number(Int32(5)))
      second?.values.removeAll { $0.key == Array("split.tensors.count".utf8) }
    },
    set("tensor in two parts", "first.weight: expected the tensor only once in the split set") { _, second in
      second?.tensors[0].name = Array("first.weight".utf8)
    },
    set(
      "part of another architecture", "general.architecture: expected bert as in the first part, found gpt2"
    ) {
      _, second in
      second?.set("general.architecture", type: 8, RawGGUF.string("gpt2"))
    },
    set("count that is a string", "split.count: expected an integer") { first, _ in
      first.set("split.count", type: 8, RawGGUF.string("2"))
    },
    set("count of a million", "split.count: expected an integer") { first, _ in
      first.set("split.count", type: 4, RawGGUF.number(UInt32(1_000_000)))
    },
    set("second part given", "split.no: expected the first part of the split set, ", opened: 1) { _, _ in },
    set("first part under another name", "expected the file to be named NAME-00001-of-00002.gguf", opened: 2)
    {
      _, _ in
    },
  ]

  private static func set(
    _ description: String, _ message: String, kind: ModelFileError.Kind = .malformed, opened: Int = 0,
    _ spoil: @escaping @Sendable (inout RawGGUF, inout RawGGUF?) -> Void
  ) -> MalformedFile {
    MalformedFile("split set: \(description)", message, kind: kind) { directory in
      var (first, second) = RawGGUF.splitSet
      var spoiled: RawGGUF? = second
      spoil(&first, &spoiled)
      second = spoiled ?? second
      let names = ["b-00001-of-00002.gguf", "b-00002-of-00002.gguf", "whole.gguf"]
      try directory.write(first.bytes, to: names[0])
      try directory.write(first.bytes, to: names[2])
      if spoiled != nil { try directory.write(second.bytes, to: names[1]) }
      return directory.path(names[opened])
    }
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
