import Foundation
import SalanganeTestSupport
import Testing

/// A call that must fail, with which status and what message.
struct FailingCall: CustomTestStringConvertible, Sendable {
  let status: Int32
  let message: String
  let arguments: [String]
  var environment: [String: String] = [:]

  init(_ status: Int32, _ message: String, _ arguments: [String], environment: [String: String] = [:]) {
    self.status = status
    self.message = message
    self.arguments = arguments
    self.environment = environment
  }

  var testDescription: String { "\(status): \(arguments.joined(separator: " "))" }

  static let model = ["--model", TinyModel.directory]

  static let usage: [FailingCall] = [
    .init(64, "frobnicate", ["frobnicate"]),
    .init(64, "--frob", ["inspect", "--frob", "x"]),
    .init(64, "<path>", ["inspect"]),
    .init(64, "xml", ["inspect", "--format", "xml", TinyModel.gguf]),
    .init(64, "--model", ["embed", "a"]),
    .init(64, "expected one of TEXT, --input and --tokens", ["embed"] + model),
    .init(64, "expected one of TEXT, --input and --tokens", ["embed", "a", "--tokens", "1"] + model),
    .init(64, "--input-format", ["embed", "a", "--input-format", "jsonl"] + model),
    .init(64, "--prompt-name", ["embed", "a", "--prompt", "p", "--prompt-name", "query"] + model),
    .init(64, "no-such-prompt", ["embed", "a", "--prompt-name", "no-such-prompt"] + model),
    .init(64, "dimensions", ["embed", "a", "--dimensions", "65"] + model),
    .init(64, "dimensions", ["embed", "a", "--dimensions", "0"] + model),
    .init(64, "--dimensions", ["embed", "a", "--dimensions", "many"] + model),
    .init(64, "max", ["embed", "a", "--pooling", "max"] + model),
    .init(64, "maximum length", ["embed", "a", "--max-length", "49"] + model),
    .init(64, "special tokens", ["embed", "a", "--max-length", "1"] + model),
    .init(64, "1 to 48 tokens", ["embed", "--tokens", ""] + model),
    .init(64, "id from 0 to 167", ["embed", "--tokens", "2,168"] + model),
    .init(64, "2;3", ["embed", "--tokens", "2;3"] + model),
    .init(
      64, "only one of --reduce-fit and --reduce",
      ["embed", "a", "--reduce", "x", "--reduce-fit", "y"] + model),
    .init(64, "at least 2 vectors", ["embed", "a", "--reduce-fit", "never-written"] + model),
    .init(64, "threads", ["embed", "a", "--threads", "0"] + model),
    .init(64, "threads", ["embed", "a", "--threads", "100000"] + model),
    .init(64, "'mmx' is not available", ["embed", "a", "--isa", "mmx"] + model),
    .init(64, "'mmx' is not available", ["embed", "a"] + model, environment: ["SALANGANE_ISA": "mmx"]),
    .init(64, "SALANGANE_THREADS", ["embed", "a"] + model, environment: ["SALANGANE_THREADS": "many"]),
    .init(64, "mkl", ["embed", "a", "--backend", "mkl"] + model),
    .init(64, "qwen3-0.6b", ["synthesize", "gpt-5", "x.gguf", "--type", "Q8_0"]),
    .init(64, "--type", ["synthesize", "qwen3-0.6b", "x.gguf"]),
    .init(64, "Q4_0", ["synthesize", "qwen3-0.6b", "x.gguf", "--type", "IQ1_S"]),
    .init(64, "1 to 28", ["synthesize", "qwen3-0.6b", "x.gguf", "--type", "Q8_0", "--layers", "29"]),
    .init(64, "2 to 47", ["synthesize", "glm-4.7-flash", "x.gguf", "--type", "Q8_0", "--layers", "1"]),
    .init(64, "threads", ["synthesize", "qwen3-0.6b", "x.gguf", "--type", "Q8_0", "-t", "0"]),
    .init(66, "no-such-directory", ["synthesize", "qwen3-0.6b", "no-such-directory/x", "--type", "Q8_0"]),
    .init(64, "-r", ["roofline", "-r", "0"]),
    .init(64, "threads", ["roofline", "-t", "1000"]),
    .init(64, "both or neither", ["roofline", "--columns", "16"]),
    .init(64, "--depth", ["roofline", "--columns", "16", "--depth", "0"]),
    .init(64, "-t 1", ["roofline", "--cpu-time", "-t", "2"]),
    .init(64, "multiple of 256", ["roofline", "--columns", "16", "--depth", "128"]),
    .init(64, "F32", ["roofline", "--type", "F31"]),
    .init(64, "'mmx' is not available", ["roofline", "--isa", "mmx"]),
    .init(64, "TEXT or --input", ["tokenize"] + model),
    .init(64, "found 168", ["detokenize", "168"] + model),
    .init(64, "'x'", ["detokenize", "1,x"] + model),
    .init(64, "--corpus", ["search", "query"] + model),
    .init(64, "--top", ["search", "--top", "0", "--corpus", "x", "query"] + model),
    .init(69, "model_type", ["bench"] + model),
    .init(64, "-p", ["bench", "--embed", "-p", "0"] + model),
    .init(64, "40 tokens", ["bench", "--embed", "-p", "41"] + model),
  ]

