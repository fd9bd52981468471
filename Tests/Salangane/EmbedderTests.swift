import Foundation
import Salangane
import SalanganeFiles
import SalanganeStress
import SalanganeTestSupport
import Testing

@Suite struct EmbedderDeterminismTests {
  static let url = GoldenModel.all[0].url

  /// Token sequences of every length up to the model's limit, mixed.
  /// Alone, in a batch of 64, at any position, in small batches, with one thread or more: the same bits.
  @Test(arguments: InstructionSet.available)
  func sameBitsInEveryCompany(set: InstructionSet) async throws {
    let sequences = StressWork.sequences(64)
    let reference = try await Embedder(
      contentsOf: Self.url, options: .init(threads: 1, instructionSet: set))
    let whole = try await reference.embed(tokens: sequences)
    for index in stride(from: 0, to: 64, by: 5) {
      let alone = try await reference.embed(tokens: [sequences[index]])
      #expect(Array(alone[0]) == Array(whole[index]))
    }
    for threads in [1, 2, 3, 5] {
      for batchTokens in [1, 100, 4096] {
        let embedder = try await Embedder(
          contentsOf: Self.url,
          options: .init(threads: threads, instructionSet: set, batchTokens: batchTokens))
        #expect(try await embedder.embed(tokens: sequences) == whole)
      }
    }
    let reversed = try await reference.embed(tokens: sequences.reversed())
    for index in 0..<64 { #expect(Array(reversed[63 - index]) == Array(whole[index])) }
  }

  @Test func aThousandConcurrentRequests() async throws {
    let embedder = try await Embedder(contentsOf: Self.url)
    let sequences = StressWork.sequences(1000, seed: 2)
    var expected: [[Float]] = []
    for sequence in sequences { expected.append(Array(try await embedder.embed(tokens: [sequence])[0])) }
    let threadsBefore = Self.threadCount()
    let found = try await withThrowingTaskGroup(of: (Int, [Float]).self) { group in
      for (index, sequence) in sequences.enumerated() {
        group.addTask { (index, try await embedder.embed(tokens: [sequence]).values) }
      }
      var found = [[Float]](repeating: [], count: sequences.count)
      for try await (index, vector) in group { found[index] = vector }
      return found
    }
    #expect(found == expected)
    if let before = threadsBefore, let after = Self.threadCount() {
      // Other tests start threads of their own meanwhile; a thread a request would be a thousand.
      #expect(after - before < 64)
    }
  }

  static func threadCount() -> Int? {
    guard let status = try? String(contentsOfFile: "/proc/self/status", encoding: .utf8) else { return nil }
    let line = status.split(separator: "\n").first { $0.hasPrefix("Threads:") }
    return line.flatMap { Int($0.dropFirst(8).trimmingCharacters(in: .whitespaces)) }
  }

  @Test func cancelledRequestsLeaveOthersAlone() async throws {
    let embedder = try await Embedder(contentsOf: Self.url, options: .init(batchTokens: 256))
    let sequences = StressWork.sequences(200, seed: 3)
    let expected = try await embedder.embed(tokens: sequences)
    var cancelled = 0
    for round in 0..<20 {
      let victim = Task { try await embedder.embed(tokens: sequences) }
      let other = Task { try await embedder.embed(tokens: sequences) }
      try await Task.sleep(for: .microseconds(round * 400))
      victim.cancel()
      do {
        #expect(try await victim.value == expected)
      } catch is CancellationError {
        cancelled += 1
      }
      #expect(try await other.value == expected)
    }
    #expect(cancelled > 0)
  }
}

@Suite struct EmbedderOptionTests {
  static let url = EmbedderDeterminismTests.url

  @Test func promptsByRole() async throws {
    let embedder = try await Embedder(contentsOf: Self.url)
    #expect(embedder.prompts == ["query": "swift: ", "document": ""])
    let text = "nest of a bird"
    let plain = try await embedder.embed(text)
    let query = try await embedder.embed(text, as: .query)
    #expect(query == (try await embedder.embed("swift: " + text)))
    #expect(query == (try await embedder.embed(text, as: .prompt(named: "query"))))
    #expect(query == (try await embedder.embed(text, as: .text("swift: "))))
    #expect(query != plain)
    #expect(plain == (try await embedder.embed(text, as: .document)))
    await #expect(throws: EmbeddingError.self) { try await embedder.embed(text, as: .prompt(named: "none")) }
  }

