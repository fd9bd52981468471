import SalanganeFiles
import SalanganeTestSupport
import Testing

@Suite struct CheckpointTests {
  private let one = RawSafetensors(#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#, dataCount: 1)
    .bytes
  private let two = RawSafetensors(#"{"b":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}"#, dataCount: 2)
    .bytes

  /// A directory with two shards.
  private func sharded() throws -> TemporaryDirectory {
    let directory = try TemporaryDirectory()
    try directory.write(#"{"model_type":"qwen3","architectures":["Qwen3Model"]}"#, to: "config.json")
    try directory.write(one, to: "one.safetensors")
    try directory.write(two, to: "two.safetensors")
    try directory.write(
      #"{"metadata":{"total_size":3},"weight_map":{"b":"two.safetensors","a":"one.safetensors"}}"#,
      to: "model.safetensors.index.json")
    return directory
  }

  @Test(arguments: ["", "/", "/one.safetensors", "/two.safetensors"])
  func opensShards(_ suffix: String) throws {
    let directory = try sharded()
    let checkpoint = try Checkpoint(path: directory.path + suffix)
    #expect(checkpoint.format == .safetensors)
    #expect(checkpoint.architecture == "qwen3")
    #expect(checkpoint.hyperparameters.architectures == ["Qwen3Model"])
    #expect(checkpoint.tensors.map(\.name) == ["a", "b"])
    #expect(
      checkpoint.files.map { $0.path.split(separator: "/").last } == ["one.safetensors", "two.safetensors"])
    #expect(checkpoint.byteCount == 3)
    #expect(checkpoint.gguf == nil)
    #expect(checkpoint.directory != nil)
  }

  @Test func prefersTheSingleFile() throws {
    let directory = try sharded()
    try directory.write(RawSafetensors().bytes, to: "model.safetensors")
    #expect(try Checkpoint(path: directory.path).tensors.map(\.name) == ["first", "second"])
    #expect(try Checkpoint(path: directory.path("model.safetensors")).tensors.count == 2)
    #expect(try Checkpoint(path: directory.path("one.safetensors")).tensors.map(\.name) == ["a", "b"])
  }

  @Test func findsTensors() throws {
    let directory = try sharded()
    let checkpoint = try Checkpoint(path: directory.path)
    #expect(checkpoint["a"]?.type == .u8)
    #expect(checkpoint["c"] == nil)
    #expect(try checkpoint.tensor("b", shape: [2]).byteCount == 2)
    #expect(try checkpoint.tensor("b").elementCount == 2)
    #expect(try checkpoint.optionalTensor("c", shape: [1]) == nil)
    let shape = #expect(throws: ModelFileError.self) { try checkpoint.tensor("b", shape: [1, 2]) }
    #expect(shape?.description.hasSuffix("two.safetensors: b: expected shape [1, 2], found [2]") == true)
    let missing = #expect(throws: ModelFileError.self) { try checkpoint.tensor("c", shape: [1, 2]) }
    #expect(missing?.description.hasSuffix("c: expected a tensor of shape [1, 2], found none") == true)
    #expect(missing?.kind == .malformed)
    #expect(throws: ModelFileError.self) { try checkpoint.optionalTensor("b", shape: []) }
  }

  /// Names that are equal as Swift strings but not as bytes are two names.
  @Test func tellsNamesApartByTheirBytes() throws {
    let directory = try TemporaryDirectory()
    var file = RawGGUF()
    file.tensors[0].name = Array("\u{E9}".utf8)
    file.tensors[1].name = Array("e\u{301}".utf8)
    let checkpoint = try Checkpoint(path: directory.write(file.bytes, to: "f.gguf"))
    #expect(checkpoint["\u{E9}"]?.type == .f32)
    #expect(checkpoint["e\u{301}"]?.type == .q8_0)
  }

  @Test func tellsFormatsByTheirContents() throws {
    let directory = try TemporaryDirectory()
    try directory.write(#"{"model_type":"bert"}"#, to: "config.json")
    #expect(try Checkpoint(path: directory.write(RawGGUF().bytes, to: "a.bin")).format == .gguf)
    #expect(try Checkpoint(path: directory.write(RawGGUF().bytes, to: "a.safetensors")).format == .gguf)
    #expect(try Checkpoint(path: directory.write(RawSafetensors().bytes, to: "b.bin")).format == .safetensors)
  }

  @Test func readsSideFiles() throws {
    let directory = try sharded()
    try directory.write(#"{"pooling_mode_cls_token": true}"#, to: "1_Pooling/config.json")
    let checkpoint = try Checkpoint(path: directory.path)
    #expect(try checkpoint.readJSON("1_Pooling/config.json")?.root["pooling_mode_cls_token"]?.bool == true)
    #expect(try checkpoint.readJSON("modules.json") == nil)
    try directory.write("{", to: "modules.json")
    #expect(throws: ModelFileError.self) { try checkpoint.readJSON("modules.json") }
  }

  @Test func directoriesNeedNoWeights() throws {
    let temporary = try TemporaryDirectory()
    try temporary.write("a\nb\n", to: "vocab.txt")
    let directory = try ModelDirectory(path: temporary.path)
    #expect(directory.contains("vocab.txt"))
    #expect(!directory.contains("tokenizer.json"))
    #expect(try directory.bytes("vocab.txt") == Array("a\nb\n".utf8))
    #expect(try directory.optionalBytes("other.txt") == nil)
    #expect(try directory.optionalJSON("tokenizer.json") == nil)
    let error = #expect(throws: ModelFileError.self) { try directory.json("tokenizer.json") }
    #expect(error?.kind == .missing)
    #expect(throws: ModelFileError.self) { try ModelDirectory(path: temporary.path("vocab.txt")) }
    #expect(throws: ModelFileError.self) { try ModelDirectory(path: temporary.path("none")) }
    guard case .directory = try ModelLocation(path: temporary.path) else {
      Issue.record("expected a directory")
      return
    }
  }

  @Test func tensorsKeepTheirFileAlive() throws {
    let directory = try sharded()
    let tensor = try Checkpoint(path: directory.path).tensor("b")
    #expect(tensor.withUnsafeBytes { Array($0) } == [0, 1])
  }
}
