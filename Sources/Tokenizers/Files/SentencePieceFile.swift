import SalanganeFiles

/// A `tokenizer.model`: the message `ModelProto` of SentencePiece (sentencepiece_model.proto).
struct SentencePieceFile {
  /// How a text is split (`TrainerSpec.ModelType`).
  enum Kind: Int {
    case unigram = 1
    case bytePairEncoding, word, character
  }

  let file: String
  private(set) var vocabulary: Vocabulary
  private(set) var scores: [Float] = []
  private(set) var types: [GGUFTokenizer.TokenType] = []

  // The defaults are those of the message.
  private(set) var kind = Kind.unigram
  private(set) var fallsBackToBytes = false
  private(set) var putsSpacesBehind = false
  private(set) var unknownSurface = Array(" \u{2047} ".utf8)
  private(set) var beginningOfSequence = Array("<s>".utf8)
  private(set) var endOfSequence = Array("</s>".utf8)
  private(set) var padding = Array("<pad>".utf8)
  private(set) var characterMap: CharacterMap?
  private(set) var addsDummyPrefix = true
  private(set) var removesExtraWhitespaces = true
  private(set) var escapesWhitespaces = true

  /// The tokens may have so many bytes together; those of the largest models have about 4 million.
  static let largestVocabulary = 16 << 20

  /// Reads the message.
  init(_ bytes: [UInt8], file: String) throws(ModelFileError) {
    self.file = file
    vocabulary = Vocabulary(capacity: 0)
    try bytes.withUnsafeBufferPointer { (bytes) throws(ModelFileError) in
      var size = 0
      try forEachField(of: bytes, "ModelProto") { (field, value, path) throws(ModelFileError) in
        switch field {
        case 1:
          let piece = try self.bytes(value, path)
          size += piece.count
          guard size <= Self.largestVocabulary else {
            throw failure(.unsupported, path, "expected at most \(Self.largestVocabulary) bytes of pieces")
          }
          try readPiece(piece)
        case 2: try readTrainer(self.bytes(value, path))
        case 3: try readNormalizer(self.bytes(value, path))
        case 5: try readDenormalizer(self.bytes(value, path))
        default: break
        }
      }
    }
    guard !scores.isEmpty else {
      throw failure(.malformed, "pieces", "expected at least one piece, found none")
    }
  }

  // MARK: Messages

  private mutating func readPiece(_ message: UTF8Text) throws(ModelFileError) {
    let name = "pieces[\(scores.count)]"
    var piece = UTF8Text(start: nil, count: 0)
    var score: Float = 0
    var type = GGUFTokenizer.TokenType.normal
    try forEachField(of: message, name) { (field, value, path) throws(ModelFileError) in
      switch field {
      case 1: piece = try text(value, path)
      case 2:
        guard case .fixed32(let bits) = value, case let number = Float(bitPattern: bits), number.isFinite
        else { throw failure(.malformed, path, "expected a finite score") }
        score = number
      case 3:
        guard let known = GGUFTokenizer.TokenType(rawValue: Int(try int(value, path))) else {
          throw failure(.malformed, path, "expected a type from 1 to 6, found \(try int(value, path))")
        }
        type = known
      default: break
      }
    }
    guard !piece.isEmpty else { throw failure(.malformed, name, "expected a piece that isn't empty") }
    if type == .byte, ByteTokens.byte(of: piece) == nil {
      throw failure(
        .malformed, name,
        "expected a byte like <0x0A>, found \"\(String(decoding: piece, as: UTF8.self))\"")
    }
    try vocabulary.add(piece, id: Int32(scores.count), file: file, subject: name)
    scores.append(score)
    types.append(type)
  }