  @Test func dimensionsAreCutOffBeforeNormalising() async throws {
    let embedder = try await Embedder(contentsOf: Self.url)
    let raw = try await embedder.embed("a swift", options: .init(normalizes: false))
    let short = try await embedder.embed("a swift", options: .init(dimensions: 10))
    let length = raw.prefix(10).reduce(0) { $0 + $1 * $1 }.squareRoot()
    #expect(short.count == 10)
    #expect(worstDifference(short, raw.prefix(10).map { $0 / length }) < 1e-6)
  }

  @Test func addedTokensCanBeTakenLiterally() async throws {
    let embedder = try await Embedder(contentsOf: Self.url)
    let special = try await embedder.embed(["[MASK]"])
    let literal = try await embedder.embed(["[MASK]"], options: .init(recognizesAddedTokens: false))
    #expect(special.tokenCounts == [3])
    #expect(literal.tokenCounts[0] > 3)
  }

  @Test func nothingGivesNothing() async throws {
    let embedder = try await Embedder(contentsOf: Self.url)
    let none = try await embedder.embed([])
    #expect(none.count == 0 && none.values.isEmpty && none.dimensions == 64)
    let empty = try await embedder.embed([""])
    #expect(empty.tokenCounts == [2] && empty.values.allSatisfy(\.isFinite))
  }

  @Test func valuesOutOfRangeAreRefused() async throws {
    let embedder = try await Embedder(contentsOf: Self.url)
    await #expect(throws: EmbeddingError.invalidToken(id: 4000, text: 1, vocabularySize: 168)) {
      let size = embedder.tokenizer.vocabularySize
      #expect(size == 168, "the error above names it")
      _ = try await embedder.embed(tokens: [[1], [4000]])
    }
    await #expect(throws: EmbeddingError.self) { try await embedder.embed(tokens: [[-1]]) }
    await #expect(throws: EmbeddingError.invalidLength(count: 0, text: 0, maximum: 48)) {
      try await embedder.embed(tokens: [[]])
    }
    await #expect(throws: EmbeddingError.invalidLength(count: 49, text: 0, maximum: 48)) {
      try await embedder.embed(tokens: [[Int32](repeating: 1, count: 49)])
    }
    for options in [
      EmbeddingOptions(dimensions: 0), EmbeddingOptions(dimensions: 65), EmbeddingOptions(maximumLength: 0),
      EmbeddingOptions(maximumLength: 49),
    ] {
      await #expect(throws: EmbeddingError.self) { try await embedder.embed(["x"], options: options) }
    }
    await #expect(throws: TokenizerError.self) {
      try await embedder.embed(["x"], options: .init(maximumLength: 1))
    }
    for options in [
      ModelOptions(threads: 0), ModelOptions(threads: 100_000), ModelOptions(batchTokens: 0),
    ] {
      await #expect(throws: EmbeddingError.self) {
        try await Embedder(contentsOf: Self.url, options: options)
      }
    }
  }

  @Test func progressReachesTheEnd() async throws {
    let loaded = Recorder<Double>()
    let embedder = try await Embedder(
      contentsOf: Self.url, options: .init(batchTokens: 8), progress: { loaded.append($0) })
    #expect(loaded.values.last == 1 && loaded.values == loaded.values.sorted())
    let done = Recorder<Int>()
    _ = try await embedder.embed(["a", "swift", "bird", "by the sea"], progress: { done.append($0) })
    #expect(done.values.last == 4 && done.values.count > 1)
  }
}

/// Values in the order in which a callback saw them.
final class Recorder<Value: Sendable>: @unchecked Sendable {
  private let lock = NSLock()
  private var recorded: [Value] = []
  var values: [Value] { lock.withLock { recorded } }
  func append(_ value: Value) { lock.withLock { recorded.append(value) } }
}

/// Models whose files contradict the architecture.
@Suite struct EmbedderBadInputTests {
  struct Damage: CustomTestStringConvertible, Sendable {
    let name: String
    let kind: ModelFileError.Kind
    let message: String
    let file: String
    let find: String
    let replace: String
    var testDescription: String { name }
  }

