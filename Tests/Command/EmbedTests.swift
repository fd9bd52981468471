import Foundation
import Salangane
import SalanganeTestSupport
import Testing

/// A run of `embed` on the tiny model.
func embed(
  _ arguments: [String], input: [UInt8] = [], model: String = TinyModel.directory
) async throws -> CommandResult {
  try await Command.run(["embed", "--model", model] + arguments, input: input)
}

extension [String: Any] {
  /// The vector of a row.
  var embedding: [Float]? { (self["embedding"] as? [NSNumber])?.map(\.floatValue) }
}

extension Embeddings {
  /// The vectors as arrays.
  var rows: [[Float]] { (0..<count).map { Array(self[$0]) } }
}

@Suite struct EmbedTests {
  private func embedder() async throws -> Embedder {
    // The command chooses its kernels by the CPU that it sees, which may be an emulated one.
    let set = ProcessInfo.processInfo.environment["SALANGANE_EXPECTED_ISA"]
    return try await Embedder(
      contentsOf: URL(fileURLWithPath: TinyModel.directory),
      options: .init(instructionSet: try set.map { try .named($0) }))
  }

  @Test func agreesWithTheLibrary() async throws {
    let embedder = try await embedder()
    let expected = try await embedder.embed(TinyModel.texts)
    let input = Array(TinyModel.texts.joined(separator: "\n").utf8)
    for result in [
      try await embed(["--input", "-"], input: input), try await embed(["--"] + TinyModel.texts),
    ] {
      #expect(result.status == 0, "\(result.errors)")
      #expect(result.errors.isEmpty)
      let rows = try result.rows()
      #expect(rows.map { $0["index"] as? Int } == Array(TinyModel.texts.indices))
      #expect(rows.map { $0["tokens"] as? Int } == expected.tokenCounts)
      #expect(rows.map { $0["truncated"] as? Bool ?? false } == expected.isTruncated)
      #expect(expected.isTruncated.contains(true))
      // Bit by bit: the digits read back as the same floats.
      #expect(rows.map(\.embedding) == expected.rows)
      #expect(rows.allSatisfy { $0["id"] == nil && $0["error"] == nil })
    }
  }

  @Test(arguments: [
    ["--pooling", "cls"], ["--pooling", "last", "--no-normalize"], ["--dimensions", "7"],
    ["--max-length", "5"], ["--literal"], ["--prompt-name", "query"], ["--prompt", "the "],
    ["--threads", "1"], ["--threads", "2"], ["--no-mmap"], ["--isa", "portable"],
  ])
  func options(_ arguments: [String]) async throws {
    let set =
      arguments.contains("--isa") ? "portable" : ProcessInfo.processInfo.environment["SALANGANE_EXPECTED_ISA"]
    let embedder = try await Embedder(
      contentsOf: URL(fileURLWithPath: TinyModel.directory),
      options: .init(instructionSet: try set.map { try .named($0) }))
    var options = EmbeddingOptions()
    var role = EmbeddingRole.plain
    switch arguments[0] {
    case "--pooling":
      options.pooling = Pooling(rawValue: arguments[1])
      options.normalizes = arguments.contains("--no-normalize") ? false : nil
    case "--dimensions": options.dimensions = 7
    case "--max-length": options.maximumLength = 5
    case "--literal": options.recognizesAddedTokens = false
    case "--prompt-name": role = .query
    case "--prompt": role = .text("the ")
    default: break
    }
    let expected = try await embedder.embed(TinyModel.texts, as: role, options: options)
    let result = try await embed(arguments + ["--"] + TinyModel.texts)
    #expect(result.status == 0, "\(result.errors)")
    #expect(try result.rows().map(\.embedding) == expected.rows)
    #expect(try result.rows().map { $0["tokens"] as? Int } == expected.tokenCounts)
  }

  @Test func openBLASIsClose() async throws {
    let native = try await embed(TinyModel.texts).rows().compactMap(\.embedding)
    let other = try await embed(["--backend", "openblas"] + TinyModel.texts).rows().compactMap(\.embedding)
    #expect(native.count == TinyModel.texts.count)
    #expect(zip(native.joined(), other.joined()).allSatisfy { abs($0 - $1) < 1e-5 })
    #expect(native.joined().count == other.joined().count)
  }

  @Test func tokens() async throws {
    let sequences: [[Int32]] = [[2, 30, 31, 3], [7]]
    let expected = try await embedder().embed(tokens: sequences)
    let result = try await embed(["--tokens", "2,30,31,3", "--tokens", "7"])
    #expect(try result.rows().map(\.embedding) == expected.rows)
  }

  @Test func formatsAgree() async throws {
    let directory = try TemporaryDirectory()
    let path = try directory.write(TinyModel.texts.joined(separator: "\n") + "\n", to: "texts")
    let lines = try await embed(["--input", path]).rows()
    let json = try await embed(["--input", path, "--format", "json"])
    #expect((try json.json() as? [[String: Any]])?.map(\.embedding) == lines.map(\.embedding))
    // Once with the number of rows known beforehand, once not, and once into a file.
    let counted = try await embed(["--input", path, "--format", "npy"])
    let piped = try await embed(["--input", "-", "--format", "npy"], input: try directory.read("texts"))
    let written = try await embed(["--input", path, "--format", "npy", "--output", directory.path("out.npy")])
    #expect(counted.output == piped.output)
    #expect(written.output.isEmpty && written.errors.isEmpty)
    #expect(try directory.read("out.npy") == counted.output)
    let array = try NumPyArray(npy: counted.output)
    #expect(array.type == "<f4")
    #expect(array.shape == [TinyModel.texts.count, 64])
    #expect(try array.floats() == lines.compactMap(\.embedding).flatMap(\.self))
    #expect(counted.output.count - array.bytes.count == 128)
  }

  @Test(arguments: ["jsonl", "json", "npy"])
  func noTexts(format: String) async throws {
    for input in ["", "\u{FEFF}"] where format != "npy" || input.isEmpty {
      let result = try await embed(["--input", "-", "--format", format], input: Array(input.utf8))
      #expect(result.status == 0, "\(result.errors)")
      switch format {
      case "jsonl": #expect(try result.rows().allSatisfy { $0["tokens"] as? Int == 2 })
      case "json": #expect(try result.json() is [Any])
      default: #expect(try NumPyArray(npy: result.output).shape == [0, 64])
      }
    }
  }

  @Test func pca() async throws {
    let directory = try TemporaryDirectory()
    let file = directory.path("pca.safetensors")
    let fitted = try await embed(["--reduce-fit", file, "--dimensions", "4"] + TinyModel.texts)
    #expect(fitted.status == 0, "\(fitted.errors)")
    let expected = try await embedder().embed(TinyModel.texts)
    let reducer = try await EmbeddingReducer(fitting: expected, dimensions: 4)
    #expect(try fitted.rows().map(\.embedding) == reducer.reduce(expected).rows)
    let reduced = try await embed(["--reduce", file] + TinyModel.texts)
    #expect(reduced.output == fitted.output)
    let fewer = try await embed(["--reduce", file, "--dimensions", "2"] + TinyModel.texts)
    #expect(try fewer.rows().map(\.embedding) == fitted.rows().map { Array($0.embedding?.prefix(2) ?? []) })
    let array = try await embed(["--reduce", file, "--format", "npy"] + TinyModel.texts)
    #expect(try NumPyArray(npy: array.output).shape == [TinyModel.texts.count, 4])
    let tooMany = try await embed(["--reduce", file, "--dimensions", "5", "a"])
    #expect(tooMany.status == 64)
  }
}
