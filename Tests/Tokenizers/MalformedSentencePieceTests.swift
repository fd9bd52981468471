import SalanganeFiles
import SalanganeTestSupport
import SalanganeTokenizers
import Testing

private typealias Builder = ModelProtoBuilder

/// A file that must be refused.
struct MalformedSentencePieceModel: Sendable, CustomTestStringConvertible {
  var testDescription: String
  var bytes: [UInt8]
  var kind = ModelFileError.Kind.malformed
  /// A part of the message.
  var message: String

  static let all: [MalformedSentencePieceModel] = [
    MalformedSentencePieceModel(testDescription: "empty", bytes: [], message: "expected at least one piece"),
    MalformedSentencePieceModel(
      testDescription: "truncated", bytes: Array(Builder.model().dropLast(3)), message: "bytes left, found"),
    MalformedSentencePieceModel(
      testDescription: "huge length", bytes: [0x0A] + Builder.varint(1 << 62),
      message: "expected a length of at most"),
    MalformedSentencePieceModel(
      testDescription: "overlong varint", bytes: [0x10] + Array(repeating: 0xFF, count: 11),
      message: "at most 64 bits"),
    MalformedSentencePieceModel(
      testDescription: "unfinished varint", bytes: [0x10, 0x80], message: "found the end"),
    MalformedSentencePieceModel(
      testDescription: "field 0", bytes: [0x02, 0x00], message: "expected a field number"),
    MalformedSentencePieceModel(testDescription: "group", bytes: [0x0B], message: "expected a wire type"),
    MalformedSentencePieceModel(
      testDescription: "piece as integer", bytes: [0x08, 0x01], message: "expected bytes, found a varint"),
    MalformedSentencePieceModel(
      testDescription: "score NaN", bytes: Builder.model { $0.addPiece("c", score: .nan) },
      message: "pieces[5], field 2: expected a finite score"),
    MalformedSentencePieceModel(
      testDescription: "infinite score", bytes: Builder.model { $0.addPiece("c", score: -.infinity) },
      message: "expected a finite score"),
    MalformedSentencePieceModel(
      testDescription: "type", bytes: Builder.model { $0.addPiece("c", type: 1 << 40) },
      message: "expected a type from 1 to 6"),
    MalformedSentencePieceModel(
      testDescription: "empty piece", bytes: Builder.model { $0.addPiece("") },
      message: "a piece that isn't empty"),
    MalformedSentencePieceModel(
      testDescription: "same piece twice", bytes: Builder.model { $0.addPiece("ab") }, message: "only once"),
    MalformedSentencePieceModel(
      testDescription: "piece not UTF-8",
      bytes: Builder.model { $0.add(1) { $0.add(1, bytes: [0xE2, 0x96]) } },
      message: "expected a text in UTF-8"),
    MalformedSentencePieceModel(
      testDescription: "no unknown piece",
      bytes: {
        var model = ModelProtoBuilder()
        model.addPiece("a")
        return model.bytes
      }(), message: "expected one unknown piece, found 0"),
    MalformedSentencePieceModel(
      testDescription: "two unknown pieces", bytes: Builder.model { $0.addPiece("?", type: 2) },
      message: "expected one unknown piece, found 2"),
    MalformedSentencePieceModel(
      testDescription: "byte without fallback", bytes: Builder.model { $0.addPiece("<0x41>", type: 6) },
      message: "expected no bytes"),
    MalformedSentencePieceModel(
      testDescription: "no byte", bytes: Builder.model { $0.addPiece("A", type: 6) },
      message: "expected a byte like"),
    MalformedSentencePieceModel(
      testDescription: "bytes missing",
      bytes: Builder.model(
        pieces: { model in for byte in 0..<255 { model.addPiece("<0x\(hex(byte))>", type: 6) } },
        trainer: { $0.add(35, varint: 1) }), message: "found no <0xFF>"),
    MalformedSentencePieceModel(
      testDescription: "model type", bytes: Builder.model(kind: 9),
      message: "expected a model type from 1 to 4"),
    MalformedSentencePieceModel(
      testDescription: "words", bytes: Builder.model(kind: 3), kind: .unsupported,
      message: "expected a unigram or BPE model"),
    MalformedSentencePieceModel(
      testDescription: "spaces behind words", bytes: Builder.model(trainer: { $0.add(24, varint: 1) }),
      kind: .unsupported, message: "expected spaces before words"),
    MalformedSentencePieceModel(
      testDescription: "unused merge", bytes: Builder.model { $0.addPiece("ba", type: 5) },
      kind: .unsupported,
      message: "found unused \"ba\""),
    MalformedSentencePieceModel(
      testDescription: "map too short", bytes: Builder.model(normalizer: { $0.add(2, bytes: [1, 0, 0]) }),
      message: "expected a compiled map"),
    MalformedSentencePieceModel(
      testDescription: "map beyond its end",
      bytes: Builder.model(normalizer: { $0.add(2, bytes: [255, 255, 255, 127, 0, 0, 0, 0, 0]) }),
      message: "expected a compiled map"),
    MalformedSentencePieceModel(
      testDescription: "map to other bytes",
      bytes: Builder.model(normalizer: { $0.add(2, bytes: Builder.characterMap([0], [0xFF, 0])) }),
      message: "expected a map to texts in UTF-8"),
  ]
}

