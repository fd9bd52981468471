import SalanganeFiles
import SalanganeTestSupport
import SalanganeTokenizers

/// What the tokenizers library makes of the strings in `Goldens/tokenizers` (`make_tokenizers.py`).
struct TokenizerGoldens {
  /// The families with a tokenizer.json of their own.
  static let families = [
    "bert-uncased", "bert-cased", "gpt-2", "qwen2", "qwen35", "llama-bpe", "deepseek-v3",
    "deepseek-coder", "deepseek-llm",
  ]

  static let shared = Result { try TokenizerGoldens() }

  let texts: [String]
  private let expected: JSONValue

  private init() throws {
    let path = TestFiles.golden("tokenizers/expected.json")
    let root = try JSONDocument(TestFiles.read(path), file: path).root
    texts = root["texts"]!.elements.map { $0.string! }
    expected = root["families"]!
  }

  /// The ids of every string, in the form of `compact`.
  func ids(_ family: String) -> [String] { expected[family]!["ids"]!.elements.map { $0.string! } }

  /// The hash of all results of one kind.
  func hash(_ kind: String, _ family: String) -> String { expected[family]![kind]!.string! }

  static func directory(_ family: String) throws -> ModelDirectory {
    try ModelDirectory(path: TestFiles.golden("tokenizers/\(family)"))
  }

  static func tokenizer(_ family: String) throws -> any TextTokenizer {
    try TokenizerLoader.load(directory(family))
  }

  /// Few ids as they are, many as their count and hash.
  static func compact(_ ids: [Int32]) -> String {
    if ids.count <= 40 { return ids.map(String.init).joined(separator: " ") }
    var hash = FNV()
    for id in ids { for shift in [0, 8, 16, 24] { hash.add(UInt8(truncatingIfNeeded: id >> shift)) } }
    return "\(ids.count) ids \(hash)"
  }

  /// The hash of lines put together.
  static func hash(_ lines: [String]) -> String {
    var hash = FNV()
    for byte in lines.joined(separator: "\n").utf8 { hash.add(byte) }
    return "\(hash)"
  }
}

/// FNV-1a, 64 bits wide.
struct FNV: CustomStringConvertible {
  private var state: UInt64 = 0xCBF2_9CE4_8422_2325

  mutating func add(_ byte: UInt8) { state = (state ^ UInt64(byte)) &* 0x100_0000_01B3 }

  var description: String {
    let digits = String(state, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }
}
