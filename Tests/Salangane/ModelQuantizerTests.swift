import Foundation
import Salangane
import SalanganeFiles
import SalanganeQuantization
import SalanganeTestSupport
import Testing

@Suite struct ModelQuantizerTests {
  static let encoder = TestFiles.golden("bert/wide-f32.gguf")
  static let decoder = TestFiles.golden("rerankers/untied.gguf")

  /// Writes a model and opens what was written.
  static func quantize(
    _ source: String, _ options: ModelQuantizer.Options, in directory: TemporaryDirectory,
    to name: String = "model.gguf"
  ) async throws -> Checkpoint {
    let quantizer = try await ModelQuantizer(contentsOf: URL(fileURLWithPath: source), options: options)
    try await quantizer.write(to: URL(fileURLWithPath: directory.path(name)))
    let checkpoint = try Checkpoint(path: directory.path(name))
    #expect(quantizer.tensors.map(\.name) == checkpoint.tensors.map(\.name))
    #expect(quantizer.tensors.map(\.typeName) == checkpoint.tensors.map(\.type.name))
    #expect(quantizer.tensors.map(\.byteCount) == checkpoint.tensors.map(\.byteCount))
    #expect(quantizer.byteCount == checkpoint.byteCount)
    return checkpoint
  }

  /// All values of a tensor.
  static func values(_ tensor: StoredTensor) throws -> [Float] {
    var values = [Float](repeating: 0, count: tensor.elementCount)
    try tensor.withUnsafeBytes { bytes in
      try values.withUnsafeMutableBufferPointer { try Dequantizer.decode(tensor.type, bytes, into: $0) }
    }
    return values
  }

  /// The error of a tensor's values against a source's, relative to the root mean square of the source.
  static func relativeError(_ values: [Float], _ source: [Float]) -> Float {
    let error = zip(values, source).reduce(Float(0)) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
    return (error / max(source.reduce(0) { $0 + $1 * $1 }, .leastNormalMagnitude)).squareRoot()
  }

  /// What the values of a type may be off, for weights that are normally distributed.
  static func ceiling(_ type: TensorType) -> Float {
    switch type {
    case .f32: 0
    case .f16: 5e-4
    case .bf16: 4e-3
    case .q8_0: 0.006
    case .q6_K: 0.02
    case .q5_0, .q5_1, .q5_K: 0.05
    case .q4_0, .q4_1, .q4_K, .iq4_NL, .iq4_XS: 0.1
    case .mxfp4: 0.14
    case .q3_K: 0.16
    default: 0.3
    }
  }

