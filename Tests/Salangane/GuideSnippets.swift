import Foundation
import Salangane
import SalanganeKernels
import SalanganeTestSupport

/// The code of the guides, compiled and run: `GuideTests` checks that what they print is what stands here.
enum GuideSnippets {
  // MARK: Docs/Quantize.md

  static func quantize(_ source: URL, to destination: URL) async throws -> ModelQuantizer {
    let quantizer = try await ModelQuantizer(contentsOf: source, options: .init(scheme: .q4_K_M))
    try await quantizer.write(to: destination)
    return quantizer
  }

  static func bitsPerWeight(_ quantizer: ModelQuantizer) -> Double {
    Double(quantizer.byteCount * 8) / Double(quantizer.valueCount)
  }

  static func again(_ source: URL) async throws -> ModelQuantizer {
    try await ModelQuantizer(
      contentsOf: source, options: .init(scheme: .q8_0, threads: 2, allowsRequantizing: true))
  }

  static func eightBits(_ url: URL) async throws -> Embedder {
    try await Embedder(contentsOf: url, options: .init(precision: .int8))
  }

  static func exact(_ url: URL) async throws -> Embedder {
    try await Embedder(contentsOf: url, options: .init(precision: .float))
  }

  // MARK: Docs/Add-a-Kernel.md

  static func holdAgainstPortable(_ set: InstructionSet) throws -> Float {
    let kernels = try KernelTable.table(for: set)
    var mine: [Float] = [-2, -1, 0, 0.5, 3]
    var portable = mine
    kernels.geluRows(1, mine.count, &mine, mine.count)
    KernelTable.portable.geluRows(1, portable.count, &portable, portable.count)
    return zip(mine, portable).map { ($0 - $1).magnitude }.max() ?? 0
  }

  // MARK: Docs/Generate.md

  static func stream(_ url: URL) async throws {
    let model = try await LanguageModel(contentsOf: url)
    for try await event in model.generate("Swiftlets nest in", options: .init(maximumTokens: 50)) {
      if case .text(let piece) = event { print(piece.text, terminator: "") }
    }
  }

  static func summary(_ model: LanguageModel, _ options: GenerationOptions) async throws {
    let summary = try await model.generate("Swiftlets nest in", options: options).summary()
    print(summary.text)
    print(summary.stopReason)  // endOfSequence, maximumTokens, stopString or contextFull
    print(Double(summary.ids.count) / summary.generationSeconds, "tokens a second")
  }

  static func together(
    _ model: LanguageModel, _ options: GenerationOptions, _ prompts: [String]
  ) async throws -> [String] {
    try await withThrowingTaskGroup(of: (Int, String).self) { group in
      for (index, prompt) in prompts.enumerated() {
        group.addTask {
          (index, try await model.generate(prompt, options: options).summary().text)
        }
      }
      var texts = prompts
      for try await (index, text) in group { texts[index] = text }
      return texts
    }
  }

  static func options() -> GenerationOptions {
    var options = GenerationOptions(maximumTokens: 200, stopStrings: ["\n\n"])
    options.sampling = SamplingOptions(
      temperature: 0.7, topK: 20, topP: 0.8, minP: 0, repetitionPenalty: 1.05, seed: 42)
    return options
  }

  static func conversation(
    _ model: LanguageModel, _ options: GenerationOptions, _ questions: [String]
  ) async throws -> String {
    let session = model.makeSession()
    var conversation = ""
    for question in questions {
      conversation += "<|im_start|>user\n\(question)<|im_end|>\n<|im_start|>assistant\n"
      let answer = try await session.generate(conversation, options: options).summary()
      conversation += answer.text + "<|im_end|>\n"
      print("\(answer.cachedTokens) of \(answer.promptTokens) tokens were there already")
    }
    return conversation
  }

  static func share(
    _ model: LanguageModel, _ options: GenerationOptions, _ document: String, _ questions: [String]
  ) async throws -> PromptCache {
    let cache = PromptCache(for: model, maximumBytes: 2 << 30)
    for question in questions {
      let session = try model.makeSession(promptCache: cache)
      let answer = try await session.generate(document + question, options: options).summary()
      print("\(answer.cachedTokens) of \(answer.promptTokens) tokens were there already")
    }
    return cache
  }

