import Foundation
import Salangane
import SalanganeFiles
import SalanganeQuantization
import SalanganeStress
import SalanganeTestSupport
import SalanganeTokenizers
import Testing

@Suite struct SynthesisTests {
  /// The numbers of parameters that the published files have.
  static let published: [String: Int] = [
    "qwen3-0.6b": 596_049_920, "qwen3-1.7b": 1_720_574_976, "qwen3-4b": 4_022_468_096,
    "qwen3-30b-a3b": 30_532_122_624, "llama-3-8b": 8_030_261_248, "deepseek-v2-lite": 15_706_484_224,
  ]

  @Test(arguments: ModelShape.all.map(\.name))
  func shapesHaveAllTheirParameters(name: String) throws {
    let shape = try #require(ModelShape.named(name))
    let tensors = ModelSynthesizer(shape, scheme: .f16).descriptions
    let count = tensors.reduce(0) { $0 + $1.shape.reduce(1, *) }
    if let published = Self.published[name] { #expect(count == published) }
    #expect(count > 500_000_000)
    #expect(Set(tensors.map(\.name)).count == tensors.count)
    // Every matrix but the router's has the type that was asked for, or one that is chosen for it.
    let short = shape.cut(toLayers: shape.layerRange.lowerBound + 1)
    for scheme in QuantizationScheme.allCases {
      let tensors = ModelSynthesizer(short, scheme: scheme).descriptions
      var isThere = false
      for tensor in tensors {
        #expect(tensor.byteCount != nil, "\(scheme) \(tensor)")
        let isFloat = tensor.shape.count == 1 || tensor.name.contains("ffn_gate_inp")
        if isFloat { #expect(tensor.type == .f32) }
        if !isFloat && !scheme.tensorType.isQuantized { #expect(tensor.type == scheme.tensorType) }
        if !isFloat && scheme.tensorType.isQuantized { #expect(tensor.type.isQuantized) }
        isThere = isThere || tensor.type == scheme.tensorType
      }
      #expect(isThere || scheme == .mxfp4_MoE)
    }
    let least = shape.cut(toLayers: shape.layerRange.lowerBound)
    let names = ModelSynthesizer(least, scheme: .f16).descriptions.map(\.name)
    #expect(Set(names).isSubset(of: Set(tensors.map(\.name))))
    // What is cut away is layers, not kinds of tensors.
    let kinds = { (names: [String]) in Set(names.map { $0.split(separator: ".").last ?? "" }) }
    #expect(kinds(names) == kinds(tensors.map(\.name)))
  }

  @Test(arguments: ["qwen2", "llama-bpe", "glm4", "deepseek-llm"])
  func textsAreToldInTokens(preTokenizer: String) async throws {
    let directory = try TemporaryDirectory()
    let path = directory.path("header.gguf")
    let vocabulary = ModelShape.Vocabulary(
      size: 1200, preTokenizer: preTokenizer, firstControlToken: 1000,
      controlTokens: ["<|start|>", "<|end|>", "<|turn|>"], beginningOfSequence: "<|start|>",
      endOfSequence: "<|end|>", endOfTurn: "<|turn|>", addsBeginning: preTokenizer != "qwen2")
    var writer = GGUFWriter()
    writer.set("general.architecture", .string("llama"))
    vocabulary.setMetadata(of: &writer)
    try writer.write(to: path) { _, _ in }
    let tokenizer = try TokenizerLoader.load(path: path)
    #expect(tokenizer.vocabularySize == 1200)
    #expect(tokenizer.specialTokens.beginningOfSequence == 1000)
    #expect(tokenizer.specialTokens.endOfSequence == 1001 && tokenizer.specialTokens.endOfTurn == 1002)
    let plain = EncodingOptions(addsSpecialTokens: false)
    for text in ["hello swiftlet", " in the dark:\n\t12,345 \u{1F426}", "", "h\u{E9}t\u{E9}rog\u{E8}ne"] {
      #expect(try tokenizer.decode(tokenizer.encode(text, options: plain).ids) == text)
    }
    // The first words are those of two letters, and of a space and one.
    #expect(try tokenizer.encode(" a", options: plain).ids == [256])
    #expect(try tokenizer.encode("ab", options: plain).ids == [256 + 26 + 1])
  }

  @Test(arguments: [QuantizationScheme.f16, .q4_0])
  func filesDependOnTheSeedOnly(scheme: QuantizationScheme) async throws {
    let directory = try TemporaryDirectory()
    var files: [[UInt8]] = []
    for (seed, threads) in [(7, 1), (7, 3), (8, 2)] {
      let path = directory.path("model.gguf")
      try await ModelSynthesizer(SmallShape.dense, scheme: scheme, seed: UInt64(seed), unitBits: 7).write(
        to: path, threads: threads)
      files.append(try TestFiles.read(path))
    }
    #expect(files[0] == files[1])
    #expect(files[0].count == files[2].count && files[0] != files[2])
  }

  @Test(arguments: [QuantizationScheme.f32, .bf16, .q4_0, .q5_1, .q8_0, .q2_K, .q4_K_M, .iq4_XS])
  func weightsAreNormalAndRowsDiffer(scheme: QuantizationScheme) async throws {
    // With so few units the larger matrices are put together of them; with more, every value is encoded.
    try await weightsAreNormalAndRowsDiffer(scheme, unitBits: 7)
    if scheme == .q4_0 { try await weightsAreNormalAndRowsDiffer(scheme, unitBits: 14) }
  }

  private func weightsAreNormalAndRowsDiffer(_ scheme: QuantizationScheme, unitBits: Int) async throws {
    let directory = try TemporaryDirectory()
    let path = directory.path("model.gguf")
    try await ModelSynthesizer(SmallShape.dense, scheme: scheme, unitBits: unitBits).write(to: path)
    for tensor in try Checkpoint(path: path).tensors {
      let count = tensor.elementCount
      let values = [Float](unsafeUninitializedCapacity: count) { buffer, initialized in
        tensor.withUnsafeBytes { bytes in try? Dequantizer.decode(tensor.type, bytes, into: buffer) }
        initialized = count
      }
      let mean = values.reduce(0, +) / Float(count)
      let square = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Float(count)
      let inputs = Float(tensor.shape.last ?? 1)
      if tensor.shape.count == 1 {
        #expect(tensor.type == .f32 && abs(mean - 1) < 0.05 && (0.0009...0.005).contains(square))
        continue
      }
      // A matrix of few bits loses a part of the variance.
      #expect(abs(mean) < 0.04 / inputs.squareRoot() && abs(square * inputs - 1) < 0.1, "\(tensor)")
      let rows = stride(from: 0, to: count, by: Int(inputs)).map { values[$0..<$0 + Int(inputs)] }
      #expect(Set(rows.map { $0.map(\.bitPattern) }).count == rows.count, "\(tensor)")
    }
  }

  @Test(arguments: [SmallShape.dense, SmallShape.plain, SmallShape.experts, SmallShape.latent])
  func modelsRun(shape: ModelShape) async throws {
    for scheme in [QuantizationScheme.f32, .q4_0, .q8_0] { try await runs(shape, scheme) }
  }

  private func runs(_ shape: ModelShape, _ scheme: QuantizationScheme) async throws {
    let directory = try TemporaryDirectory()
    let path = directory.path("model.gguf")
    try await ModelSynthesizer(shape, scheme: scheme, seed: 3).write(to: path)
    let model = try await LanguageModel(contentsOf: URL(fileURLWithPath: path))
    let logits = try await model.logits(tokens: [1, 290, 77, 260])
    let square = logits.reduce(0) { $0 + $1 * $1 } / Float(logits.count)
    #expect((0.3...3).contains(square))
    let options = GenerationOptions(maximumTokens: 5, ignoresEndOfSequence: true)
    #expect(try await model.generate("the dark", options: options).summary().ids.count == 5)
  }

  @Test func failuresLeaveNothing() async throws {
    let directory = try TemporaryDirectory()
    let synthesizer = ModelSynthesizer(SmallShape.dense, scheme: .q4_0)
    await #expect(throws: ModelFileError.self) {
      try await synthesizer.write(to: directory.path("none/model.gguf"))
    }
    let path = directory.path("model.gguf")
    let task = Task {
      withUnsafeCurrentTask { $0?.cancel() }
      try await synthesizer.write(to: path)
    }
    await #expect(throws: CancellationError.self) { try await task.value }
    #expect(try directory.names().isEmpty)
  }
}
