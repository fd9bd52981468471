import Foundation
import SalanganeFiles
import SalanganeTestSupport
import SalanganeTokenizers
import Testing

/// What sentencepiece, the tokenizers library and llama.cpp make of texts; written by
/// `Tests/Goldens/make_sentencepiece.py`, which can write larger sets elsewhere too.
struct SentencePieceReference: Sendable, CustomTestStringConvertible {
  var name: String
  var path: String
  var special: Bool
  var texts: [String]
  /// Nil for texts that the reference was not asked for.
  var ids: [[Int32]?]
  var decoded: [String]?

  var testDescription: String { "\(name), special tokens \(special)" }

  static let directory =
    ProcessInfo.processInfo.environment["SALANGANE_SENTENCEPIECE_CASES"] ?? TestFiles.golden("sentencepiece")

  static func all() -> [SentencePieceReference] {
    let file = directory + "/cases.json"
    guard let bytes = try? TestFiles.read(file), let root = try? JSONDocument(bytes, file: file).root else {
      return []
    }
    let texts = root["texts"]?.elements.compactMap(\.string) ?? []
    let families = root["families"]?.elements.map { $0 } ?? []
    return families.map { family in
      SentencePieceReference(
        name: family["name"]?.string ?? "", path: directory + "/" + (family["path"]?.string ?? ""),
        special: family["special"]?.bool ?? false, texts: texts,
        ids: (family["ids"]?.elements.map { $0 } ?? []).map { ids in
          ids.isNull ? nil : ids.elements.compactMap(\.int).map(Int32.init)
        },
        decoded: (family["decoded"]?.isNull ?? true)
          ? nil : family["decoded"]?.elements.compactMap(\.string))
    }
  }
}

@Test func referencesAreThere() {
  let references = SentencePieceReference.all()
  #expect(references.count >= 16)
  for reference in references {
    #expect(reference.texts.count >= 60)
    #expect(reference.ids.count == reference.texts.count)
  }
}

@Test(arguments: SentencePieceReference.all())
func sentencePieceIDsAreThoseOfTheReference(_ reference: SentencePieceReference) throws {
  let tokenizer = try TokenizerLoader.load(path: reference.path)
  let options = EncodingOptions(
    addsSpecialTokens: reference.special, recognizesAddedTokens: reference.special)
  var compared = 0
  var differences = 0
  for (text, ids) in zip(reference.texts, reference.ids) {
    guard let ids else { continue }
    compared += 1
    let found = try tokenizer.encode(text, options: options).ids
    if found == ids { continue }
    differences += 1
    if differences <= 10 {
      let escaped = text.unicodeScalars.map { $0.escaped(asASCII: true) }.joined()
      Issue.record("\(escaped): expected \(ids), found \(found)")
    }
  }
  #expect(differences == 0, "of \(compared) texts")
  #expect(compared >= 50)
}

@Test(arguments: SentencePieceReference.all().filter { $0.decoded != nil })
func sentencePieceTextsAreThoseOfTheReference(_ reference: SentencePieceReference) throws {
  let tokenizer = try TokenizerLoader.load(path: reference.path)
  var differences = 0
  for ((text, ids), decoded) in zip(zip(reference.texts, reference.ids), reference.decoded ?? []) {
    // SentencePiece drops the marks of all tokens up to the first with a text of its own: more than one
    // only where the text itself has the mark.
    guard let ids, !text.has("\u{2581}") else { continue }
    let found = try tokenizer.decode(ids)
    var stream = StreamingDetokenizer(tokenizer)
    var streamed = ""
    for id in ids { streamed += try stream.append(id) }
    streamed += stream.finish()
    #expect(Array(streamed.utf8) == Array(found.utf8))
    // Swift compares by canonical equivalence.
    if Array(found.utf8) == Array(decoded.utf8) { continue }
    differences += 1
    if differences <= 10 {
      Issue.record("\(ids): expected \(decoded.debugDescription), found \(found.debugDescription)")
    }
  }
  #expect(differences == 0)
}

@Test(arguments: ["bpe.gguf", "bpe"])
func bytesBringTextsBack(_ name: String) throws {
  let tokenizer = try TokenizerLoader.load(path: SentencePieceReference.directory + "/" + name)
  let texts = SentencePieceReference.all().first?.texts ?? []
  #expect(!texts.isEmpty)
  // A mark in the text itself can't be told from a space; and as in llama.cpp, what follows a user-defined
  // token of a GGUF file gets a space, and letters that merge to a control token become it.
  for text in texts where !text.has("\u{2581}") {
    if name == "bpe.gguf", ["->", "return", "<"].contains(where: text.has) { continue }
    let options = EncodingOptions(addsSpecialTokens: false, recognizesAddedTokens: false)
    let ids = try tokenizer.encode(text, options: options).ids
    #expect(try Array(tokenizer.decode(ids).utf8) == Array(text.utf8), "\(text.debugDescription)")
  }
}

extension String {
  /// Whether these code points occur, with marks after them or not.
  fileprivate func has(_ other: String) -> Bool { range(of: other, options: .literal) != nil }
}
