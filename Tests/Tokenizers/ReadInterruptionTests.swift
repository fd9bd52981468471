import SalanganeFiles
import SalanganeTestSupport
import SalanganeTokenizers
import Synchronization
import Testing

/// Vocabularies that take several looks to read.
enum LargeVocabulary: String, CaseIterable, Sendable {
  case wordPieceJSON, bytePairJSON, unigramJSON, text, bytePairProto, unigramProto, wordPieceGGUF,
    bytePairGGUF
  case sentencePieceGGUF, unigramGGUF

  /// All words of one to three letters, the short ones first.
  private static let words: [String] = {
    let letters = (0..<26).map { String(UnicodeScalar(UInt8(ascii: "a") + $0)) }
    let pairs = letters.flatMap { first in letters.map { first + $0 } }
    return letters + pairs + pairs.flatMap { first in letters.map { first + $0 } }
  }()

  private static var merges: [(String, String)] {
    words.lazy.filter { $0.count > 1 }.map { (String($0.dropLast()), String($0.suffix(1))) }
  }

  private static var names: [String] { ["[UNK]", "[CLS]", "[SEP]"] + words }

  /// Writes it.
  ///
  /// - Returns: What to load.
  func write(to directory: TemporaryDirectory) throws -> String {
    switch self {
    case .wordPieceJSON:
      let entries = Self.names.enumerated().map { "\"\($1)\":\($0)" }.joined(separator: ",")
      return try json(#"{"type":"WordPiece","unk_token":"[UNK]","vocab":{\#(entries)}}"#, directory)
    case .bytePairJSON:
      let entries = Self.words.enumerated().map { "\"\($1)\":\($0)" }.joined(separator: ",")
      let merges = Self.merges.map { "\"\($0) \($1)\"" }.joined(separator: ",")
      return try json(
        #"{"type":"BPE","vocab":{\#(entries)},"merges":[\#(merges)]}"#, directory,
        #","pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false},"decoder":{"type":"ByteLevel"}"#)
    case .unigramJSON:
      let entries = Self.names.enumerated().map { "[\"\($1)\",-\($0)]" }.joined(separator: ",")
      return try json(#"{"type":"Unigram","unk_id":0,"vocab":[\#(entries)]}"#, directory)
    case .text:
      try directory.write(Self.names.joined(separator: "\n"), to: "vocab.txt")
      return directory.path
    case .bytePairProto, .unigramProto:
      let bytes = ModelProtoBuilder.model(kind: self == .bytePairProto ? 2 : 1) { model in
        for (index, word) in Self.words.enumerated() where word.count > 1 && word != "ab" {
          model.addPiece(word, score: -Float(index) - 10)
        }
        for word in Self.words where word.count == 1 && word != "a" && word != "b" {
          model.addPiece(word, score: -5)
        }
      }
      try directory.write(bytes, to: "tokenizer.model")
      return directory.path
    case .wordPieceGGUF: return try gguf("bert", names: Self.names, directory)
    case .bytePairGGUF: return try gguf("gpt2", names: Self.words, directory)
    case .sentencePieceGGUF: return try gguf("llama", names: Self.names, directory)
    case .unigramGGUF: return try gguf("t5", names: Self.names, directory)
    }
  }

  private func json(_ model: String, _ directory: TemporaryDirectory, _ more: String = "") throws -> String {
    try directory.write(#"{"version":"1.0","model":\#(model)\#(more)}"#, to: "tokenizer.json")
    return directory.path
  }

  private func gguf(_ model: String, names: [String], _ directory: TemporaryDirectory) throws -> String {
    var writer = GGUFWriter()
    writer.set("general.architecture", .string("bert"))
    writer.set("tokenizer.ggml.model", .string(model))
    writer.set("tokenizer.ggml.tokens", .array(GGUFArray(names)))
    let types = names.map { $0.hasPrefix("[") ? Int32(3) : 1 }
    writer.set("tokenizer.ggml.token_type", .array(GGUFArray(types)))
    for (key, id) in [("unknown", 0), ("cls", 1), ("seperator", 2), ("eos", 2)] {
      writer.set("tokenizer.ggml.\(key)_token_id", .uint32(UInt32(id)))
    }
    writer.set("tokenizer.ggml.add_bos_token", .bool(false))
    if model == "gpt2" {
      writer.set("tokenizer.ggml.pre", .string("qwen2"))
      writer.set("tokenizer.ggml.merges", .array(GGUFArray(Self.merges.map { "\($0) \($1)" })))
    } else {
      writer.set("tokenizer.ggml.scores", .array(GGUFArray(names.indices.map { -Float($0) })))
    }
    try writer.write(to: directory.path("vocabulary.gguf")) { _, _ in }
    return directory.path("vocabulary.gguf")
  }
}

@Suite struct ReadInterruptionTests {
  /// Counts the looks, and wants the end from one of them on.
  private final class Looks: Sendable {
    let count = Atomic<Int>(0)
    let last: Int

    init(last: Int = .max) { self.last = last }

    func callAsFunction() -> Bool { count.wrappingAdd(1, ordering: .relaxed).newValue >= last }
  }

  /// Wherever reading is interrupted, it ends with an error, after hardly a further look, and never with a part of a
  /// tokenizer.
  @Test(arguments: LargeVocabulary.allCases) func readingEndsEarly(vocabulary: LargeVocabulary) throws {
    let directory = try TemporaryDirectory()
    let path = try vocabulary.write(to: directory)
    let all = Looks()
    let tokenizer = try ReadInterruption.withRequest({ all() }) {
      try TokenizerLoader.load(path: path)
    }
    #expect(tokenizer.vocabularySize > 4 * ReadInterruption.interval)
    // WordPiece in GGUF spells tokens within words without a mark, and these become marked.
    #expect((tokenizer.id(for: "zzz") ?? tokenizer.id(for: "##zzz")) != nil)
    let looks = all.count.load(ordering: .relaxed)
    #expect(looks > 4)
    for last in 1...looks {
      let some = Looks(last: last)
      _ = ReadInterruption.withRequest({ some() }) {
        #expect(throws: ModelFileError.self) { try TokenizerLoader.load(path: path) }
      }
      let excess = some.count.load(ordering: .relaxed) - last
      #expect(excess <= 3, "\(excess) more looks after look \(last) of \(looks)")
    }
  }

  /// A file that is read and not mapped is read in parts.
  @Test func filesAreReadInParts() throws {
    let directory = try TemporaryDirectory()
    let path = try directory.write([UInt8](repeating: 1, count: 40 << 20), to: "file")
    for isMapped in [true, false] {
      let looks = Looks(last: 1)
      ReadInterruption.withRequest({ looks() }) {
        if isMapped {
          #expect(throws: Never.self) { _ = try FileBytes(path: path, mapped: true) }
        } else {
          #expect(throws: ModelFileError.self) { _ = try FileBytes(path: path, mapped: false) }
        }
      }
      #expect(looks.count.load(ordering: .relaxed) == (isMapped ? 0 : 1))
    }
  }
}
