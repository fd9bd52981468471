import Foundation
import SalanganeTestSupport
import SalanganeTokenizers
import Testing

@Suite struct TokenizeTests {
  private let tokenizer: any TextTokenizer

  init() throws { tokenizer = try TokenizerLoader.load(path: TinyModel.directory) }

  @Test(arguments: TinyModel.texts, [[], ["--no-special"], ["--literal"], ["--no-special", "--literal"]])
  func agreesWithTheLibrary(text: String, flags: [String]) async throws {
    let options = EncodingOptions(
      addsSpecialTokens: !flags.contains("--no-special"), recognizesAddedTokens: !flags.contains("--literal"))
    let expected = try tokenizer.encode(text, options: options).ids
    for input in [nil, Array(text.utf8)] {
      let words =
        ["tokenize", "--model", TinyModel.directory] + flags + (input == nil ? [text] : ["--input", "-"])
      let result = try await Command.run(words, input: input ?? [])
      #expect(result.status == 0, "\(result.errors)")
      let row = try #require(try result.json() as? [String: Any])
      #expect(row["ids"] as? [Int32] == expected)
      #expect(row["tokens"] as? [String] == expected.compactMap { tokenizer.token(for: $0) })
    }
  }

  @Test func takesAFileAsOneText() async throws {
    let directory = try TemporaryDirectory()
    let path = try directory.write("a\r\nb\n\nc\n", to: "text")
    let result = try await Command.run(["tokenize", "--model", TinyModel.gguf, "--input", path])
    let row = try #require(try result.json() as? [String: Any])
    #expect(row["tokens"] as? [String] == ["[CLS]", "a", "b", "c", "[SEP]"])
  }

  @Test func refusesOtherEncodings() async throws {
    let result = try await Command.run(
      ["tokenize", "--model", TinyModel.gguf, "--input", "-"], input: Array("a\nb\n".utf8) + [0xC3, 0x28])
    #expect(result.status == 65)
    #expect(result.errors == "error: standard input: line 3: expected UTF-8, found other bytes\n")
  }

  /// llama.cpp doesn't compose characters as the tokenizers of Qwen ask.
  @Test func literalTextsKeepTheirForm() async throws {
    let path = TestFiles.golden("tokenizers/qwen2")
    let tokenizer = try TokenizerLoader.load(path: path)
    let text = "re\u{301}sume\u{301}"
    let raw = EncodingOptions(recognizesAddedTokens: false, normalizesText: false)
    for (flags, expected) in [
      ([], try tokenizer.encode(text).ids), (["--literal"], try tokenizer.encode(text, options: raw).ids),
    ] {
      let result = try await Command.run(["tokenize", "--model", path, text] + flags)
      let row = try #require(try result.json() as? [String: Any])
      #expect(row["ids"] as? [Int32] == expected)
    }
    #expect(try tokenizer.encode(text).ids != tokenizer.encode(text, options: raw).ids)
  }

  @Test(arguments: [["2,26", "3"], ["2", "26", "3"], ["2, 26,3"]])
  func detokenizes(ids: [String]) async throws {
    let letter = try #require(tokenizer.token(for: 26))
    let plain = try await Command.run(["detokenize", "--model", TinyModel.directory] + ids)
    #expect(plain.status == 0, "\(plain.errors)")
    #expect(plain.text == letter + "\n")
    let special = try await Command.run(["detokenize", "--special", "--model", TinyModel.directory] + ids)
    #expect(special.text == "[CLS] \(letter) [SEP]\n")
  }
}
