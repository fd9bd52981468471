import Foundation
import SalanganeFiles
import SalanganeTestSupport
import Testing

/// What the corpus of malformed files (Tests/Corpus) doesn't have: files at a limit, and limits that are set.
@Suite struct FileLimitTests {
  @Test(arguments: [true, false])
  func originalsAreAccepted(mapped: Bool) throws {
    let directory = try TemporaryDirectory()
    let gguf = try Checkpoint(
      path: directory.write(RawGGUF().bytes, to: "model.gguf"), options: .init(mapped: mapped))
    #expect(gguf.tensors.map(\.description) == ["first.weight F32 [2, 8]", "second.weight Q8_0 [32]"])
    #expect(Array(gguf.tensors[1].bytes) == Array(64..<98))
    #expect(gguf.files.allSatisfy { $0.isMapped == mapped })

    let (first, second) = RawGGUF.splitSet
    try directory.write(second.bytes, to: "set-00002-of-00002.gguf")
    let set = try Checkpoint(
      path: directory.write(first.bytes, to: "set-00001-of-00002.gguf"), options: .init(mapped: mapped))
    #expect(set.tensors.map(\.name) == ["first.weight", "second.weight", "third.weight", "fourth.weight"])
    #expect(set.files.count == 2)
    #expect(set.files.allSatisfy { $0.isMapped == mapped })

    try directory.write(#"{"model_type":"bert"}"#, to: "config.json")
    try directory.write(RawSafetensors().bytes, to: "model.safetensors")
    let safetensors = try Checkpoint(path: directory.path, options: .init(mapped: mapped))
    #expect(safetensors.tensors.map(\.description) == ["first F32 [2, 2]", "second U8 [3]"])
    #expect(Array(safetensors.tensors[1].bytes) == [16, 17, 18])
    #expect(safetensors.files.allSatisfy { $0.isMapped == mapped })
  }

  @Test func oldAndNewVersionsAreAccepted() throws {
    let directory = try TemporaryDirectory()
    for version in [2, 3] as [UInt32] {
      var file = RawGGUF()
      file.version = version
      let path = try directory.write(file.bytes, to: "model.gguf")
      #expect(try GGUFFile(path: path).version == Int(version))
    }
  }

  /// A file that is mostly a hole is as large as it likes: nothing may be reserved or walked for that.
  @Test func hugeSparseFilesAreRefusedQuickly() throws {
    let directory = try TemporaryDirectory()
    let huge = UInt64(1) << 36
    let payloads: [(type: UInt32, payload: [UInt8])] = [
      (8, RawGGUF.number(huge)), (9, RawGGUF.array(of: 8, count: huge, [])),
      (9, RawGGUF.array(of: 7, count: huge, [])), (9, RawGGUF.array(of: 9, count: huge, [])),
    ]
    for (type, payload) in payloads {
      var file = RawGGUF()
      file.set("x", type: type, payload)
      let path = try directory.write(file.bytes, to: "model.gguf")
      guard truncate(path, 1 << 42) == 0 else { return }
      let error = #expect(throws: ModelFileError.self) { try GGUFFile(path: path) }
      #expect(error?.description.contains("x: expected \(huge)") == true)
    }
    var file = RawGGUF()
    file.tensorCount = 1 << 36
    let path = try directory.write(file.bytes, to: "model.gguf")
    guard truncate(path, 1 << 42) == 0 else { return }
    #expect(throws: ModelFileError.self) { try GGUFFile(path: path) }
  }

  @Test func nestedArraysUpToTheLimit() throws {
    var file = RawGGUF()
    let inner = RawGGUF.array(of: 8, count: 1, RawGGUF.string("x"))
    file.set("x", type: 9, (0..<3).reduce(inner) { payload, _ in RawGGUF.array(of: 9, count: 1, payload) })
    let directory = try TemporaryDirectory()
    let gguf = try GGUFFile(path: directory.write(file.bytes, to: "model.gguf"))
    let array = try #require(gguf.metadata["x"]?.array)
    #expect(array.arrays?.first?.arrays?.first?.arrays?.first?.strings == ["x"])
  }

  @Test(arguments: [
    (FileLimits(ggufHeaderBytes: 100), "within the first 100 bytes of the file"),
    (FileLimits(metadataValues: 6), "header: expected at most 6 metadata values, found 7"),
    (FileLimits(tensors: 1), "expected at most 1 tensors, found 2"),
  ])
  func limitsOfGGUF(_ limits: FileLimits, _ message: String) throws {
    let directory = try TemporaryDirectory()
    let path = try directory.write(RawGGUF().bytes, to: "model.gguf")
    let error = #expect(throws: ModelFileError.self) {
      try Checkpoint(path: path, options: .init(limits: limits))
    }
    #expect(error?.kind == .malformed)
    #expect(error?.description.contains(message) == true, "\(error as Any)")
    let enough = FileLimits(ggufHeaderBytes: 1000, metadataValues: 7, tensors: 2)
    #expect(try Checkpoint(path: path, options: .init(limits: enough)).tensors.count == 2)
  }

  @Test(arguments: [
    (FileLimits(safetensorsHeaderBytes: 20), "header: expected a length of at most 20 bytes"),
    (FileLimits(jsonBytes: 5), "config.json: expected at most 5 bytes"),
    (FileLimits(tensors: 1), "expected at most 1 tensors, found 2"),
  ])
  func limitsOfDirectories(_ limits: FileLimits, _ message: String) throws {
    let directory = try TemporaryDirectory()
    try directory.write(#"{"model_type":"bert"}"#, to: "config.json")
    try directory.write(RawSafetensors().bytes, to: "model.safetensors")
    let error = #expect(throws: ModelFileError.self) {
      try Checkpoint(path: directory.path, options: .init(limits: limits))
    }
    #expect(error?.kind == .malformed)
    #expect(error?.description.contains(message) == true, "\(error as Any)")
    #expect(try Checkpoint(path: directory.path).tensors.count == 2)
  }
}
