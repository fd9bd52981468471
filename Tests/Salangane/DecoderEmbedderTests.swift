import Foundation
import Salangane
import SalanganeFiles
import SalanganeTestSupport
import Testing

/// A tiny model in the form of Qwen3-Embedding: `Tests/Goldens/make_rerankers.py` makes it.
@Suite struct DecoderEmbedderTests {
  static let urls = ["embedding", "embedding.gguf"].map {
    URL(fileURLWithPath: TestFiles.golden("rerankers/" + $0))
  }
  static let query =
    "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery:"

  @Test(arguments: urls, InstructionSet.available)
  func vectorsOfSentenceTransformers(url: URL, set: InstructionSet) async throws {
    let texts = try AnswerGolden.inputs().texts
    let arrays = try AnswerGolden.arrays("embedding")
    let embedder = try await Embedder(contentsOf: url, options: .init(instructionSet: set))
    #expect(embedder.pooling == .last && embedder.normalizes && embedder.maximumLength == 96)
    // GGUF has no prompts: there a caller writes them out.
    let role: EmbeddingRole = url.pathExtension == "gguf" ? .text(Self.query) : .query
    for (name, role, options) in [
      ("plain", .plain, EmbeddingOptions()), ("query", role, EmbeddingOptions()),
      ("short", .document, EmbeddingOptions(dimensions: 12)),
    ] {
      let vectors = try await embedder.embed(texts, as: role, options: options)
      let expected = try arrays[name].floats()
      #expect(vectors.values.count == expected.count)
      #expect(worstDifference(vectors.values, expected) < 1e-5, "\(name)")
      for row in 0..<vectors.count {
        #expect(abs(vectors[row].reduce(0) { $0 + $1 * $1 } - 1) < 1e-5)
      }
      #expect(vectors.isTruncated.filter { $0 }.count == 2)
      #expect(vectors.tokenCounts.max() == 96)
    }
  }

  /// A text that is cut off is the text of its first tokens, and the end token.
  @Test(arguments: urls)
  func truncationKeepsTheEndToken(url: URL) async throws {
    let embedder = try await Embedder(contentsOf: url)
    let text = "one swiftlet and two swiftlets find their way"
    let ids = try embedder.tokenizer.encode(text).ids
    let end = try #require(embedder.tokenizer.id(for: "<|endoftext|>"))
    #expect(ids.last == end && ids.count > 9)
    let cut = try await embedder.embed([text], options: .init(maximumLength: 9))
    #expect(cut.isTruncated == [true] && cut.tokenCounts == [9])
    #expect(
      try await embedder.embed(tokens: [ids.prefix(8) + [end]])
        == Embeddings(
          values: cut.values, dimensions: 40, tokenCounts: [9], isTruncated: [false]))
    // The empty text is its end token.
    #expect(try await embedder.embed([""]).values == embedder.embed(tokens: [[end]]).values)
  }

  /// The vector of a text has the same bits alone and beside others, whatever the pooling.
  @Test(arguments: Pooling.allCases)
  func aloneOrAmongOthers(pooling: Pooling) async throws {
    let texts = try AnswerGolden.inputs().texts
    let options = EmbeddingOptions(pooling: pooling)
    let one = try await Embedder(contentsOf: Self.urls[0], options: .init(threads: 1, batchTokens: 1))
    let many = try await Embedder(contentsOf: Self.urls[0], options: .init(threads: 2))
    let vectors = try await many.embed(texts, options: options)
    #expect(try await one.embed(texts, options: options) == vectors)
  }

  /// Without sentence-transformers' files a causal model's vector is its last token's.
  @Test func lastTokenWithoutModules() async throws {
    let directory = try TemporaryDirectory()
    for name in ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"] {
      try directory.write(TestFiles.read(Self.urls[0].path + "/" + name), to: name)
    }
    let embedder = try await Embedder(contentsOf: URL(fileURLWithPath: directory.path))
    #expect(embedder.pooling == .last && !embedder.normalizes)
  }
}
