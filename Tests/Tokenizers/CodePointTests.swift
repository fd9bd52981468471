import SalanganeFiles
import SalanganeTestSupport
import SalanganeTokenizers
import Testing

/// Every code point of the planes in use, between letters, digits, marks and spaces.
@Suite struct CodePointTests {
  private static func golden(_ section: String) throws -> (starts: [UInt32], hashes: JSONValue) {
    let path = TestFiles.golden("tokenizers/code-points.json")
    let root = try JSONDocument(TestFiles.read(path), file: path).root
    return (root["starts"]!.elements.map { UInt32($0.int!) }, root[section]!)
  }

  /// The texts that `make_tokenizers.py` takes for 4096 code points.
  private static func samples(_ start: UInt32) -> [[UInt8]] {
    stride(from: start, to: start + 0x1000, by: 16).map { first in
      var text: [UInt8] = []
      for value in first..<first + 16 {
        guard let scalar = Unicode.Scalar(value) else { continue }
        let bytes = Array(String(scalar).utf8)
        text += [UInt8(ascii: "a")] + bytes + [UInt8(ascii: "1")] + bytes + [0xCC, 0x81, 0x20]
      }
      return text
    }
  }

  private static let splits = [
    "bert", "gpt-2", "qwen2", "qwen35", "llama-bpe", "deepseek-v3", "deepseek-coder", "deepseek-llm",
  ]

  @Test(arguments: splits) func piecesAreThoseOfTheLibrary(name: String) throws {
    let golden = try Self.golden("pieces")
    let split: any PreTokenizer =
      name == "bert" ? BertPreTokenizer() : try #require(SplitPatterns.preTokenizer(named: name))
    for (start, expected) in zip(golden.starts, golden.hashes[name]!.elements) {
      var hash = FNV()
      for text in Self.samples(start) {
        text.withUnsafeBufferPointer { text in
          _ = split.forEachPiece(in: text) { piece in
            hash.add(UInt8(truncatingIfNeeded: piece.count))
            hash.add(UInt8(truncatingIfNeeded: piece.count >> 8))
            return true
          }
        }
      }
      #expect("\(hash)" == expected.string!, "code points from \(String(start, radix: 16))")
    }
  }

  private static let normalizers: [(String, any Normalizer)] =
    [
      ("NFC", UnicodeNormalizer(form: .nfc)), ("NFD", UnicodeNormalizer(form: .nfd)),
      ("NFKC", UnicodeNormalizer(form: .nfkc)), ("NFKD", UnicodeNormalizer(form: .nfkd)),
      ("Lowercase", LowercaseNormalizer()), ("StripAccents", CombiningMarkRemover()),
    ]
    + (0..<16).map { flags in
      (
        "Bert\(flags)",
        BertNormalizer(
          cleansText: flags & 1 != 0, spacesIdeographs: flags & 2 != 0, stripsAccents: flags & 4 != 0,
          lowercases: flags & 8 != 0)
      )
    }

  @Test(arguments: normalizers.map(\.0)) func normalFormsAreThoseOfTheLibrary(name: String) throws {
    let golden = try Self.golden("normalized")
    let normalizer = try #require(Self.normalizers.first { $0.0 == name }).1
    for (start, expected) in zip(golden.starts, golden.hashes[name]!.elements) {
      var hash = FNV()
      for text in Self.samples(start) {
        var output: [UInt8] = []
        text.withUnsafeBufferPointer { normalizer.normalize($0, into: &output) }
        for byte in output { hash.add(byte) }
      }
      #expect("\(hash)" == expected.string!, "code points from \(String(start, radix: 16))")
    }
  }
}