  static let damages: [Damage] = [
    .init(
      name: "other architecture", kind: .unsupported, message: "model_type", file: "config.json",
      find: "\"model_type\": \"bert\"", replace: "\"model_type\": \"mamba\""),
    .init(
      name: "heads don't divide", kind: .malformed, message: "num_attention_heads", file: "config.json",
      find: "\"num_attention_heads\": 2", replace: "\"num_attention_heads\": 3"),
    .init(
      name: "huge layer count", kind: .malformed, message: "num_hidden_layers", file: "config.json",
      find: "\"num_hidden_layers\": 2", replace: "\"num_hidden_layers\": 2000000"),
    .init(
      name: "a layer too many", kind: .malformed, message: "encoder.layer.2.", file: "config.json",
      find: "\"num_hidden_layers\": 2", replace: "\"num_hidden_layers\": 3"),
    .init(
      name: "other width", kind: .malformed, message: "expected shape [100, 64]", file: "config.json",
      find: "\"intermediate_size\": 96", replace: "\"intermediate_size\": 100"),
    .init(
      name: "other activation", kind: .unsupported, message: "hidden_act", file: "config.json",
      find: "\"hidden_act\": \"gelu\"", replace: "\"hidden_act\": \"relu\""),
    .init(
      name: "causal", kind: .unsupported, message: "is_decoder: expected false", file: "config.json",
      find: "\"hidden_act\"", replace: "\"is_decoder\": true, \"hidden_act\""),
    .init(
      name: "epsilon that is no number", kind: .malformed, message: "layer_norm_eps", file: "config.json",
      find: "1e-12", replace: "\"small\""),
    .init(
      name: "fewer tokens than the tokenizer's", kind: .malformed, message: "expected shape [10, 64]",
      file: "config.json", find: "\"vocab_size\": 168", replace: "\"vocab_size\": 10"),
    .init(
      name: "two poolings", kind: .unsupported, message: "pooling_mode", file: "1_Pooling/config.json",
      find: "\"pooling_mode_cls_token\": false", replace: "\"pooling_mode_cls_token\": true"),
    .init(
      name: "no pooling", kind: .malformed, message: "pooling_mode", file: "1_Pooling/config.json",
      find: "\"pooling_mode_mean_tokens\": true", replace: "\"pooling_mode_mean_tokens\": false"),
    .init(
      name: "pooling that is no boolean", kind: .malformed, message: "pooling_mode_cls_token",
      file: "1_Pooling/config.json", find: "\"pooling_mode_cls_token\": false",
      replace: "\"pooling_mode_cls_token\": 1"),
    .init(
      name: "pooling that is no text", kind: .malformed, message: "pooling_mode: expected a string",
      file: "1_Pooling/config.json", find: "{", replace: "{\"pooling_mode\": [\"mean\", 3],"),
    .init(
      name: "no module that pools", kind: .malformed, message: "expected a module of the type Pooling",
      file: "modules.json", find: "sentence_transformers.models.Pooling",
      replace: "sentence_transformers.models.Normalize"),
    .init(
      name: "unknown module", kind: .unsupported, message: "[2].type", file: "modules.json",
      find: "sentence_transformers.models.Normalize", replace: "sentence_transformers.models.Dense"),
    .init(
      name: "path out of the directory", kind: .malformed, message: "[1].path", file: "modules.json",
      find: "\"1_Pooling\"", replace: "\"../1_Pooling\""),
    .init(
      name: "length of no tokens", kind: .malformed, message: "max_seq_length",
      file: "sentence_bert_config.json", find: "40", replace: "0"),
    .init(
      name: "another task", kind: .unsupported, message: "transformer_task",
      file: "sentence_bert_config.json", find: "{", replace: "{\"transformer_task\": \"fill-mask\","),
    .init(
      name: "other tokens", kind: .unsupported, message: "processing_kwargs",
      file: "sentence_bert_config.json", find: "{",
      replace: "{\"processing_kwargs\": {\"text\": {\"add_special_tokens\": false}},"),
    .init(
      name: "texts that lose their beginning", kind: .unsupported, message: "truncation_side",
      file: "tokenizer_config.json", find: "{", replace: "{\"truncation_side\": \"left\","),
    .init(
      name: "leading features", kind: .unsupported, message: "truncate_dim",
      file: "config_sentence_transformers.json", find: "\"prompts\": {",
      replace: "\"truncate_dim\": 8, \"prompts\": {"),
    .init(
      name: "default prompt that isn't there", kind: .malformed, message: "default_prompt_name",
      file: "config_sentence_transformers.json", find: "null", replace: "\"passage\""),
    .init(
      name: "prompt that is no text", kind: .malformed, message: "prompts.query",
      file: "config_sentence_transformers.json", find: "\"swift: \"", replace: "7"),
    .init(
      name: "prompts without names", kind: .malformed, message: "prompts: expected a JSON object",
      file: "config_sentence_transformers.json", find: "\"prompts\": {",
      replace: "\"prompts\": [\"swift: \"], \"others\": {"),
  ]