  static let missing = "/no/such/place"
  static let files: [FailingCall] = [
    .init(66, missing, ["inspect", missing]),
    .init(66, missing, ["tokenize", "--model", missing, "a"]),
    .init(66, missing, ["detokenize", "--model", missing, "1"]),
    .init(66, missing, ["embed", "--model", missing, "a"]),
    .init(66, missing, ["search", "--model", missing, "--corpus", TinyModel.gguf, "a"]),
    .init(66, missing, ["bench", "--embed", "--model", missing]),
    .init(66, missing, ["search", "--corpus", missing, "a"] + model),
    .init(66, missing, ["embed", "--input", missing] + model),
    .init(66, missing, ["embed", "--reduce", missing, "a"] + model),
    .init(66, missing, ["embed", "--output", missing + "/out", "a"] + model),
    .init(66, missing, ["embed", "--reduce-fit", missing + "/out", "a", "b"] + model),
    .init(66, missing, ["tokenize", "--input", missing] + model),
    .init(66, "/", ["embed", "--input", "/"] + model),
    .init(66, "/", ["embed", "--output", "/", "a"] + model),
    .init(
      65, "salangane-pca-1", ["embed", "--reduce", TinyModel.directory + "/model.safetensors", "a"] + model),
  ]
}

@Suite struct ExitStatusTests {
  @Test(arguments: FailingCall.usage + FailingCall.files)
  func failure(call: FailingCall) async throws {
    let result = try await Command.run(call.arguments, environment: call.environment)
    #expect(result.status == call.status, "\(result.errors)")
    #expect(result.errorLines.count == 1, "\(result.errors)")
    #expect(result.errors.hasPrefix("error: "), "\(result.errors)")
    #expect(result.errors.hasSuffix("\n"))
    #expect(result.errors.contains(call.message), "\(result.errors)")
    #expect(result.output.isEmpty)
  }

  @Test(arguments: [["--help"], ["embed", "--help"], ["help", "search"], ["--version"], []])
  func help(arguments: [String]) async throws {
    let result = try await Command.run(arguments)
    #expect(result.status == 0)
    #expect(result.errors.isEmpty)
    #expect(!result.output.isEmpty)
  }

  @Test func argumentsThatAreNotUTF8() async throws {
    let result = try await Command.shell(
      #"a=$(printf 'a\377'); "$@" "$a""#, ["tokenize", "--model", TinyModel.directory])
    #expect(result.status == 64, "\(result.errors)")
    #expect(result.errors.contains("UTF-8"))
  }

  @Test(arguments: ["gpt2", "no-such-architecture"])
  func unsupportedModel(type: String) async throws {
    let directory = try TemporaryDirectory()
    let model = try TinyModel.copy(to: directory)
    try directory.write(#"{"model_type": "\#(type)"}"#, to: "model/config.json")
    let result = try await Command.run(["embed", "--model", model, "a"])
    #expect(result.status == 69, "\(result.errors)")
    #expect(result.errorLines.count == 1)
    #expect(result.errors.contains(type))
    let inspection = try await Command.run(["inspect", model])
    #expect(inspection.status == 0, "\(inspection.errors)")
  }

  @Test func weightsThatAreNotFinite() async throws {
    let directory = try TemporaryDirectory()
    let model = try TinyModel.copy(to: directory)
    var weights = try directory.read("model/model.safetensors")
    let header = weights[..<8].reversed().reduce(0) { $0 << 8 | Int($1) }
    for position in (8 + header)..<weights.count { weights[position] = 0xFF }
    try directory.write(weights, to: "model/model.safetensors")
    let result = try await Command.run(["embed", "--model", model, "a", "b"])
    #expect(result.status == 65, "\(result.errors)")
    #expect(result.errorLines.count == 1)
    #expect(result.errors.contains(model))
    #expect(result.output.isEmpty)
  }

  @Test func tokenizerAndModelDisagree() async throws {
    let directory = try TemporaryDirectory()
    let model = try TinyModel.copy(to: directory)
    let vocabulary = String(decoding: try directory.read("model/vocab.txt"), as: UTF8.self)
    try FileManager.default.removeItem(atPath: model + "/tokenizer.json")
    try directory.write(vocabulary + "one-too-many\n", to: "model/vocab.txt")
    let result = try await Command.run(["embed", "--model", model, "a"])
    #expect(result.status == 65, "\(result.errors)")
    #expect(result.errors.contains("tokenizer"))
  }
}