private func hex(_ byte: Int) -> String {
  let digits = String(byte, radix: 16, uppercase: true)
  return digits.count == 1 ? "0" + digits : digits
}

@Test(arguments: MalformedSentencePieceModel.all)
func malformedSentencePieceModelsAreRefused(_ model: MalformedSentencePieceModel) throws {
  let directory = try TemporaryDirectory()
  try directory.write(model.bytes, to: "tokenizer.model")
  let error = try #require(throws: ModelFileError.self) { try TokenizerLoader.load(path: directory.path) }
  #expect(error.kind == model.kind)
  #expect(error.description.contains(model.message), "\(error)")
  #expect(error.description.contains("tokenizer.model"))
  #expect(!error.description.contains("\n"))
}

@Test func smallModelsAreRead() throws {
  let directory = try TemporaryDirectory()
  try directory.write(ModelProtoBuilder.model(), to: "tokenizer.model")
  let tokenizer = try TokenizerLoader.load(path: directory.path)
  #expect(try tokenizer.encode("ab ba").ids == [1, 4, 1, 3, 2])
  #expect(try tokenizer.encode("xyz b").ids == [1, 0, 1, 3])
  #expect(try tokenizer.decode([1, 4, 1, 3]) == "ab b")
}

/// A quadratic algorithm would take hours.
@Test(.timeLimit(.minutes(10)), arguments: ["bpe", "bpe-legacy", "bpe.gguf", "unigram", "unigram-new"])
func longRunsOfACharacterAreSplitInGoodTime(_ name: String) throws {
  let tokenizer = try TokenizerLoader.load(path: TestFiles.golden("sentencepiece/" + name))
  let text = String(repeating: "a", count: 300_000)
  #expect(try tokenizer.decode(tokenizer.encode(text).ids) == text)
}

/// Every unit of the first map leads to every other, in a circle; the second leads out of the array.
@Test(arguments: [
  (0..<256).map { UInt32($0) | 0x100 }, [UInt32](repeating: 0x7FFF_FE61, count: 256),
  [UInt32](repeating: 0x0000_0161, count: 256),
])
func damagedMapsAreHarmless(_ units: [UInt32]) throws {
  let directory = try TemporaryDirectory()
  let map = ModelProtoBuilder.characterMap(units, Array("é\u{0}a".utf8))
  for kind: UInt64 in [1, 2] {
    try directory.write(
      ModelProtoBuilder.model(kind: kind, normalizer: { $0.add(2, bytes: map) }), to: "tokenizer.model")
    let tokenizer = try TokenizerLoader.load(path: directory.path)
    for text in [
      "a", "ab é\u{301} 鳥", String(repeating: "a", count: 20_000), String(repeating: "é", count: 500),
    ] {
      let ids = try tokenizer.encode(text).ids
      #expect(ids.allSatisfy { $0 >= 0 && $0 < tokenizer.vocabularySize })
      _ = try tokenizer.decode(ids)
    }
  }
}

