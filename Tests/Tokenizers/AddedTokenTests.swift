import SalanganeFiles
import SalanganeTestSupport
import SalanganeTokenizers
import Testing

@Suite struct AddedTokenTests {
  /// A byte-level tokenizer whose ids below 256 are the bytes themselves.
  private static func tokenizer(added: String, normalizer: String = "null") throws -> any TextTokenizer {
    var next: UInt32 = 0x100
    let vocabulary = (0..<256).map { (byte: UInt32) -> String in
      var scalar = byte
      switch byte {
      case 0x21...0x7E, 0xA1...0xAC, 0xAE...0xFF: break
      default:
        scalar = next
        next += 1
      }
      return JSONString.encode(String(Unicode.Scalar(scalar)!)) + ":\(byte)"
    }
    let directory = try TemporaryDirectory()
    try directory.write(
      """
      {"added_tokens":\(added),"normalizer":\(normalizer),"decoder":{"type":"ByteLevel"},
      "pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false,"use_regex":false},
      "model":{"type":"BPE","vocab":{\(vocabulary.joined(separator: ","))},"merges":[]}}
      """, to: "tokenizer.json")
    return try TokenizerLoader.load(path: directory.path)
  }

  private static let added = #"""
    [{"id":256,"content":"<m>","lstrip":true},{"id":257,"content":"<r>","rstrip":true},
    {"id":258,"content":"wd","single_word":true},{"id":259,"content":"Name","normalized":true},
    {"id":260,"content":"<m><r>"},{"id":261,"content":"\n ","lstrip":true,"rstrip":true}]
    """#

  /// The ids are those of tokenizers 0.23.3.
  @Test(
    arguments: [
      ("a <m> b", [97, 256, 32, 98]),
      ("a <r>  b", [97, 32, 257, 98]),
      (
        "wd awd wd-wd wd_ wd\u{E9}",
        [258, 32, 97, 119, 100, 32, 258, 45, 258, 32, 119, 100, 95, 32, 119, 100, 195, 169]
      ),
      ("NAME name nAmEs", [259, 32, 259, 32, 259, 115]),
      ("<m><r> <m> <r>", [260, 256, 32, 257]),
      (" \n  <m>", [261, 256]),
      ("<r> <m>", [257, 256]),
      ("x\n \n <r> \u{3000}y", [120, 261, 257, 121]),
      ("  \n   \n  ", [261]),
    ] as [(String, [Int32])])
  func flagsAreThoseOfTheLibrary(text: String, expected: [Int32]) throws {
    let tokenizer = try Self.tokenizer(added: Self.added, normalizer: #"{"type":"Lowercase"}"#)
    #expect(try tokenizer.encode(text).ids == expected)
    let literal = EncodingOptions(recognizesAddedTokens: false)
    #expect(try tokenizer.encode(text, options: literal).ids.allSatisfy { $0 < 256 })
  }

  /// Skipping it anew for each of the matches would take hours.
  @Test(.timeLimit(.minutes(10)))
  func whiteSpaceIsSkippedOnce() throws {
    let tokenizer = try Self.tokenizer(added: #"[{"id":256,"content":" ","lstrip":true,"rstrip":true}]"#)
    #expect(try tokenizer.encode(String(repeating: " ", count: 1_000_000)).ids == [256])
  }

  @Test func normalizationCanBeLeftOut() throws {
    let tokenizer = try Self.tokenizer(added: "[]", normalizer: #"{"type":"NFC"}"#)
    #expect(try tokenizer.encode("e\u{301}").ids == [0xC3, 0xA9])
    let raw = EncodingOptions(normalizesText: false)
    #expect(try tokenizer.encode("e\u{301}", options: raw).ids == [0x65, 0xCC, 0x81])
  }
}