  @Test(arguments: QuantizationScheme.allCases, [encoder, decoder])
  func everySchemeIsWrittenAndRead(scheme: QuantizationScheme, path: String) async throws {
    let directory = try TemporaryDirectory()
    let source = try Checkpoint(path: path)
    let written = try await Self.quantize(path, .init(scheme: scheme), in: directory)
    #expect(written.tensors.map(\.name) == source.tensors.map(\.name))
    var types: Set<TensorType> = []
    for tensor in written.tensors {
      let original = try source.tensor(tensor.name, shape: tensor.shape)
      types.insert(tensor.type)
      let error = Self.relativeError(try Self.values(tensor), try Self.values(original))
      #expect(error <= Self.ceiling(tensor.type), "\(tensor)")
      if tensor.type.isQuantized { #expect(error > 0) }
      if tensor.shape.count == 1 { #expect(tensor.type == original.type) }
    }
    // These models' rows don't fill super-blocks; types of 32 values and floats are what is left.
    #expect(
      types.contains { $0 == scheme.tensorType || scheme.tensorType.valuesPerBlock == 256 || $0 == .q8_0 })
    let metadata = try #require(written.gguf).metadata
    let before = try #require(source.gguf).metadata
    let added = ["general.file_type", "general.quantization_version"]
    #expect(
      metadata.keys.filter { !added.contains($0) } == before.keys.filter { !added.contains($0) })
    #expect(metadata["general.quantization_version"]?.int == 2)
    #expect(
      metadata["tokenizer.ggml.tokens"]?.array?.strings == before["tokenizer.ggml.tokens"]?.array?.strings)
  }

  @Test func quantisedModelsRun() async throws {
    let directory = try TemporaryDirectory()
    let original = try await Embedder(contentsOf: URL(fileURLWithPath: Self.encoder))
    let text = "The swiftlet nests in a cave."
    let expected = try await original.embed(text)
    for (scheme, closeness) in [(QuantizationScheme.q8_0, Float(0.9995)), (.q4_K_M, 0.98), (.f16, 0.999999)] {
      let name = scheme.rawValue + ".gguf"
      _ = try await Self.quantize(Self.encoder, .init(scheme: scheme), in: directory, to: name)
      let embedder = try await Embedder(contentsOf: URL(fileURLWithPath: directory.path(name)))
      #expect(try await embedder.embed(text).cosineSimilarity(to: expected) > closeness, "\(scheme)")
    }
  }

  @Test func threadsDoNotChangeTheFile() async throws {
    let directory = try TemporaryDirectory()
    for threads in [1, 3] {
      _ = try await Self.quantize(
        Self.encoder, .init(scheme: .q5_1, threads: threads, isMemoryMapped: threads == 1), in: directory,
        to: "\(threads).gguf")
    }
    #expect(try directory.read("1.gguf") == directory.read("3.gguf"))
  }

  @Test func progressReachesTheEnd() async throws {
    let directory = try TemporaryDirectory()
    let quantizer = try await ModelQuantizer(
      contentsOf: URL(fileURLWithPath: Self.encoder), options: .init(scheme: .q8_0))
    let steps = Steps()
    try await quantizer.write(to: URL(fileURLWithPath: directory.path("a.gguf"))) { steps.append($0) }
    #expect(steps.all.last == 1)
    #expect(steps.all == steps.all.sorted())
    #expect(steps.all.count >= quantizer.tensors.count)
  }

  @Test func aSplitSetBecomesOneFile() async throws {
    let directory = try TemporaryDirectory()
    let path = TestFiles.golden("files/split-00001-of-00003.gguf")
    let source = try Checkpoint(path: path)
    #expect(source.files.count == 3)
    let written = try await Self.quantize(
      path, .init(scheme: .f32, allowsRequantizing: true), in: directory)
    #expect(written.files.count == 1)
    #expect(written.tensors.map(\.name) == source.tensors.map(\.name))
    #expect(try #require(written.gguf).metadata.keys.contains { $0.hasPrefix("split.") } == false)
  }

  @Test func quantisedWeightsAreQuantisedAgainOnlyIfAllowed() async throws {
    let directory = try TemporaryDirectory()
    let first = try await Self.quantize(
      Self.encoder, .init(scheme: .q8_0), in: directory, to: "first.gguf")
    // What has the type already is copied.
    let same = try await Self.quantize(
      first.path, .init(scheme: .q8_0), in: directory, to: "same.gguf")
    for (left, right) in zip(first.tensors, same.tensors) { #expect(left.bytes.elementsEqual(right.bytes)) }
    for scheme in [QuantizationScheme.q4_0, .f16] {
      await #expect {
        try await ModelQuantizer(
          contentsOf: URL(fileURLWithPath: first.path), options: .init(scheme: scheme))
      } throws: { error in
        guard let error = error as? ModelFileError else { return false }
        return error.kind == .unsupported && error.file == first.path
          && error.expectation.contains("found Q8_0")
      }
    }
    let again = try await Self.quantize(
      first.path, .init(scheme: .q4_0, allowsRequantizing: true), in: directory, to: "again.gguf")
    #expect(again.tensors.contains { $0.type == .q4_0 })
  }

  @Test func theSourceIsNotOverwritten() async throws {
    let directory = try TemporaryDirectory()
    let path = try directory.write(TestFiles.read(Self.encoder), to: "source.gguf")
    try FileManager.default.createSymbolicLink(
      atPath: directory.path("link.gguf"), withDestinationPath: path)
    let before = try directory.read("source.gguf")
    let quantizer = try await ModelQuantizer(
      contentsOf: URL(fileURLWithPath: path), options: .init(scheme: .q4_0))
    for name in ["source.gguf", "link.gguf"] {
      await #expect(throws: EmbeddingError.self) {
        try await quantizer.write(to: URL(fileURLWithPath: directory.path(name)))
      }
    }
    #expect(try directory.read("source.gguf") == before)
    #expect(try directory.names() == ["link.gguf", "source.gguf"])
  }

  /// A GGUF file with one matrix `[2, 32]` of 32-bit floats.
  private func model(_ values: [Float], in directory: TemporaryDirectory) throws -> String {
    var writer = GGUFWriter()
    writer.set("general.architecture", .string("bert"))
    writer.tensors = [TensorDescription(name: "blk.0.attn_q.weight", type: .f32, shape: [2, 32])]
    let path = directory.path("bad.gguf")
    try writer.write(to: path) { _, sink in try sink.write(values) }
    return path
  }

  @Test(arguments: [
    (Float.nan, QuantizationScheme.q8_0), (.infinity, .q8_0), (.nan, .f16), (-.infinity, .bf16),
    (.nan, .f32),
    (65_520, .f16), (-70_000, .q4_1), (1e9, .q4_0), (.greatestFiniteMagnitude, .bf16), (3e38, .iq4_NL),
  ])
  func valuesThatATypeCannotHoldAreRefused(value: Float, scheme: QuantizationScheme) async throws {
    let directory = try TemporaryDirectory()
    var values = (0..<64).map { Float($0) }
    values[45] = value
    let path = try model(values, in: directory)
    let quantizer = try await ModelQuantizer(
      contentsOf: URL(fileURLWithPath: path), options: .init(scheme: scheme))
    await #expect {
      try await quantizer.write(to: URL(fileURLWithPath: directory.path("out.gguf")))
    } throws: { error in
      guard let error = error as? ModelFileError else { return false }
      return error.kind == .malformed && error.file == path && error.subject == "blk.0.attn_q.weight"
        && error.expectation.hasSuffix("index 45")
    }
    #expect(try directory.names() == ["bad.gguf"])
    // The greatest value below the limit is held.
    values[45] = 65_000
    _ = try await Self.quantize(
      try model(values, in: directory), .init(scheme: scheme), in: directory, to: "out.gguf")
  }

  @Test func optionsOutOfRange() async throws {
    await #expect(throws: EmbeddingError.self) {
      try await ModelQuantizer(
        contentsOf: URL(fileURLWithPath: Self.encoder), options: .init(scheme: .q8_0, threads: 0))
    }
  }
}

/// Collects progress from another thread.
private final class Steps: @unchecked Sendable {
  private let lock = NSLock()
  private var values: [Double] = []

  var all: [Double] { lock.withLock { values } }

  func append(_ value: Double) { lock.withLock { values.append(value) } }
}