/// Damaged files are refused with an error, or make some tokenizer that works.
@Test(arguments: ["bpe/tokenizer.model", "unigram/tokenizer.model", "bpe.gguf", "unigram.gguf"])
func damagedSentencePieceFilesAreHarmless(_ name: String) throws {
  let original = try TestFiles.read(TestFiles.golden("sentencepiece/" + name))
  let directory = try TemporaryDirectory()
  let isGGUF = name.hasSuffix("gguf")
  let file = isGGUF ? "damaged.gguf" : "tokenizer.model"
  var random = SplitMix64(seed: 7)
  var loaded = 0
  var refused = 0
  for round in 0..<60 {
    var bytes = original
    if round % 4 == 0 { bytes.removeLast(Int(random.next() % UInt64(bytes.count))) }
    for _ in 0..<(round % 4 == 0 ? 0 : 1 + round % 3) where !bytes.isEmpty {
      bytes[Int(random.next() % UInt64(bytes.count))] = UInt8(truncatingIfNeeded: random.next())
    }
    try directory.write(bytes, to: file)
    do {
      let tokenizer = try TokenizerLoader.load(path: isGGUF ? directory.path(file) : directory.path)
      let ids = try tokenizer.encode("The bird  é\u{301}A-B\u{FDFA} -> 鳥\u{1F426}\n aaaa").ids
      #expect(ids.allSatisfy { $0 >= 0 && $0 < tokenizer.vocabularySize })
      _ = try tokenizer.decode(ids)
      loaded += 1
    } catch let error as ModelFileError {
      #expect(!error.description.contains("\n"))
      refused += 1
    }
  }
  #expect(loaded > 0)
  #expect(refused > 0)
}

// MARK: GGUF

/// One key of the GGUF file of a small model, and what it must not be.
struct MalformedSentencePieceKey: Sendable, CustomTestStringConvertible {
  var testDescription: String
  var model = "llama"
  var key: String
  var value: GGUFValue
  var message: String

  static let all: [MalformedSentencePieceKey] = [
    MalformedSentencePieceKey(
      testDescription: "score NaN", key: "scores",
      value: .array(GGUFArray([0, -1, .nan, -3, -4] as [Float])),
      message: "expected finite scores, found nan for token 2"),
    MalformedSentencePieceKey(
      testDescription: "too few scores", key: "scores", value: .array(GGUFArray([0, -1] as [Float])),
      message: "expected an array of 5 float32"),
    MalformedSentencePieceKey(
      testDescription: "scores of another type", key: "scores",
      value: .array(GGUFArray([0, 1, 2, 3, 4] as [Int32])), message: "expected an array of 5 float32"),
    MalformedSentencePieceKey(
      testDescription: "types", key: "token_type", value: .array(GGUFArray([2, 1, 1, 1, 9] as [Int32])),
      message: "expected types from 0 to 6"),
    MalformedSentencePieceKey(
      testDescription: "id out of range", key: "bos_token_id", value: .uint32(5),
      message: "expected a token id below 5"),
    MalformedSentencePieceKey(
      testDescription: "no beginning", key: "add_bos_token", value: .bool(true),
      message: "expected the id of the token that begins a text"),
    MalformedSentencePieceKey(
      testDescription: "no unknown token", model: "t5", key: "token_type",
      value: .array(GGUFArray([1, 1, 1, 1, 1] as [Int32])), message: "expected the id of the unknown token"),
    MalformedSentencePieceKey(
      testDescription: "map of other values", model: "t5", key: "precompiled_charsmap", value: .string("x"),
      message: "expected an array of bytes"),
    MalformedSentencePieceKey(
      testDescription: "damaged map", model: "t5", key: "precompiled_charsmap",
      value: .array(GGUFArray([8, 0, 0, 0, 1] as [UInt8])), message: "expected a compiled map"),
  ]
}

