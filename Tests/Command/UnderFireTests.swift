import Foundation
import SalanganeFiles
import SalanganeTestSupport
import Testing

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// What the command leaves behind when it is ended from outside, or told to write over what it reads.
@Suite struct UnderFireTests {
  /// Starts the command, and sends it a signal after a while.
  ///
  /// - Returns: Whether the signal ended it.
  private func end(_ arguments: [String], with signal: Int32, after milliseconds: UInt32) throws -> Bool {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = Command.runner + [Command.path] + arguments
    process.standardOutput = FileHandle.nullDevice
    process.standardError = FileHandle.nullDevice
    try process.run()
    usleep(milliseconds * 1000)
    kill(process.processIdentifier, signal)
    process.waitUntilExit()
    return process.terminationReason == .uncaughtSignal
  }

  /// Under the final name there is the old file or the whole new one, whenever the command is ended; and nothing else but, hardly
  /// ever, a whole new one under a hidden name.
  ///
  /// `Scripts/kill-test` does it with a larger model, and 200 times.
  @Test(arguments: [SIGKILL, SIGTERM]) func endedWhileItWrites(signal: Int32) async throws {
    let directory = try TemporaryDirectory()
    let source = directory.path("source")
    try FileManager.default.copyItem(atPath: TinyModel.gguf, toPath: source)
    let arguments = ["quantize", source, directory.path("out.gguf"), "--type", "Q8_0", "-t", "1"]
    #expect(try await Command.run(arguments).status == 0)
    let whole = try directory.read("out.gguf")
    let model = try directory.read("source")
    let old = Array("what was there".utf8)
    var ended = 0
    for milliseconds in stride(from: UInt32(0), through: 44, by: 4) {
      try directory.write(old, to: "out.gguf")
      ended += try end(arguments, with: signal, after: milliseconds) ? 1 : 0
      let left = try directory.read("out.gguf")
      #expect(left == old || left == whole, "after \(milliseconds) ms")
      // Between getting a name and taking the final one's place, a finished file may be left.
      for name in try directory.names() where name.hasPrefix(".") {
        #expect(try directory.read(name) == whole, "after \(milliseconds) ms")
        try FileManager.default.removeItem(atPath: directory.path(name))
      }
      #expect(try directory.names() == ["out.gguf", "source"], "after \(milliseconds) ms")
    }
    #expect(ended > 0)
    #expect(try directory.read("source") == model)
  }

  /// An output that is read too is refused before anything is written to it.
  @Test func outputsThatAreInputs() async throws {
    let directory = try TemporaryDirectory()
    let model = try TinyModel.copy(to: directory)
    let weights = model + "/model.safetensors"
    let texts = try directory.write("a\nb\n", to: "texts")
    let link = directory.path("link")
    try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: weights)
    let gguf = directory.path("model.gguf")
    try FileManager.default.copyItem(atPath: TinyModel.gguf, toPath: gguf)
    let language = directory.path("language.gguf")
    try FileManager.default.copyItem(atPath: TestFiles.golden("rerankers/untied.gguf"), toPath: language)
    let before = try [weights, texts, gguf, language].map { try TestFiles.read($0) }
    for arguments in [
      ["embed", "--model", model, "--input", texts, "--output", texts],
      ["embed", "--model", model, "a", "--output", weights],
      ["embed", "--model", model, "a", "--output", link],
      ["embed", "--model", gguf, "a", "--output", gguf],
      ["embed", "--model", model, "--input", texts, "--reduce-fit", texts],
      ["embed", "--model", model, "--input", texts, "--reduce-fit", model + "/config.json"],
      ["logits", "--model", language, "--tokens", "1", "--output", language],
      ["quantize", gguf, gguf, "--type", "Q8_0"], ["quantize", model, weights, "--type", "Q8_0"],
    ] {
      let result = try await Command.run(arguments)
      #expect(result.status == 64, "\(arguments): \(result.errors)")
      #expect(result.errorLines.count == 1 && result.output.isEmpty, "\(result.errors)")
    }
    #expect(try [weights, texts, gguf, language].map { try TestFiles.read($0) } == before)
    #expect(try directory.names() == ["language.gguf", "link", "model", "model.gguf", "texts"])
  }

  // In an emulator the limit ends the emulator.
  @Test(.enabled(if: Command.runner.isEmpty), arguments: [["--format", "jsonl"], ["--format", "npy"]])
  func aFullDisk(format: [String]) async throws {
    let directory = try TemporaryDirectory()
    let texts = try directory.write(String(repeating: "a swift\n", count: 400), to: "texts")
    let path = try directory.write("what was there", to: "out")
    // A limit on the size of files acts as a full disk does.
    let result = try await Command.shell(
      #"ulimit -f 8; "$@""#,
      ["embed", "--model", TinyModel.gguf, "--input", texts, "--output", path] + format)
    #expect(result.status == 66 && result.errorLines.count == 1, "\(result.errors)")
    #expect(result.errors.contains(path), "\(result.errors)")
    #expect(try directory.names() == ["out", "texts"])
    #expect(try directory.read("out") == Array("what was there".utf8))
  }

  /// Weights with a number that is none: the status is that of bad data, and the line names layer and tensor.
  @Test func numbersThatAreNone() async throws {
    let directory = try TemporaryDirectory()
    let model = try TinyModel.copy(to: directory)
    let file = try SafetensorsFile(path: model + "/model.safetensors")
    let tensor = try #require(file.tensor("encoder.layer.1.attention.self.query.weight"))
    var bytes = try directory.read("model/model.safetensors")
    let value = withUnsafeBytes(of: Float.infinity.bitPattern) { Array($0) }
    bytes.replaceSubrange(tensor.offset..<tensor.offset + 4, with: value)
    try directory.write(bytes, to: "model/model.safetensors")
    let result = try await Command.run(["embed", "--model", model, "a swift"])
    #expect(result.status == 65 && result.output.isEmpty && result.errorLines.count == 1, "\(result.errors)")
    #expect(result.errors.contains("layer 1: attention"), "\(result.errors)")
    #expect(result.errors.contains(tensor.name) && result.errors.contains(model), "\(result.errors)")
  }

  /// Limits that can be set, out of range.
  @Test(arguments: [
    FailingCall(64, "batchTokens", ["embed", "--model", TinyModel.gguf, "a", "--batch-tokens", "0"]),
    FailingCall(
      64, "cache bytes",
      [
        "generate", "--model", TestFiles.golden("rerankers/untied"), "--prompt", "a", "--cache-bytes", "10",
      ]),
    FailingCall(
      64, "context length",
      [
        "generate", "--model", TestFiles.golden("rerankers/untied"), "--prompt", "a", "--cache-bytes",
        "50000", "--context", "400",
      ]),
  ])
  func limits(call: FailingCall) async throws {
    let result = try await Command.run(call.arguments)
    #expect(result.status == call.status && result.errorLines.count == 1, "\(result.errors)")
    #expect(result.errors.contains(call.message), "\(result.errors)")
  }
}
