import SalanganeFiles

/// Collects the merges of a BPE model from a file.
struct MergeReader {
  private let vocabulary: Vocabulary
  private let file: String
  private let subject: String
  let table: MergeTable
  private var rank: UInt32 = 0
  /// Whether a merge puts U+2581 behind something else.
  private(set) var joinsSpaceMark = false

  /// Expects at most `count` merges.
  init(_ vocabulary: Vocabulary, count: Int, file: String, subject: String) {
    self.vocabulary = vocabulary
    self.file = file
    self.subject = subject
    table = MergeTable(capacity: count)
  }

  /// Adds the next merge; the sooner, the higher its rank.
  mutating func add(_ first: UTF8Text, _ second: UTF8Text) throws(ModelFileError) {
    try ReadInterruption.check(after: Int(rank), file: file)
    var hash = TokenHash()
    hash.append(first)
    let none = UTF8Text(start: nil, count: 0)
    guard let left = vocabulary.id(hash: hash, prefix: none, first) else {
      throw unknown(first, first, second)
    }
    guard let right = vocabulary.id(of: second) else { throw unknown(second, first, second) }
    hash.append(second)
    guard let merged = vocabulary.id(hash: hash, prefix: first, second) else {
      throw unknown(Array(first) + Array(second), first, second)
    }
    do throws(MergeTable.Conflict) {
      try table.add(left, right, MergeTable.Merge(rank: rank, id: merged))
    } catch {
      throw malformed("expected distinct merges, found too many like", first, second)
    }
    rank += 1
    let mark = CharacterBPE.spaceMark
    if second.starts(with: mark), !first.suffix(mark.count).elementsEqual(mark) { joinsSpaceMark = true }
  }

  /// Adds the next merge from its text: two tokens and a space between them.
  mutating func add(_ text: UTF8Text) throws(ModelFileError) {
    guard let space = text.firstIndex(of: UInt8(ascii: " ")), space > 0, space + 1 < text.count,
      !text[(space + 1)...].contains(UInt8(ascii: " "))
    else {
      let found = String(decoding: text, as: UTF8.self)
      throw ModelFileError(
        .malformed, file: file, subject: subject,
        expectation: "expected two tokens with one space between them, found \"\(found)\"")
    }
    try add(text.slice(0..<space), text.slice(space + 1..<text.count))
  }

  /// The model that the merges make.
  ///
  /// - Parameter wholePieces: The tokens that a piece may be without any merge, if there are such.
  func model(
    wholePieces: Vocabulary?, unknown: Int32? = nil, fusesUnknown: Bool = false
  ) -> ByteLevelBPE {
    let byteTokens = ByteAlphabet.scalars.map { scalar -> Int32 in
      var spelling: [UInt8] = []
      spelling.append(scalar: scalar)
      return spelling.withUnsafeBufferPointer { vocabulary.id(of: $0) } ?? -1
    }
    return ByteLevelBPE(
      merges: table, byteTokens: byteTokens, wholePieces: wholePieces, unknown: unknown,
      fusesUnknown: fusesUnknown)
  }

  private func unknown(
    _ token: some Sequence<UInt8>, _ first: UTF8Text, _ second: UTF8Text
  ) -> ModelFileError {
    let name = String(decoding: Array(token), as: UTF8.self)
    return malformed("expected \"\(name)\" to be a token of the vocabulary, for the merge", first, second)
  }

  private func malformed(_ expectation: String, _ first: UTF8Text, _ second: UTF8Text) -> ModelFileError {
    let merge = String(decoding: Array(first) + [0x20] + Array(second), as: UTF8.self)
    return ModelFileError(
      .malformed, file: file, subject: "\(subject)[\(rank)]", expectation: "\(expectation) \"\(merge)\"")
  }
}
