import Foundation
import Salangane
import SalanganeTokenizers

/// This repository, whose small test models are at hand without a download.
private let repository = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
  .deletingLastPathComponent().deletingLastPathComponent()

/// Some of the repository's own text.
private let text: @Sendable () throws -> String = {
  try String(contentsOf: repository.appending(path: "Docs/Command.md"), encoding: .utf8)
}

/// Bytes of text that tokenizers encode, or make of tokens: a byte counts as a multiply-add, to have the CPU's speed
/// in it.
func registerTokenizers() {
  for (name, path) in tokenizers {
    registerShare("tokenizer \(name): encoding") {
      let tokenizer = try TokenizerLoader.load(path: repository.appending(path: path).path)
      let text = try text()
      return ClosureWork(ceiling: "f32", amount: Double(text.utf8.count)) { _ = try tokenizer.encode(text) }
    }
    registerShare("tokenizer \(name): decoding") {
      let tokenizer = try TokenizerLoader.load(path: repository.appending(path: path).path)
      let text = try text()
      let ids = try tokenizer.encode(text).ids
      return ClosureWork(ceiling: "f32", amount: Double(text.utf8.count)) { _ = try tokenizer.decode(ids) }
    }
  }
}

private let tokenizers = [
  ("WordPiece", "Tests/Goldens/tokenizers/bert-uncased"),
  ("byte-level BPE", "Tests/Goldens/tokenizers/qwen2"),
  ("SentencePiece BPE", "Tests/Goldens/sentencepiece/bpe-metaspace"),
  ("SentencePiece unigram", "Tests/Goldens/sentencepiece/unigram-new"),
]

/// Loading, and the first vector: bytes of the small test model, in files of both kinds.
func registerLoading() {
  for (name, path) in [("safetensors", "bert/wide"), ("GGUF", "bert/wide-f32.gguf")] {
    registerShare("loading \(name)") {
      let url = repository.appending(path: "Tests/Goldens/\(path)")
      return ClosureWork(ceiling: "f32", amount: 300_000) {
        let embedder = try await Embedder(contentsOf: url)
        _ = try await embedder.embed(tokens: [[2, 5, 3]])
      }
    }
  }
}