  static func copy() throws -> TemporaryDirectory {
    let directory = try TemporaryDirectory()
    let source = EmbedderDeterminismTests.url.path
    for name in try FileManager.default.subpathsOfDirectory(atPath: source) where name != "ref.npz" {
      let path = source + "/" + name
      var isDirectory: ObjCBool = false
      guard FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory), !isDirectory.boolValue
      else { continue }
      try directory.write(TestFiles.read(path), to: name)
    }
    return directory
  }

  @Test(arguments: damages)
  func contradictions(damage: Damage) async throws {
    let directory = try Self.copy()
    let text = String(decoding: try directory.read(damage.file), as: UTF8.self)
    #expect(text.contains(damage.find), "the golden has changed")
    try directory.write(text.replacingOccurrences(of: damage.find, with: damage.replace), to: damage.file)
    do {
      _ = try await Embedder(contentsOf: URL(fileURLWithPath: directory.path))
      Issue.record("accepted")
    } catch let error as ModelFileError {
      #expect(error.kind == damage.kind)
      #expect(error.description.contains(damage.message), "\(error)")
      #expect(error.description.contains(directory.path) && !error.description.contains("\n"))
    }
  }

  /// What `tokenizer_config.json` says about letters goes before tokenizer.json, as in transformers, and what
  /// sentence-transformers makes of them is refused if it is something else.
  @Test func lettersOfEitherCase() async throws {
    func vectors(_ changes: (file: String, find: String, replace: String)...) async throws -> [[Float]] {
      let directory = try Self.copy()
      for change in changes {
        let text = String(decoding: try directory.read(change.file), as: UTF8.self)
        #expect(text.contains(change.find), "the golden has changed")
        try directory.write(
          text.replacingOccurrences(of: change.find, with: change.replace), to: change.file)
      }
      let embedder = try await Embedder(contentsOf: URL(fileURLWithPath: directory.path))
      return [try await embedder.embed("SWIFT"), try await embedder.embed("swift \u{F6}")]
    }
    let lower = (file: "tokenizer_config.json", find: "\"do_lower_case\": true", replace: "\"a\": 1")
    let cased = (file: lower.file, find: lower.find, replace: "\"do_lower_case\": false")
    let accented = (file: lower.file, find: lower.find, replace: "\"strip_accents\": false")
    let demanding = (
      file: "sentence_bert_config.json", find: "\"do_lower_case\": false", replace: "\"do_lower_case\": true"
    )
    func stored(_ find: String, _ replace: String) -> (file: String, find: String, replace: String) {
      ("tokenizer.json", find, replace)
    }
    let expected = try await vectors()
    #expect(try await vectors(demanding) == expected)
    let casedVectors = try await vectors(cased)
    #expect(try await vectors(lower, stored("\"lowercase\": true", "\"lowercase\": false")) == casedVectors)
    #expect(casedVectors[0] != expected[0])
    let accentedVectors = try await vectors(accented)
    #expect(
      try await vectors(lower, stored("\"strip_accents\": null", "\"strip_accents\": false"))
        == accentedVectors)
    #expect(accentedVectors[0] == expected[0] && accentedVectors[1] != expected[1])
    let error = await #expect(throws: ModelFileError.self) { try await vectors(demanding, cased) }
    #expect(error?.kind == .unsupported && error?.subject == "do_lower_case")
  }

  @Test(arguments: [
    "config.json", "modules.json", "1_Pooling/config.json", "sentence_bert_config.json",
    "tokenizer_config.json", "config_sentence_transformers.json",
  ])
  func rootsOfAnotherKind(file: String) async throws {
    for root in ["[]", "null", "3"] {
      let directory = try Self.copy()
      try directory.write(root, to: file)
      let error = await #expect(throws: ModelFileError.self) {
        try await Embedder(contentsOf: URL(fileURLWithPath: directory.path))
      }
      #expect(error?.kind == .malformed)
      #expect(error?.description.contains(directory.path(file)) == true)
    }
  }

  /// A link that leads nowhere, as a cache loses files, isn't the same as a model without that file.
  @Test(arguments: ["modules.json", "sentence_bert_config.json", "tokenizer.json", "tokenizer_config.json"])
  func brokenLinks(file: String) async throws {
    let directory = try Self.copy()
    try? FileManager.default.removeItem(atPath: directory.path(file))
    try FileManager.default.createSymbolicLink(
      atPath: directory.path(file), withDestinationPath: "blobs/nothing")
    let error = await #expect(throws: ModelFileError.self) {
      try await Embedder(contentsOf: URL(fileURLWithPath: directory.path))
    }
    #expect(error?.kind == .missing)
    #expect(error?.description.contains(directory.path(file)) == true)
  }

  @Test func weightsThatAreNotFinite() async throws {
    let directory = try Self.copy()
    let file = try SafetensorsFile(path: directory.path("model.safetensors"))
    var bytes = try directory.read("model.safetensors")
    // A projection's weight: it can only be seen in the result.
    let matrix = try #require(file.tensor("encoder.layer.0.output.dense.weight"))
    let norm = try #require(file.tensor("encoder.layer.0.output.LayerNorm.weight"))
    let nan = withUnsafeBytes(of: Float.nan.bitPattern) { Array($0) }
    let original = bytes
    bytes.replaceSubrange(matrix.offset..<matrix.offset + 4, with: nan)
    try directory.write(bytes, to: "model.safetensors")
    let embedder = try await Embedder(contentsOf: URL(fileURLWithPath: directory.path))
    let fault = NumericFault(.feedForward(layer: 0), tensor: "encoder.layer.0.output.dense.weight")
    await #expect(throws: EmbeddingError.notFinite(text: 0, fault: fault)) {
      try await embedder.embed("a bird")
    }
    bytes = original
    bytes.replaceSubrange(norm.offset..<norm.offset + 4, with: nan)
    try directory.write(bytes, to: "model.safetensors")
    await #expect(throws: ModelFileError.self) {
      try await Embedder(contentsOf: URL(fileURLWithPath: directory.path))
    }
  }

  @Test func nothingThere() async throws {
    let missing = URL(fileURLWithPath: "/nonexistent/model")
    do {
      _ = try await Embedder(contentsOf: missing)
      Issue.record("accepted")
    } catch let error as ModelFileError {
      #expect(error.kind == .missing && error.description.contains("/nonexistent/model"))
    }
    let web = try #require(URL(string: "https://example.org/model"))
    await #expect(throws: ModelFileError.self) { try await Embedder(contentsOf: web) }
  }
}

