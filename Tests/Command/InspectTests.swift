import Foundation
import SalanganeFiles
import SalanganeTestSupport
import Testing

@Suite struct InspectTests {
  @Test(arguments: [TinyModel.directory, TinyModel.gguf])
  func describesAModel(path: String) async throws {
    let text = try await Command.run(["inspect", path, "--tensors"])
    #expect(text.status == 0)
    #expect(text.errors.isEmpty)
    let json = try await Command.run(["inspect", path, "--tensors", "--format", "json"])
    let report = try #require(try json.json() as? [String: Any])
    let checkpoint = try Checkpoint(path: path)
    #expect(report["architecture"] as? String == "bert")
    #expect(report["format"] as? String == checkpoint.format.rawValue)
    #expect(report["tensor_count"] as? Int == checkpoint.tensors.count)
    #expect(report["bytes"] as? Int == checkpoint.byteCount)
    #expect(report["parameters"] as? Int == checkpoint.tensors.reduce(0) { $0 + $1.elementCount })
    let tensors = try #require(report["tensors"] as? [[String: Any]])
    #expect(tensors.map { $0["name"] as? String } == checkpoint.tensors.map(\.name))
    #expect(tensors.map { $0["shape"] as? [Int] } == checkpoint.tensors.map(\.shape))
    for tensor in checkpoint.tensors { #expect(text.text.contains(tensor.name)) }
    let metadata = try #require(report["metadata"] as? [String: Any])
    if checkpoint.format == .gguf {
      #expect(metadata["bert.embedding_length"] as? Int == 64)
      #expect((metadata["tokenizer.ggml.tokens"] as? [String: Any])?["count"] as? Int == 168)
    } else {
      #expect(metadata["hidden_size"] as? Int == 64)
    }
  }

  @Test func mapsOrReads() async throws {
    let mapped = try await Command.run(["inspect", TinyModel.gguf])
    let read = try await Command.run(["inspect", TinyModel.gguf, "--no-mmap"])
    // What is read takes memory; what is mapped doesn't.
    func lines(_ text: String) -> [Substring] {
      text.split(separator: "\n").filter { !$0.hasPrefix("memory:") }
    }
    #expect(lines(mapped.text) == lines(read.text))
    #expect(mapped.text.contains("memory:"))
  }

  @Test func awkwardMetadata() async throws {
    let directory = try TemporaryDirectory()
    var writer = GGUFWriter()
    writer.set("general.architecture", .string("none"))
    writer.set("a \"key\"\n", .string("line\nend \u{1B}[31m \\ \" \u{7F}"))
    writer.set("nan", .float32(.nan))
    writer.set("infinite", .float64(-.infinity))
    writer.set("third", .float32(1.0 / 3))
    writer.set("most", .uint64(.max))
    writer.set("few", .array(GGUFArray([1, 2, 3] as [Int16])))
    writer.set("many", .array(GGUFArray((0..<1000).map { Int64($0) })))
    let path = directory.path("model.gguf")
    try writer.write(to: path) { _, _ in }
    let json = try await Command.run(["inspect", path, "--format", "json"])
    #expect(json.status == 0, "\(json.errors)")
    let report = try #require(try json.json() as? [String: Any])
    let metadata = try #require(report["metadata"] as? [String: Any])
    #expect(metadata["a \"key\"\n"] as? String == "line\nend \u{1B}[31m \\ \" \u{7F}")
    #expect(metadata["nan"] is NSNull)
    #expect(metadata["infinite"] is NSNull)
    #expect(json.text.contains("\"third\":0.33333334,"))
    #expect(json.text.contains("\"most\":18446744073709551615,"))
    #expect(metadata["few"] as? [Int] == [1, 2, 3])
    #expect((metadata["many"] as? [String: Any])?["count"] as? Int == 1000)
    let text = try await Command.run(["inspect", path])
    #expect(text.status == 0)
    #expect(!text.output.contains(0x1B))
    #expect(text.lines.contains { $0.contains("many = 1000 x int64") })
  }
}
