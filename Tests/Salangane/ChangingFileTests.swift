import Foundation
import Salangane
import SalanganeFiles
import SalanganeTestSupport
import Testing

#if canImport(Glibc)
  import Glibc
#endif

/// Model files that change while they are used.
@Suite struct ChangingFileTests {
  /// A copy of a model that tests may change.
  static func copy(_ name: String, to directory: TemporaryDirectory) throws -> URL {
    let path = directory.path("model")
    try FileManager.default.copyItem(atPath: TestFiles.golden(name), toPath: path)
    return URL(fileURLWithPath: path)
  }

  static func weights(_ model: URL) -> String { model.path + "/model.safetensors" }

  /// Writes behind a file's end, as a download that goes on does.
  static func append(to path: String) throws {
    let file = try #require(fopen(path, "ab"))
    fputc(0, file)
    fclose(file)
  }

  @Test(arguments: [true, false]) func whileItIsLoaded(mapped: Bool) async throws {
    let directory = try TemporaryDirectory()
    let url = try Self.copy("bert/wide", to: directory)
    let load = {
      try await Embedder(contentsOf: url, options: .init(isMemoryMapped: mapped)) { progress in
        if progress < 1 { try? Self.append(to: Self.weights(url)) }
      }
    }
    if mapped {
      let error = await #expect(throws: ModelFileError.self) { _ = try await load() }
      #expect(error?.kind == .unreadable && error?.file == Self.weights(url), "\(error as Any)")
    } else {
      // What was read is ours.
      _ = try await load()
    }
  }

  /// What was mapped stays what it was when another file takes its name, or when it is removed.
  @Test func replacedOrRemoved() async throws {
    let directory = try TemporaryDirectory()
    let url = try Self.copy("bert/wide", to: directory)
    let embedder = try await Embedder(contentsOf: url, options: .init(repacksWeights: false))
    let vector = try await embedder.embed("a swift")
    try directory.write("another", to: "new")
    #expect(rename(directory.path("new"), Self.weights(url)) == 0)
    #expect(try await embedder.embed("a swift") == vector)
    try FileManager.default.removeItem(at: url)
    #expect(try await embedder.embed("a swift") == vector)
  }

  /// A loaded model still looks up embeddings in its file: one that shrank is refused.
  @Test func shrunkenAfterLoading() async throws {
    let directory = try TemporaryDirectory()
    let bert = try Self.copy("bert/wide", to: directory)
    let size = try #require(try FileBytes(path: Self.weights(bert)).count as Int?)
    let embedder = try await Embedder(contentsOf: bert)
    // Within the last page, where nothing else would tell.
    #expect(truncate(Self.weights(bert), size - 1) == 0)
    let error = await #expect(throws: ModelFileError.self) { try await embedder.embed("a swift") }
    #expect(error?.kind == .unreadable && error?.file == Self.weights(bert), "\(error as Any)")

    let other = try TemporaryDirectory()
    let qwen = try Self.copy("rerankers/untied", to: other)
    let model = try await LanguageModel(contentsOf: qwen)
    #expect(truncate(Self.weights(qwen), 4096) == 0)
    await #expect(throws: ModelFileError.self) { try await model.generate("a swift").summary() }
    await #expect(throws: ModelFileError.self) { try await model.logits(tokens: [1]) }
  }

  @Test func whileItIsQuantised() async throws {
    let directory = try TemporaryDirectory()
    let url = try Self.copy("bert/wide", to: directory)
    let destination = URL(fileURLWithPath: directory.path("out.gguf"))
    let quantizer = try await ModelQuantizer(contentsOf: url, options: .init(scheme: .q8_0))
    let error = await #expect(throws: ModelFileError.self) {
      try await quantizer.write(to: destination) { progress in
        if progress < 0.5 { try? Self.append(to: Self.weights(url)) }
      }
    }
    #expect(error?.kind == .unreadable && error?.file == Self.weights(url), "\(error as Any)")
    #expect(try directory.names() == ["model"])
  }

  #if os(Linux)
    /// With the handler of SIGBUS, in a process of its own: reading behind the new end gives zeros, and an error.
    @Test func pagesThatAreGone() async {
      await #expect(processExitsWith: .success) {
        MappedFiles.catchShrinking()
        let directory = try TemporaryDirectory()
        let path = try directory.write([UInt8](repeating: 7, count: 5 << 14), to: "file")
        let kept = try FileBytes(path: directory.write([UInt8](repeating: 9, count: 5 << 14), to: "kept"))
        let file = try FileBytes(path: path)
        #expect(truncate(path, 1 << 14) == 0)
        let before = MappedFiles.faults
        try MappedFiles.check(since: before)
        #expect(file.bytes[(1 << 14) - 1] == 7 && kept.bytes[(4 << 14) + 1] == 9)
        #expect(MappedFiles.faults == before)
        #expect(file.bytes[3 << 14] == 0 && file.bytes[(5 << 14) - 1] == 0)
        #expect(MappedFiles.faults > before)
        let error = #expect(throws: ModelFileError.self) { try MappedFiles.check(since: before) }
        #expect(error?.kind == .unreadable && error?.file == path, "\(error as Any)")
        try MappedFiles.check(since: MappedFiles.faults)

        // A whole model that shrinks between two layers.
        let model = try ChangingFileTests.copy("bert/wide", to: directory)
        await #expect(throws: ModelFileError.self) {
          try await Embedder(contentsOf: model) { _ in
            truncate(ChangingFileTests.weights(model), 4096)
          }
        }
      }
    }

    /// Other causes of the signal still end the process, by the signal or as a sanitizer has it.
    @Test func otherBusErrors() async {
      await #expect(processExitsWith: .failure) {
        MappedFiles.catchShrinking()
        raise(SIGBUS)
        raise(SIGBUS)
      }
    }
  #endif
}