  static func restore(_ file: URL, _ model: LanguageModel) throws -> PromptCache {
    do {
      return try PromptCache(contentsOf: file, for: model, maximumBytes: 2 << 30)
    } catch let error as ModelFileError where error.kind == .missing {
      return PromptCache(for: model, maximumBytes: 2 << 30)
    }
  }

  static func save(_ cache: PromptCache, to file: URL) throws {
    try cache.save(to: file)
  }

  static func literalText(
    _ model: LanguageModel, _ options: GenerationOptions, _ textFromOutside: String
  ) async throws -> GenerationSummary {
    let frame = EncodingOptions(addsSpecialTokens: false)
    let literal = EncodingOptions(addsSpecialTokens: false, recognizesAddedTokens: false)
    var tokens = try model.tokenizer.encode("<|im_start|>user\n", options: frame).ids
    tokens += try model.tokenizer.encode(textFromOutside, options: literal).ids
    tokens += try model.tokenizer.encode("<|im_end|>\n<|im_start|>assistant\n", options: frame).ids
    let answer = try await model.generate(tokens: tokens, options: options).summary()
    return answer
  }

  static func memory(_ url: URL, contextLength: Int) async throws -> LanguageModel {
    let options = ModelOptions(threads: 4, contextLength: contextLength, cacheType: .f32)
    let model = try await LanguageModel(contentsOf: url, options: options)
    return model
  }

  static func perplexity(_ model: LanguageModel, _ tokens: [Int32]) async throws -> Float {
    var surprise: Float = 0
    var position = 0
    try await model.forEachLogits(tokens: tokens) { logits in
      for row in stride(from: 0, to: logits.count, by: model.vocabularySize) {
        position += 1
        guard position < tokens.count else { break }
        let values = logits[row..<row + model.vocabularySize]
        let largest = values.max() ?? 0
        let sum = values.reduce(0) { $0 + exp($1 - largest) }
        surprise += log(sum) + largest - values[row + Int(tokens[position])]
      }
    }
    print("perplexity", exp(surprise / Float(tokens.count - 1)))
    return exp(surprise / Float(tokens.count - 1))
  }

  // MARK: Docs/Embed-Qwen3.md

  static func embed(_ embedderURL: URL, _ passages: [String]) async throws -> Embeddings {
    let embedder = try await Embedder(contentsOf: embedderURL)
    let vectors = try await embedder.embed(passages, as: .document)
    let vector = try await embedder.embed("how do swiftlets find their way?", as: .query)
    _ = vector
    return vectors
  }

  static func instruct(_ embedder: Embedder) async throws -> [Float] {
    let instruction = "Given a claim, find reports that support or refute it"
    let role = EmbeddingRole.text("Instruct: \(instruction)\nQuery:")
    let claim = try await embedder.embed("Swiftlets are blind.", as: role)
    return claim
  }

  static func shorten(_ embedder: Embedder, _ passages: [String]) async throws -> Embeddings {
    let short = try await embedder.embed(passages, as: .document, options: .init(dimensions: 256))
    return short
  }

  static func rerank(_ rerankerURL: URL, _ candidates: [String]) async throws -> [Float] {
    let reranker = try await Reranker(contentsOf: rerankerURL)
    let scores = try await reranker.score(
      query: "how do swiftlets find their way?", documents: candidates,
      options: .init(instruction: "Given a question about birds, find passages that answer it"))
    return scores
  }

  static func search(_ embedder: Embedder, _ reranker: Reranker, _ passages: [String]) async throws {
    let query = "how do swiftlets find their way?"
    let vectors = try await embedder.embed(passages, as: .document)
    let vector = try await embedder.embed(query, as: .query)
    let nearest = passages.indices
      .sorted { vectors[$0].cosineSimilarity(to: vector) > vectors[$1].cosineSimilarity(to: vector) }
      .prefix(50)
    let candidates = nearest.map { passages[$0] }
    let scores = try await reranker.score(query: query, documents: candidates)
    for index in scores.indices.sorted(by: { scores[$0] > scores[$1] }).prefix(5) {
      print(scores[index], candidates[index])
    }
  }
}