@Test(arguments: MalformedSentencePieceKey.all)
func malformedSentencePieceGGUFIsRefused(_ key: MalformedSentencePieceKey) throws {
  let directory = try TemporaryDirectory()
  var writer = GGUFWriter()
  func set(_ name: String, _ value: GGUFValue) { writer.set("tokenizer.ggml." + name, value) }
  set("model", .string(key.model))
  set("tokens", .array(GGUFArray(["<unk>", "\u{2581}", "a", "b", "ab"])))
  set("scores", .array(GGUFArray([0, -1, -2, -3, -4] as [Float])))
  set("token_type", .array(GGUFArray([2, 1, 1, 1, 1] as [Int32])))
  set("add_bos_token", .bool(false))
  set("add_eos_token", .bool(false))
  let path = directory.path("model.gguf")
  try writer.write(to: path) { _, _ in }
  #expect(try TokenizerLoader.load(path: path).encode("ab").ids.last == 4)
  set(key.key, key.value)
  try writer.write(to: path) { _, _ in }
  let error = try #require(throws: ModelFileError.self) { try TokenizerLoader.load(path: path) }
  #expect(error.description.contains(key.message), "\(error)")
  #expect(error.description.contains("tokenizer.ggml."))
  #expect(!error.description.contains("\n"))
}

// MARK: tokenizer.json

@Test(arguments: [
  ("{\"model\":{\"type\":\"Unigram\",\"vocab\":[[\"a\",-1]]}}", "expected a key \"unk_id\""),
  (
    "{\"model\":{\"type\":\"Unigram\",\"unk_id\":1,\"vocab\":[[\"a\",-1]]}}",
    "expected an integer from 0 to 0"
  ),
  (
    "{\"model\":{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":[[\"a\",1e999]]}}",
    "expected a number in the range"
  ),
  ("{\"model\":{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":[[\"a\"]]}}", "vocab[0]"),
  ("{\"model\":{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":[]}}", "expected at least one token"),
  ("{\"model\":{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":[[\"a\",0],[\"a\",0]]}}", "only once"),
  ("\(unigram),\"normalizer\":{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"AA=A\"}}", "Base64"),
  ("\(unigram),\"normalizer\":{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"AAAA\"}}", "compiled map"),
  (
    "\(unigram),\"normalizer\":{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"a+\"},\"content\":\"\"}}",
    "regular"
  ),
  (
    "\(unigram),\"pre_tokenizer\":{\"type\":\"Metaspace\",\"prepend_scheme\":\"often\"}}",
    "always, first or never"
  ),
  ("\(unigram),\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"\"}}", "isn't empty"),
  ("\(unigram),\"decoder\":{\"type\":\"Strip\",\"content\":\"\",\"start\":1,\"stop\":0}}", "isn't empty"),
  (
    "\(unigram),\"decoder\":{\"type\":\"Strip\",\"content\":\" \",\"start\":-1,\"stop\":0}}",
    "expected an integer"
  ),
  (
    "\(unigram),\"decoder\":{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Fuse\"},{\"type\":\"ByteFallback\"}]}}",
    "expected only \"Strip\""
  ),
])
func malformedSentencePieceJSONIsRefused(_ text: String, _ message: String) throws {
  let directory = try TemporaryDirectory()
  try directory.write(text, to: "tokenizer.json")
  let error = try #require(throws: ModelFileError.self) { try TokenizerLoader.load(path: directory.path) }
  #expect(error.description.contains(message), "\(error)")
  #expect(!error.description.contains("\n"))
}

private let unigram = "{\"model\":{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":[[\"a\",-1]]}"
