import Foundation
import SalanganeFiles
import SalanganeTestSupport
import Testing

@Suite struct MalformedFileTests {
  @Test(arguments: MalformedFile.all, [true, false])
  func isRefused(_ model: MalformedFile, mapped: Bool) throws {
    let directory = try TemporaryDirectory()
    let path = try model.write(to: directory)
    let error = #expect(throws: ModelFileError.self) {
      try Checkpoint(path: path, options: .init(mapped: mapped))
    }
    let found = try #require(error)
    #expect(found.kind == model.kind, "\(found)")
    #expect(found.description.contains(model.message), "\(found)")
    #expect(found.file.hasPrefix(directory.path), "\(found)")
    #expect(found.description.hasPrefix(found.file), "\(found)")
    #expect(!found.description.contains { $0.isNewline }, "\(found)")
    #expect(found.description.count < 1300, "\(found)")
  }

  /// What the malformed files are made from must be accepted, or the test above would show nothing.
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
}

@Suite struct ModelMutantTests {
  /// Changes a few bytes, pieces or little-endian numbers.
  private func mutate(_ original: [UInt8], _ generator: inout SplitMix64) -> [UInt8] {
    var bytes = original
    for _ in 0..<Int.random(in: 1...3, using: &generator) where bytes.count > 9 {
      let at = Int.random(in: 0..<bytes.count - 8, using: &generator)
      let other = Int.random(in: 0..<bytes.count - 8, using: &generator)
      switch Int.random(in: 0..<7, using: &generator) {
      case 0: bytes[at] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
      case 1: bytes[at] = UInt8.random(in: 0...255, using: &generator)
      case 2: bytes.removeSubrange(at...)
      case 3: bytes.removeSubrange(min(at, other)..<max(at, other))
      case 4: bytes.insert(contentsOf: bytes[min(at, other)..<max(at, other)], at: at)
      case 5:
        let piece = Array(bytes[at..<at + 8])
        bytes.replaceSubrange(at..<at + 8, with: bytes[other..<other + 8])
        if at + 8 <= other || other + 8 <= at { bytes.replaceSubrange(other..<other + 8, with: piece) }
      default:
        let number = [0, 1, 255, 1 << 31, 1 << 32, 1 << 62, 1 << 63, UInt64.max, UInt64.max - 7]
          .randomElement(using: &generator)!
        bytes.replaceSubrange(at..<at + 8, with: RawGGUF.number(number))
      }
    }
    return bytes
  }

  /// Touches everything that a checkpoint offers.
  private func visit(_ checkpoint: Checkpoint) -> Int {
    var sum = 0
    for tensor in checkpoint.tensors {
      tensor.withUnsafeBytes { for byte in $0 { sum &+= Int(byte) } }
      #expect(
        tensor.byteCount == TensorDescription(name: "", type: tensor.type, shape: tensor.shape).byteCount)
    }
    for (key, value) in checkpoint.gguf?.metadata.values ?? [] {
      sum &+= key.utf8.count &+ (value.int ?? 0) &+ (value.string?.utf8.count ?? 0)
      if let array = value.array { sum &+= visit(array) }
    }
    return sum
  }

  private func visit(_ array: GGUFArray) -> Int {
    var sum = (array.ints?.count ?? 0) + (array.doubles?.count ?? 0) + (array.bools?.count ?? 0)
    sum += array.strings?.count ?? 0
    array.forEachUTF8 { sum &+= $0.count }
    return (array.arrays ?? []).reduce(sum) { $0 &+ visit($1) }
  }

  @Test(arguments: [("gguf", 3000), ("safetensors", 3000)])
  func areRefusedOrReadWithoutTrapping(_ format: String, _ count: Int) throws {
    let directory = try TemporaryDirectory()
    try directory.write(#"{"model_type":"bert"}"#, to: "config.json")
    var generator = SplitMix64(seed: 42)
    var file = RawGGUF()
    file.set("nested", type: 9, RawGGUF.array(of: 9, count: 1, RawGGUF.array(of: 0, count: 2, [1, 2])))
    let original = format == "gguf" ? file.bytes : RawSafetensors().bytes
    var accepted = 0
    for number in 0..<count {
      let mutant = mutate(original, &generator)
      let path = try directory.write(mutant, to: "model.\(format)")
      do {
        let checkpoint = try Checkpoint(path: path, options: .init(mapped: number % 2 == 0))
        accepted += 1
        _ = visit(checkpoint)
      } catch {
        let message = error.description
        #expect(!message.contains { $0.isNewline }, "\(message)")
      }
    }
    // Both happen often, or the mutants would test little.
    #expect(accepted > count / 100 && accepted < count * 9 / 10, "\(accepted) of \(count)")
  }
}