  private mutating func readTrainer(_ message: UTF8Text) throws(ModelFileError) {
    try forEachField(of: message, "trainer_spec") { (field, value, path) throws(ModelFileError) in
      switch field {
      case 3:
        guard let known = Kind(rawValue: Int(try int(value, path))) else {
          throw failure(.malformed, path, "expected a model type from 1 to 4, found \(try int(value, path))")
        }
        kind = known
      case 24: putsSpacesBehind = try int(value, path) != 0
      case 35: fallsBackToBytes = try int(value, path) != 0
      case 44: unknownSurface = Array(try text(value, path))
      case 46: beginningOfSequence = Array(try text(value, path))
      case 47: endOfSequence = Array(try text(value, path))
      case 48: padding = Array(try text(value, path))
      default: break
      }
    }
  }

  private mutating func readNormalizer(_ message: UTF8Text) throws(ModelFileError) {
    try forEachField(of: message, "normalizer_spec") { (field, value, path) throws(ModelFileError) in
      switch field {
      case 2:
        let map = try bytes(value, path)
        characterMap = map.isEmpty ? nil : try CharacterMap(map, file: file, subject: path)
      case 3: addsDummyPrefix = try int(value, path) != 0
      case 4: removesExtraWhitespaces = try int(value, path) != 0
      case 5: escapesWhitespaces = try int(value, path) != 0
      default: break
      }
    }
  }

  private func readDenormalizer(_ message: UTF8Text) throws(ModelFileError) {
    try forEachField(of: message, "denormalizer_spec") { (field, value, path) throws(ModelFileError) in
      if field == 2, try !bytes(value, path).isEmpty {
        throw failure(.unsupported, path, "expected decoding without rules of its own")
      }
    }
  }

  // MARK: Fields

  private func forEachField(
    of message: UTF8Text, _ name: String,
    _ body: (Int, ProtobufReader.Value, String) throws(ModelFileError) -> Void
  ) throws(ModelFileError) {
    var reader = ProtobufReader(message)
    while true {
      let next: (field: Int, value: ProtobufReader.Value)?
      do throws(ProtobufReader.Failure) {
        next = try reader.next()
      } catch {
        throw failure(.malformed, "\(name) at byte \(error.offset)", "expected \(error.expectation)")
      }
      guard let (field, value) = next else { return }
      try body(field, value, "\(name), field \(field)")
    }
  }

  private func bytes(_ value: ProtobufReader.Value, _ path: String) throws(ModelFileError) -> UTF8Text {
    if case .bytes(let bytes) = value { return bytes }
    throw failure(.malformed, path, "expected bytes, found \(value.kind)")
  }

  private func text(_ value: ProtobufReader.Value, _ path: String) throws(ModelFileError) -> UTF8Text {
    let bytes = try bytes(value, path)
    guard bytes.isASCII || String(validating: bytes, as: UTF8.self) != nil else {
      throw failure(.malformed, path, "expected a text in UTF-8, found other bytes")
    }
    return bytes
  }

  /// An integer in the range of the fields that are read here; greater ones count as the greatest.
  private func int(_ value: ProtobufReader.Value, _ path: String) throws(ModelFileError) -> UInt32 {
    if case .varint(let int) = value { return UInt32(clamping: int) }
    throw failure(.malformed, path, "expected an integer, found \(value.kind)")
  }

  func failure(_ kind: ModelFileError.Kind, _ subject: String?, _ expectation: String) -> ModelFileError {
    ModelFileError(kind, file: file, subject: subject, expectation: expectation)
  }
}

extension CharacterMap {
  /// Reads a map, and makes an error of what isn't one.
  init(_ bytes: UTF8Text, file: String, subject: String) throws(ModelFileError) {
    do throws(Failure) {
      try self.init(bytes)
    } catch {
      let expectation =
        switch error {
        case .size: "expected a compiled map of characters: the size of a trie, the trie and texts"
        case .encoding: "expected a map to texts in UTF-8, found other bytes"
        }
      throw ModelFileError(.malformed, file: file, subject: subject, expectation: expectation)
    }
  }
}
