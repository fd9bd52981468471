import Foundation
import Salangane
import SalanganeKernels
import SalanganeTestSupport
import Testing

/// The code in the guides is code that compiles: each block stands in a source file, line by line.
@Suite struct GuideTests {
  static let root = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

  /// A guide, and the files or folders that its code is from.
  struct Guide: CustomTestStringConvertible, Sendable {
    let name: String
    let sources: [String]
    var testDescription: String { name }
  }

  static let guides = [
    Guide(name: "Generate.md", sources: ["Tests/Salangane/GuideSnippets.swift"]),
    Guide(name: "Embed-Qwen3.md", sources: ["Tests/Salangane/GuideSnippets.swift"]),
    Guide(
      name: "Add-an-Architecture.md",
      sources: [
        "Sources/ModelGraph/Architectures/Qwen2.swift", "Sources/ModelGraph/Architectures/Qwen.swift",
        "Sources/ModelGraph/Architectures/GLM4.swift", "Sources/ModelGraph/Architectures/Llama.swift",
        "Sources/ModelGraph/ArchitectureRegistry.swift", "Tests/ModelGraph/DecoderGoldenTests.swift",
      ]),
    Guide(name: "Quantize.md", sources: ["Tests/Salangane/GuideSnippets.swift"]),
    Guide(
      name: "Add-a-Kernel.md",
      sources: [
        "Tests/Salangane/GuideSnippets.swift", "Sources/Kernels/PackedCodes.swift",
        "Sources/Kernels/PackedScales.swift", "Sources/Kernels/PackedFormats.swift",
        "Sources/Kernels/QuantizedKernels.swift", "Sources/Quantization/Q4_0.swift",
      ]),
  ]

  static func text(_ path: String) throws -> String {
    String(decoding: try TestFiles.read(root.appendingPathComponent(path).path), as: UTF8.self)
  }

  /// Lines without their indentation.
  static func lines(_ text: some StringProtocol) -> String {
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    return lines.map { $0.trimmingCharacters(in: .whitespaces) }.joined(separator: "\n")
  }

  @Test(arguments: guides)
  func codeIsCompiled(guide: Guide) throws {
    let sources = try guide.sources.map { "\n" + Self.lines(try Self.text($0)) + "\n" }
    let parts = try Self.text("Docs/" + guide.name).components(separatedBy: "\n```swift\n").dropFirst()
    #expect(parts.count >= 5)
    for part in parts {
      let end = try #require(part.range(of: "\n```\n"))
      let block = Self.lines(part[..<end.lowerBound])
      #expect(sources.contains { $0.contains("\n" + block + "\n") }, "in no source:\n\(block)")
    }
  }

  @Test func quantising() async throws {
    let directory = try TemporaryDirectory()
    let source = URL(fileURLWithPath: TestFiles.golden("bert/wide-f32.gguf"))
    let file = URL(fileURLWithPath: directory.path("model.gguf"))
    let quantizer = try await GuideSnippets.quantize(source, to: file)
    let bits = GuideSnippets.bitsPerWeight(quantizer)
    #expect(bits > 4 && bits < 32)
    let again = try await GuideSnippets.again(file)
    #expect(again.byteCount > 0)
    let tokens = [[Int32(5), 6, 7, 8]]
    let exact = try await GuideSnippets.exact(file).embed(tokens: tokens)
    #expect(exact.values.allSatisfy { $0.isFinite })
    let rounded = try await GuideSnippets.eightBits(source).embed(tokens: tokens)
    #expect(rounded.values.count == exact.values.count && rounded.values != exact.values)
  }

  @Test(arguments: InstructionSet.available)
  func kernels(set: InstructionSet) throws {
    #expect(try GuideSnippets.holdAgainstPortable(set) < 1e-6)
  }

  @Test func generating() async throws {
    let url = GenerationGolden.url
    try await GuideSnippets.stream(url)
    var options = GuideSnippets.options()
    options.maximumTokens = 10
    let model = try await GuideSnippets.memory(url, contextLength: 300)
    #expect(model.contextLength == 300)
    try await GuideSnippets.summary(model, options)
    let texts = try await GuideSnippets.together(model, options, ["swift", "a bird", "a language"])
    let text = try await model.generate("a bird", options: options).summary().text
    #expect(texts[1] == text)
    let conversation = try await GuideSnippets.conversation(model, options, ["Where?", "And why?"])
    #expect(conversation.contains("And why?"))
    let document = String(repeating: "Swiftlets nest in caves. ", count: 12)
    let cache = try await GuideSnippets.share(model, options, document, ["Where?", "And why?"])
    #expect(cache.tokenCount > 0)
    let directory = try TemporaryDirectory()
    let file = URL(fileURLWithPath: directory.path("prompts.cache"))
    #expect(try GuideSnippets.restore(file, model).tokenCount == 0)
    try GuideSnippets.save(cache, to: file)
    #expect(try GuideSnippets.restore(file, model).tokenCount == cache.tokenCount)
    // What is written between special tokens is text.
    let answer = try await GuideSnippets.literalText(model, options, "a<|im_end|>")
    #expect(answer.promptTokens > (try model.tokenizer.encode("<|im_start|>user\na<|im_end|>").ids.count))
    let golden = try GenerationGolden()
    let perplexity = try await GuideSnippets.perplexity(model, golden.prompt)
    #expect(perplexity.isFinite && perplexity > 1)
  }

  @Test func searching() async throws {
    let url = DecoderEmbedderTests.urls[0]
    let embedder = try await Embedder(contentsOf: url)
    let passages = ["a bird", "a language", "swiftlets click"]
    #expect(try await GuideSnippets.embed(url, passages) == embedder.embed(passages))
    #expect(try await GuideSnippets.instruct(embedder).count == 40)
    // The guide's 256 dimensions are more than the tiny model has.
    await #expect(throws: EmbeddingError.self) { try await GuideSnippets.shorten(embedder, passages) }
    #expect(try await GuideSnippets.rerank(AnswerGolden.all[0].url, passages).count == 3)
    let reranker = try await Reranker(contentsOf: AnswerGolden.all[0].url)
    try await GuideSnippets.search(embedder, reranker, passages)
  }
}
