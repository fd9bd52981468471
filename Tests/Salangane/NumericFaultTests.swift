import Foundation
import Salangane
import SalanganeFiles
import SalanganeStress
import SalanganeTestSupport
import Testing

/// A model with one tensor that holds a number that is none: what it gives is refused, and the error names the
/// layer and the tensor; or the number isn't used, and all bits are as they were.
@Suite struct NumericFaultTests {
  /// A kind of model, and what is asked of it.
  enum Model: String, CaseIterable, Sendable {
    case encoder, crossEncoder, decoderEmbedder, answers, dense, experts, latent, halves

    /// Writes a good model, and returns its path and the file that holds the weights.
    func write(to directory: TemporaryDirectory) async throws -> (path: String, weights: String) {
      let golden: String
      switch self {
      case .encoder: golden = "bert/wide"
      case .crossEncoder: golden = "bert/cross"
      case .decoderEmbedder: golden = "rerankers/embedding"
      case .answers: golden = "rerankers/qwen3"
      case .halves: golden = "rerankers/untied"
      case .dense, .experts, .latent:
        let shape =
          switch self {
          case .dense: SmallShape.plain
          case .experts: SmallShape.experts
          default: SmallShape.latent
          }
        let path = directory.path("model.gguf")
        try await ModelSynthesizer(shape, scheme: .q8_0, seed: 3).write(to: path)
        return (path, "model.gguf")
      }
      let path = directory.path("model")
      try FileManager.default.copyItem(atPath: TestFiles.golden(golden), toPath: path)
      return (path, "model/model.safetensors")
    }

    /// Whether the model keeps keys and values.
    var generates: Bool { [.dense, .experts, .latent, .halves].contains(self) }

    /// What the model answers.
    func answer(_ path: String, _ options: ModelOptions = .init(threads: 2)) async throws -> [Float] {
      let url = URL(fileURLWithPath: path)
      switch self {
      case .encoder, .decoderEmbedder:
        return try await Embedder(contentsOf: url, options: options)
          .embed(tokens: [[3, 17, 44, 80, 9], [5, 5]]).values
      case .crossEncoder, .answers:
        return try await Reranker(contentsOf: url, options: options)
          .score(query: "a swift", documents: ["a bird of the sea", "one"])
      case .dense, .experts, .latent, .halves:
        return try await LanguageModel(contentsOf: url, options: options)
          .logits(tokens: [3, 17, 44, 80, 9, 250, 3])
      }
    }
  }

  /// The bytes of a number that is none, in a tensor's type, and where they go; nil for types without any.
  private static func poison(_ tensor: StoredTensor, _ value: Float, at index: Int) -> (
    offset: Int, bytes: [UInt8]
  )? {
    let element = index % tensor.elementCount
    switch tensor.type {
    case .f32:
      return (tensor.offset + 4 * element, withUnsafeBytes(of: value.bitPattern) { Array($0) })
    case .bf16:
      return (tensor.offset + 2 * element, withUnsafeBytes(of: UInt16(value.bitPattern >> 16)) { Array($0) })
    case .f16:
      return (tensor.offset + 2 * element, withUnsafeBytes(of: Float16(value).bitPattern) { Array($0) })
    case .q8_0:
      // The scale of a block of 32.
      return (
        tensor.offset + 34 * (element / 32), withUnsafeBytes(of: Float16(value).bitPattern) { Array($0) }
      )
    default: return nil
    }
  }

  @Test(arguments: Model.allCases, [Float.nan, .infinity, -.infinity])
  func everyTensor(model: Model, value: Float) async throws {
    let directory = try TemporaryDirectory()
    let (path, weights) = try await model.write(to: directory)
    // Keys and values are stored in half precision, or as codes.
    let options = (model.generates ? [KVCacheType.f16, .q8] : [.f16]).map {
      ModelOptions(threads: 2, cacheType: $0)
    }
    var expected: [[Float]] = []
    for option in options { expected.append(try await model.answer(path, option)) }
    let good = try directory.read(weights)
    let tensors = try Checkpoint(path: path).tensors
    var named = 0
    var tried = 0
    for (number, stored) in tensors.enumerated() {
      // The first number of a row that is used, and one anywhere.
      guard let (offset, bytes) = Self.poison(stored, value, at: number * 7919) else { continue }
      tried += options.count
      var bad = good
      bad.replaceSubrange(offset..<offset + bytes.count, with: bytes)
      try directory.write(bad, to: weights)
      for (option, expected) in zip(options, expected) {
        do {
          let found = try await model.answer(path, option)
          let isSame = found.elementsEqual(expected) { $0.bitPattern == $1.bitPattern }
          #expect(isSame, "\(stored.name): neither refused nor without effect, \(option.cacheType)")
        } catch let error as ModelFileError {
          // Vectors of weights are looked at when they are loaded.
          #expect(error.subject == stored.name, "\(error)")
          named += 1
        } catch EmbeddingError.notFinite(_, let fault), GenerationError.notFinite(_, let fault) {
          #expect(fault?.tensor == stored.name, "\(fault as Any) for \(stored.name)")
          if let layer = stored.name.split(separator: ".").lazy.compactMap({ Int($0) }).first {
            let places: [NumericFault.Place] = [.attention(layer: layer), .feedForward(layer: layer)]
            #expect(fault.map { places.contains($0.place) } == true, "\(fault as Any) for \(stored.name)")
          }
          named += 1
        }
      }
    }
    #expect(tried > 10 && named > tried / 2, "\(named) of \(tried) named")
  }

  /// Weights that are finite, with numbers that grow beyond all bounds: the layer is named, and no tensor.
  @Test(arguments: [Model.encoder, .halves])
  func overflow(model: Model) async throws {
    let directory = try TemporaryDirectory()
    let (path, weights) = try await model.write(to: directory)
    var bytes = try directory.read(weights)
    let suffix = model == .encoder ? "layer.1.output.dense.weight" : "layers.1.mlp.down_proj.weight"
    let stored = try #require(Checkpoint(path: path).tensors.first { $0.name.hasSuffix(suffix) })
    let great: Float = 1e38
    for element in 0..<stored.elementCount {
      let (offset, value) = try #require(Self.poison(stored, great, at: element))
      bytes.replaceSubrange(offset..<offset + value.count, with: value)
    }
    try directory.write(bytes, to: weights)
    do {
      _ = try await model.answer(path)
      Issue.record("answered")
    } catch EmbeddingError.notFinite(_, let fault), GenerationError.notFinite(_, let fault) {
      #expect(fault?.place == .feedForward(layer: 1) && fault?.tensor == nil, "\(fault as Any)")
    }
  }

  @Test func descriptions() {
    let fault = NumericFault(.attention(layer: 3), tensor: "blk.3.attn_q.weight")
    #expect(
      "\(EmbeddingError.notFinite(text: 2, fault: fault))"
        == "text 2: expected a finite vector, but the model's output holds NaN or infinity: "
        + "layer 3: attention is the first that isn't finite, and blk.3.attn_q.weight holds NaN or infinity")
    #expect(
      "\(NumericFault(.output))" == "output is the first that isn't finite, though its weights are")
  }
}
