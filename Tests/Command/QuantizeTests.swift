import Foundation
import SalanganeFiles
import SalanganeTestSupport
import Testing

@Suite struct QuantizeTests {
  @Test(arguments: ["Q4_K_M", "q8_0"])
  func writesAModelAndSaysWhat(type: String) async throws {
    let directory = try TemporaryDirectory()
    let path = directory.path("out.gguf")
    let result = try await Command.run(["quantize", TinyModel.gguf, path, "--type", type, "--threads", "2"])
    #expect(result.status == 0, "\(result.errors)")
    #expect(result.errors.isEmpty)
    let written = try Checkpoint(path: path)
    let all = try #require(result.lines.last).split(separator: "\t")
    #expect(all[0] == "all")
    #expect(all[1] == "\(written.tensors.count) tensors")
    #expect(all[2] == "\(written.byteCount) bytes, of \(try Checkpoint(path: TinyModel.gguf).byteCount)")
    for line in result.lines.dropLast() {
      let fields = line.split(separator: "\t")
      let tensors = written.tensors.filter { $0.type.name == fields[0] }
      #expect(fields[1] == "\(tensors.count) tensors")
      #expect(fields[2] == "\(tensors.reduce(0) { $0 + $1.byteCount }) bytes")
    }
    let vector = try await Command.run(["embed", "--model", path, "a"])
    #expect(vector.status == 0, "\(vector.errors)")
    #expect(try directory.names() == ["out.gguf"])
  }

  @Test(arguments: [
    FailingCall(64, "--type", ["quantize", TinyModel.gguf, "out.gguf"]),
    FailingCall(64, "Q7", ["quantize", TinyModel.gguf, "out.gguf", "--type", "Q7"]),
    FailingCall(64, "threads", ["quantize", TinyModel.gguf, "out.gguf", "--type", "Q8_0", "-t", "0"]),
    FailingCall(64, "destination", ["quantize", TinyModel.gguf, TinyModel.gguf, "--type", "Q8_0"]),
    FailingCall(64, "<destination>", ["quantize", TinyModel.gguf, "--type", "Q8_0"]),
    FailingCall(66, FailingCall.missing, ["quantize", FailingCall.missing, "out.gguf", "--type", "Q8_0"]),
    FailingCall(
      66, FailingCall.missing, ["quantize", TinyModel.gguf, FailingCall.missing + "/o", "--type", "Q8_0"]),
    FailingCall(66, "/", ["quantize", TinyModel.gguf, "/", "--type", "Q8_0"]),
    FailingCall(65, "GGUF", ["quantize", "/etc/passwd", "out.gguf", "--type", "Q8_0"]),
    FailingCall(
      69, "--allow-requantize",
      ["quantize", TestFiles.golden("bert/wide-q4_0.gguf"), "out.gguf", "--type", "Q8_0"]),
  ])
  func failure(call: FailingCall) async throws {
    let result = try await Command.run(call.arguments)
    #expect(result.status == call.status, "\(result.errors)")
    #expect(result.errorLines.count == 1, "\(result.errors)")
    #expect(result.errors.contains(call.message), "\(result.errors)")
    #expect(result.output.isEmpty)
    #expect(!TestFiles.exists("out.gguf"))
  }

  @Test func quantisesAgainIfTold() async throws {
    let directory = try TemporaryDirectory()
    let result = try await Command.run([
      "quantize", TestFiles.golden("bert/wide-q4_0.gguf"), directory.path("out.gguf"), "--type", "Q8_0",
      "--allow-requantize", "--no-mmap",
    ])
    #expect(result.status == 0, "\(result.errors)")
    #expect(result.lines.first?.hasPrefix("Q8_0\t") == true)
  }

  // In an emulator the limit ends the emulator.
  @Test(.enabled(if: Command.runner.isEmpty)) func aFullDiskLeavesTheOldFile() async throws {
    let directory = try TemporaryDirectory()
    let path = try directory.write("what was there", to: "out.gguf")
    // A limit on the size of files acts as a full disk does.
    let result = try await Command.shell(
      #"ulimit -f 8; "$@""#, ["quantize", TinyModel.gguf, path, "--type", "F32"])
    #expect(result.status == 66, "\(result.errors)")
    #expect(result.errorLines.count == 1, "\(result.errors)")
    #expect(result.errors.contains(path), "\(result.errors)")
    #expect(try directory.names() == ["out.gguf"])
    #expect(try directory.read("out.gguf") == Array("what was there".utf8))
  }
}
