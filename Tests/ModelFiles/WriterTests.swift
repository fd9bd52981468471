import SalanganeFiles
import SalanganeTestSupport
import Testing

@Suite struct WriterTests {
  private struct Stop: Error {}

  /// Bytes that differ from tensor to tensor.
  private func bytes(_ tensor: TensorDescription) throws -> [UInt8] {
    let start = tensor.name.utf8.reduce(0) { $0 &* 31 &+ Int($1) }
    return try (0..<#require(tensor.byteCount)).map { UInt8(truncatingIfNeeded: start &+ $0 &* 7) }
  }

  private func send(_ tensor: TensorDescription, _ sink: TensorSink) throws {
    let bytes = try bytes(tensor)
    // In two portions, as a stream would come.
    try sink.write(Array(bytes[..<(bytes.count / 3)]))
    try sink.write(Array(bytes[(bytes.count / 3)...]))
  }

  private func check(_ found: [StoredTensor], _ expected: [TensorDescription]) throws {
    #expect(found.map { TensorDescription(name: $0.name, type: $0.type, shape: $0.shape) } == expected)
    for (found, expected) in zip(found, expected) {
      #expect(try found.bytes.elementsEqual(bytes(expected)), "\(found)")
    }
  }

  @Test(arguments: [8, 32, 4096])
  func ggufComesBack(alignment: Int) throws {
    let directory = try TemporaryDirectory()
    let path = directory.path("model.gguf")
    var writer = GGUFWriter()
    writer.alignment = alignment
    let values: [(String, GGUFValue)] = [
      ("general.architecture", .string("bert")), ("a.uint8", .uint8(255)), ("a.int8", .int8(-128)),
      ("a.uint16", .uint16(65_535)), ("a.int16", .int16(-32_768)), ("a.uint32", .uint32(.max)),
      ("a.int32", .int32(.min)), ("a.float32", .float32(1.5)), ("a.bool", .bool(true)),
      ("a.string", .string("é\0")),
      ("a.uint64", .uint64(.max)), ("a.int64", .int64(.min)), ("a.float64", .float64(-0.1)),
      ("a.strings", .array(GGUFArray(["", "x", "é"]))), ("a.ints", .array(GGUFArray([-1, 2] as [Int64]))),
      ("a.words", .array(GGUFArray([1, 2] as [UInt16]))), ("a.floats", .array(GGUFArray([0.5] as [Float]))),
      ("a.bools", .array(GGUFArray([true, false]))),
      ("a.nested", .array(GGUFArray([GGUFArray(["n"]), GGUFArray([1, 2] as [Int32])]))),
      ("a.none", .array(GGUFArray([] as [String]))),
    ]
    for (key, value) in values { writer.set(key, value) }
    writer.set("a.uint8", .uint8(254))
    for type in TensorType.allCases where type.rawValue < 1000 {
      writer.tensors.append(.init(name: "t.\(type.name)", type: type, shape: [3, 2 * type.valuesPerBlock]))
    }
    writer.tensors.append(.init(name: "scalar", type: .f32, shape: []))
    writer.tensors.append(.init(name: "four", type: .f16, shape: [2, 3, 1, 5]))
    try writer.write(to: path, send)

    let gguf = try GGUFFile(path: path)
    #expect(gguf.alignment == alignment)
    try check(gguf.tensors, writer.tensors)
    let found = gguf.metadata
    #expect(Array(found.keys.prefix(values.count)) == values.map(\.0))
    #expect(found["a.uint8"]?.int == 254)
    for (key, value) in values.dropFirst(2) {
      let back = try #require(found[key])
      #expect(back.type == value.type)
      #expect(back.int == value.int)
      #expect(back.double == value.double)
      #expect(back.bool == value.bool)
      #expect(back.string == value.string)
      #expect(back.array?.ints == value.array?.ints)
      #expect(back.array?.strings == value.array?.strings)
      #expect(back.array?.doubles == value.array?.doubles)
      #expect(back.array?.bools == value.array?.bools)
    }
    #expect(found["a.strings"]?.array?.strings == ["", "x", "é"])
    #expect(found["a.nested"]?.array?.arrays?.first?.strings == ["n"])
    #expect(found["a.nested"]?.array?.arrays?.last?.ints == [1, 2])
    #expect(found["a.none"]?.array?.strings == [])

    // Metadata that was read can be written again as it is.
    var copy = GGUFWriter()
    copy.alignment = alignment
    for (key, value) in found.values { copy.set(key, value) }
    copy.tensors = writer.tensors
    try copy.write(to: directory.path("copy.gguf"), send)
    #expect(try directory.read("copy.gguf") == directory.read("model.gguf"))
  }

  @Test func safetensorsComesBack() throws {
    let directory = try TemporaryDirectory()
    let path = directory.path("model.safetensors")
    var writer = SafetensorsWriter()
    writer.metadata = [("format", "pt"), ("quote \"\\\n\u{1}", "é\u{2028}")]
    for type in TensorType.allCases where type.rawValue >= 1000 || [.f32, .f16, .bf16, .f64].contains(type) {
      writer.tensors.append(.init(name: "t.\(type.name)", type: type, shape: [3, 5]))
    }
    for type in [TensorType.i8, .i16, .i32, .i64] {
      writer.tensors.append(.init(name: "t.\(type.name)", type: type, shape: [1]))
    }
    writer.tensors.append(.init(name: "scalar \"é\"", type: .f32, shape: []))
    writer.tensors.append(.init(name: "empty", type: .f32, shape: [0, 4]))
    try writer.write(to: path, send)
    let file = try SafetensorsFile(path: path)
    #expect(file.metadata.map(\.key) == writer.metadata.map(\.key))
    #expect(file.metadata.map(\.value) == writer.metadata.map(\.value))
    #expect(file.tensors.count == writer.tensors.count)
    #expect(Set(file.tensors.map(\.name)) == Set(writer.tensors.map(\.name)))
    for tensor in writer.tensors {
      let found = try #require(file.tensor(tensor.name))
      try check([found], [tensor])
      #expect(found.offset % tensor.type.bytesPerBlock == 0)
    }
  }

  @Test func emptyModelsComeBack() throws {
    let directory = try TemporaryDirectory()
    try SafetensorsWriter().write(to: directory.path("empty.safetensors")) { _, _ in }
    #expect(try SafetensorsFile(path: directory.path("empty.safetensors")).tensors.isEmpty)
    var writer = GGUFWriter()
    writer.set("general.architecture", .string("bert"))
    try writer.write(to: directory.path("vocabulary.gguf")) { _, _ in }
    #expect(try Checkpoint(path: directory.path("vocabulary.gguf")).tensors.isEmpty)
  }

  @Test(arguments: [
    TensorDescription(name: "", type: .f32, shape: [1]), .init(name: "x", type: .f32, shape: [1, -1]),
    .init(name: "x", type: .q4_0, shape: [33]), .init(name: "x", type: .f32, shape: [1 << 40, 1 << 40]),
    .init(name: "x", type: .u8, shape: [1]), .init(name: "x", type: .f32, shape: [1, 1, 1, 1, 1]),
    .init(name: "x", type: .f32, shape: [0]), .init(name: "twice", type: .f32, shape: [1]),
    .init(name: String(repeating: "x", count: 513), type: .f32, shape: [1]),
  ])
  func ggufRefuses(_ tensor: TensorDescription) throws {
    let directory = try TemporaryDirectory()
    var writer = GGUFWriter()
    writer.tensors = [.init(name: "twice", type: .f32, shape: [1]), tensor]
    let error = #expect(throws: ModelFileError.self) { try writer.write(to: directory.path("f"), send) }
    #expect(error?.kind == .malformed)
    #expect(try directory.names() == [])
  }

  @Test(arguments: [
    TensorDescription(name: "", type: .f32, shape: [1]), .init(name: "x", type: .f32, shape: [-1]),
    .init(name: "x", type: .q8_0, shape: [32]), .init(name: "x", type: .f32, shape: [1 << 40, 1 << 40]),
    .init(name: "__metadata__", type: .f32, shape: [1]), .init(name: "twice", type: .f32, shape: [1]),
  ])
  func safetensorsRefuses(_ tensor: TensorDescription) throws {
    let directory = try TemporaryDirectory()
    var writer = SafetensorsWriter()
    writer.tensors = [.init(name: "twice", type: .f32, shape: [1]), tensor]
    let error = #expect(throws: ModelFileError.self) { try writer.write(to: directory.path("f"), send) }
    #expect(error?.kind == .malformed)
    #expect(try directory.names() == [])
  }

  @Test(arguments: [7, 9]) func wrongNumbersOfBytesAreRefused(count: Int) throws {
    let directory = try TemporaryDirectory()
    var gguf = GGUFWriter()
    gguf.tensors = [.init(name: "x", type: .f32, shape: [2])]
    var safetensors = SafetensorsWriter()
    safetensors.tensors = gguf.tensors
    let wrong = [UInt8](repeating: 0, count: count)
    #expect(throws: ModelFileError.self) { try gguf.write(to: directory.path("f")) { try $1.write(wrong) } }
    #expect(throws: ModelFileError.self) {
      try safetensors.write(to: directory.path("f")) { try $1.write(wrong) }
    }
    #expect(throws: Stop.self) { try gguf.write(to: directory.path("f")) { _, _ in throw Stop() } }
    #expect(try directory.names() == [])
  }

  @Test func aFailedWriteKeepsTheOldFile() throws {
    let directory = try TemporaryDirectory()
    try directory.write("old", to: "f")
    var writer = GGUFWriter()
    writer.tensors = [.init(name: "x", type: .f32, shape: [2])]
    #expect(throws: Stop.self) { try writer.write(to: directory.path("f")) { _, _ in throw Stop() } }
    #expect(try directory.read("f") == Array("old".utf8))
    #expect(try directory.names() == ["f"])
  }
}