@Suite struct EmbeddingReducerTests {
  static func reference() throws -> (x: Embeddings, arrays: NumPyArchive) {
    let arrays = try NumPyArchive(contentsOf: TestFiles.golden("bert/pca.npz"))
    let x = Embeddings(
      values: try arrays["x"].floats(), dimensions: 24, tokenCounts: .init(repeating: 1, count: 200),
      isTruncated: .init(repeating: false, count: 200))
    return (x, arrays)
  }

  @Test func agreesWithSciPy() async throws {
    let (x, arrays) = try Self.reference()
    let reducer = try await EmbeddingReducer(fitting: x, dimensions: 7)
    #expect(worstDifference(reducer.mean, try arrays["mean"].floats()) < 1e-5)
    #expect(worstDifference(reducer.components, try arrays["components"].floats()) < 1e-5)
    let variance = try arrays["variance"].floats()
    #expect(zip(reducer.explainedVariance, variance).allSatisfy { abs($0 - $1) < 1e-5 * $1 })
    let reduced = try reducer.reduce(x)
    #expect(reduced.dimensions == 7 && reduced.count == 200)
    #expect(worstDifference(reduced.values, try arrays["reduced"].floats()) < 1e-4)
  }

  @Test func survivesItsFile() async throws {
    let reducer = try await EmbeddingReducer(fitting: Self.reference().x, dimensions: 3)
    let directory = try TemporaryDirectory()
    let url = URL(fileURLWithPath: directory.path("pca.safetensors"))
    try reducer.write(to: url)
    #expect(try EmbeddingReducer(contentsOf: url) == reducer)
    #expect(try directory.names() == ["pca.safetensors"])
    try directory.write("{}", to: "pca.safetensors")
    #expect(throws: ModelFileError.self) { try EmbeddingReducer(contentsOf: url) }
    let model = EmbedderDeterminismTests.url.appendingPathComponent("model.safetensors")
    #expect(throws: ModelFileError.self) { try EmbeddingReducer(contentsOf: model) }
  }

  @Test func refusesWhatCannotBeFitted() async throws {
    let x = try Self.reference().x
    for dimensions in [0, 25, -1] {
      await #expect(throws: EmbeddingError.self) {
        try await EmbeddingReducer(fitting: x, dimensions: dimensions)
      }
    }
    let one = Embeddings(values: [1, 2], dimensions: 2, tokenCounts: [1], isTruncated: [false])
    await #expect(throws: EmbeddingError.self) { try await EmbeddingReducer(fitting: one, dimensions: 1) }
    let odd = Embeddings(
      values: [1, .nan, 2, 3], dimensions: 2, tokenCounts: [1, 1], isTruncated: [false, false])
    await #expect(throws: EmbeddingError.notFinite(text: 0)) {
      try await EmbeddingReducer(fitting: odd, dimensions: 1)
    }
    let reducer = try await EmbeddingReducer(fitting: x, dimensions: 2)
    #expect(throws: EmbeddingError.self) { try reducer.reduce(odd) }
  }
}
