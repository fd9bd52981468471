import Foundation
import SalanganeTestSupport
import Testing

/// `generate --prompt-cache`, and what `--context` allows.
@Suite struct PromptCacheCommandTests {
  private static let model = TestFiles.golden("rerankers/untied")
  private static let tokens = (0..<300).map { String($0 * 7 % 380) }.joined(separator: ",")

  private static func generate(_ tokens: String, _ options: [String] = []) async throws -> CommandResult {
    try await Command.run(
      [
        "generate", "--model", model, "--tokens", tokens, "--max-tokens", "5", "--ignore-eos", "--format",
        "json",
        "--threads", "2",
      ] + options)
  }

  /// The ids, and how many tokens of the prompt were there.
  private static func answer(_ result: CommandResult) throws -> (ids: [Int], cached: Int) {
    #expect(result.status == 0, "\(result.errors)")
    let json = try #require(try result.json() as? [String: Any])
    let timings = try #require(json["timings"] as? [String: Any])
    return (try #require(json["ids"] as? [Int]), try #require(timings["cached_tokens"] as? Int))
  }

  @Test func runsGoOnWhereOthersEnded() async throws {
    let directory = try TemporaryDirectory()
    let cache = ["--prompt-cache", directory.path("prompts")]
    let alone = try Self.answer(try await Self.generate(Self.tokens))
    let first = try Self.answer(try await Self.generate(Self.tokens, cache))
    #expect(first == (alone.ids, 0) && alone.cached == 0)
    let file = try directory.read("prompts")
    let second = try Self.answer(try await Self.generate(Self.tokens, cache))
    #expect(second == (alone.ids, 256))
    // Nothing was new.
    #expect(try directory.read("prompts") == file)
    // Another text with the same start, which then is there too.
    let other =
      Self.tokens.split(separator: ",").prefix(200).joined(separator: ",")
      + String(repeating: ",3", count: 80)
    let third = try Self.answer(try await Self.generate(other, cache))
    #expect(third == (try Self.answer(try await Self.generate(other)).ids, 128))
    #expect(try Self.answer(try await Self.generate(other, cache)).cached == 256)
    #expect(try directory.names() == ["prompts"])
    // Room for one block: the start of the last text.
    let small = cache + ["--prompt-cache-bytes", "\(file.count / 2)"]
    #expect(try Self.answer(try await Self.generate(other, small)) == (third.ids, 128))
  }

  @Test func otherFilesAreRefused() async throws {
    let directory = try TemporaryDirectory()
    let path = directory.path("prompts")
    _ = try Self.answer(try await Self.generate(Self.tokens, ["--prompt-cache", path]))
    let file = try directory.read("prompts")
    func refuses(_ bytes: [UInt8], _ options: [String], _ status: Int32, _ message: String) async throws {
      try directory.write(bytes, to: "prompts")
      let result = try await Self.generate(Self.tokens, ["--prompt-cache", path] + options)
      #expect(result.status == status && result.output.isEmpty)
      #expect(result.errorLines.count == 1 && result.errors.hasPrefix("error: \(path): "), "\(result.errors)")
      #expect(result.errors.contains(message), "\(result.errors)")
      #expect(try directory.read("prompts") == bytes)
    }
    var damaged = file
    damaged[file.count - 1] ^= 1
    try await refuses(damaged, [], 65, "block 1: expected the checksum")
    try await refuses(Array(file.dropLast()), [], 65, "expected 2 blocks of")
    try await refuses(Array("swift".utf8), [], 65, "expected a prompt cache")
    try await refuses([], [], 65, "expected a prompt cache")
    try await refuses(file, ["--kv-type", "f32"], 65, "element type: expected f32, found \"f16\"")
    try await refuses(file, ["--int8"], 65, "model fingerprint: expected ")
    var newer = file
    newer[8] = 9
    try await refuses(newer, [], 69, "version: expected 1, found 9")
    for bytes in ["0", "-1", "x"] {
      let result = try await Self.generate(
        Self.tokens, ["--prompt-cache", path, "--prompt-cache-bytes", bytes])
      #expect(result.status == 64)
    }
    let folder = try await Self.generate(Self.tokens, ["--prompt-cache", directory.path("no/folder")])
    #expect(folder.status == 66)
  }

  /// More tokens than the rotary positions are made for.
  @Test func contextBeyondTheModels() async throws {
    for (model, most) in [("rerankers/untied", 400), ("decoders/qwen2_yarn", 256)] {
      let path = TestFiles.golden(model)
      let fitting = try await Command.run(["inspect", path, "--context", "\(most)"])
      #expect(fitting.status == 0, "\(model): \(fitting.errors)")
      let beyond = try await Command.run(["inspect", path, "--context", "\(most + 1)"])
      #expect(beyond.status == 64 && beyond.errors.contains("1 to \(most)"), "\(model): \(beyond.errors)")
    }
    let beyond = try await Self.generate("1,2", ["--context", "401"])
    #expect(beyond.status == 64 && beyond.errorLines.count == 1 && beyond.errors.contains("1 to 400"))
  }

  /// A context for which there will never be memory is refused; one that nobody asked for costs nothing.
  @Test func contextBeyondMemory() async throws {
    let directory = try TemporaryDirectory()
    for name in ["tokenizer.json", "tokenizer_config.json", "model.safetensors"] {
      try directory.write(TestFiles.read(Self.model + "/" + name), to: name)
    }
    let text = String(decoding: try TestFiles.read(Self.model + "/config.json"), as: UTF8.self)
    let long = text.replacingOccurrences(
      of: "\"max_position_embeddings\": 400", with: "\"max_position_embeddings\": 1073741824")
    #expect(long != text)
    try directory.write(long, to: "config.json")
    let arguments = [
      "generate", "--model", directory.path, "--tokens", "1,2,3", "--max-tokens", "3", "--kv-type", "f32",
    ]
    #expect(try await Command.run(arguments).status == 0)
    let refused = try await Command.run(arguments + ["--context", "1073741824"])
    #expect(refused.status == 64 && refused.output.isEmpty, "\(refused.errors)")
    #expect(refused.errors.contains("expected one for which there is memory"), "\(refused.errors)")
  }
}
