import Foundation
import SalanganeFiles
import SalanganeTestSupport
import SalanganeTokenizers
import Testing

/// Random strings with what the tokenizers library makes of them; `Scripts/fuzz-tokenizers` writes them to a
/// directory and runs this.
@Suite struct TokenizerFuzzTests {
  private static let directory = ProcessInfo.processInfo.environment["SALANGANE_TOKENIZER_FUZZ"]

  private static var files: [String] {
    guard let directory else { return [] }
    let names = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
    return names.sorted().map { directory + "/" + $0 }
  }

  @Test(.enabled(if: directory != nil, "run by Scripts/fuzz-tokenizers"), arguments: files)
  func randomStringsAreSplitAlike(file: String) throws {
    let root = try JSONDocument(TestFiles.read(file), file: file).root
    func texts(_ key: String) -> [String] { root[key]!.elements.map { $0.string! } }
    func ids(_ key: String) -> [[Int32]] {
      root[key]!.elements.map { $0.elements.map { Int32($0.int!) } }
    }
    let model = root["model"]!.string!
    let tokenizer = try TokenizerLoader.load(path: model)
    let strings = texts("texts")
    try #require(!strings.isEmpty)
    var differences = 0
    func compare<Value: Equatable>(_ found: Value, _ expected: Value, _ input: String) {
      guard found != expected else { return }
      differences += 1
      if differences <= 5 { Issue.record("\(model): \(input): expected \(expected), found \(found)") }
    }
    for (text, expected) in zip(strings, ids("ids")) {
      let found = try tokenizer.encode(text, options: EncodingOptions(addsSpecialTokens: false)).ids
      compare(found, expected, "\(text.unicodeScalars.map(\.value))")
    }
    for (text, expected) in zip(strings, ids("special")) {
      compare(try tokenizer.encode(text).ids, expected, "\(text.unicodeScalars.map(\.value))")
    }
    let sequences = ids("sequences")
    for (sequence, expected) in zip(sequences, texts("decoded")) {
      let found = try tokenizer.decode(sequence, skippingSpecialTokens: false)
      compare(Array(found.utf8), Array(expected.utf8), "\(sequence)")
    }
    print("\(model): \(strings.count) strings, \(sequences.count) sequences, \(differences) differences")
  }
}
