/// A tokenizer made of the stages of the tokenizers library: added tokens, normalizer, pre-tokenizer, model,
/// post-processor and decoder.
final class PipelineTokenizer: TextTokenizer {
  /// The tokens of the model.
  let vocabulary: Vocabulary
  let addedTokens: [Int32: AddedToken]
  private let addedIDs: [[UInt8]: Int32]
  /// What a normalised added token is decoded from, where it isn't its content.
  private let normalizedContents: [Int32: [UInt8]]
  private let rawMatcher: AddedTokenMatcher
  private let normalizedMatcher: AddedTokenMatcher
  /// Finds those of the raw tokens that are plain text.
  private let plainMatcher: AddedTokenMatcher
  let normalizer: (any Normalizer)?
  /// Whether the normalizer only chooses among equivalent spellings, such as NFC; others, such as those
  /// that put marks in place of spaces, make of a text what the model knows.
  private let choosesSpelling: Bool
  let metaspace: Metaspace?
  let preTokenizer: (any PreTokenizer)?
  let model: any TokenModel
  let postProcessor: PostProcessor
  private let decoder: any TokenDecoder

  let vocabularySize: Int
  let specialTokens: SpecialTokens

  /// Puts the stages together.
  ///
  /// The ids of added tokens must be bounded by the caller, not negative, and
  /// unique.
  init(
    vocabulary: Vocabulary, addedTokens: [AddedToken], normalizer: (any Normalizer)?,
    metaspace: Metaspace? = nil, preTokenizer: (any PreTokenizer)?, model: any TokenModel,
    postProcessor: PostProcessor,
    decoder: any TokenDecoder, specialTokens: SpecialTokens
  ) {
    self.vocabulary = vocabulary
    self.normalizer = normalizer
    choosesSpelling = normalizer is UnicodeNormalizer
    self.metaspace = metaspace
    self.preTokenizer = preTokenizer
    self.model = model
    self.postProcessor = postProcessor
    self.decoder = decoder
    self.specialTokens = specialTokens
    var size = vocabulary.size
    var byID: [Int32: AddedToken] = [:]
    var ids: [[UInt8]: Int32] = [:]
    var contents: [Int32: [UInt8]] = [:]
    var raw = AddedTokenMatcher()
    var normalized = AddedTokenMatcher()
    var plain = AddedTokenMatcher()
    for token in addedTokens.sorted(by: { $0.id < $1.id }) {
      size = max(size, Int(token.id) + 1)
      byID[token.id] = token
      ids[token.content] = token.id
      guard token.isNormalized else {
        raw.add(token, spelling: token.content)
        if token.isPlainText { plain.add(token, spelling: token.content) }
        continue
      }
      var spelling = token.content
      if let normalizer {
        spelling = []
        token.content.withUnsafeBufferPointer { normalizer.normalize($0, into: &spelling) }
        if spelling != token.content { contents[token.id] = spelling }
      }
      normalized.add(token, spelling: spelling)
    }
    vocabularySize = size
    self.addedTokens = byID
    addedIDs = ids
    normalizedContents = contents
    rawMatcher = raw
    normalizedMatcher = normalized
    plainMatcher = plain
  }

  // MARK: Encoding

  func encode(_ text: String, options: EncodingOptions) throws(TokenizerError) -> TokenizedText {
    let limit = try limit(of: options, isPair: false)
    let ids = tokenize(text, options: options, limit: limit)
    let kept = min(ids.count, limit)
    let result = postProcessor.process(
      ids[..<kept], nil, addsSpecialTokens: options.addsSpecialTokens)
    return TokenizedText(ids: result.ids, typeIDs: result.typeIDs, isTruncated: kept < ids.count)
  }

  func encode(
    _ first: String, and second: String, options: EncodingOptions
  ) throws(TokenizerError) -> TokenizedText {
    let limit = try limit(of: options, isPair: true)
    // Which of the two is the longer one decides who keeps an odd token: both are needed whole.
    let left = tokenize(first, options: options, limit: .max / 4)
    let right = tokenize(second, options: options, limit: .max / 4)
    let kept = PostProcessor.longestFirst(left.count, right.count, limit: limit)
    let result = postProcessor.process(
      left[..<kept.first], right[..<kept.second], addsSpecialTokens: options.addsSpecialTokens)
    return TokenizedText(
      ids: result.ids, typeIDs: result.typeIDs,
      isTruncated: kept.first < left.count || kept.second < right.count)
  }

  /// How many tokens the texts themselves may have.
  private func limit(of options: EncodingOptions, isPair: Bool) throws(TokenizerError) -> Int {
    // Half of the range, so that one more than the limit and sums of two stay in it.
    guard let length = options.maximumLength else { return .max / 4 }
    let special = options.addsSpecialTokens ? postProcessor.specialTokenCount(isPair: isPair) : 0
    guard length >= special else {
      throw .maximumLengthTooSmall(length, specialTokens: special)
    }
    return min(length - special, .max / 4)
  }

  /// The ids of a text without special tokens; not many more than `limit`, but more if they are too many.
  private func tokenize(_ text: String, options: EncodingOptions, limit: Int) -> [Int32] {
    var text = text
    return text.withUTF8 { utf8 in
      var run = EncodingRun(
        tokenizer: self, recognizesAddedTokens: options.recognizesAddedTokens,
        normalizesText: options.normalizesText, limit: limit)
      run.ids.reserveCapacity(min(utf8.count / 3, limit) + 8)
      run.encode(utf8)
      return run.ids
    }
  }

  /// What the stages share while one text runs through them.
  private struct EncodingRun {
    let tokenizer: PipelineTokenizer
    let recognizesAddedTokens: Bool
    let normalizesText: Bool
    let limit: Int
    var ids: [Int32] = []
    private var scratch = TokenModelScratch()
    private var normalized: [UInt8] = []

    init(
      tokenizer: PipelineTokenizer, recognizesAddedTokens: Bool, normalizesText: Bool, limit: Int
    ) {
      self.normalizesText = normalizesText
      self.tokenizer = tokenizer
      self.recognizesAddedTokens = recognizesAddedTokens
      self.limit = limit
    }

    /// False once there are more tokens than can be kept.
    private var wantsMore: Bool { ids.count <= limit }

    mutating func encode(_ text: UTF8Text) {
      let matcher = recognizesAddedTokens ? tokenizer.rawMatcher : tokenizer.plainMatcher
      guard !matcher.isEmpty else { return encodeSegment(text, isFirst: true) }
      _ = matcher.forEachSplit(in: text) { id, range in
        if id >= 0 {
          ids.append(id)
        } else {
          encodeSegment(text.slice(range), isFirst: range.lowerBound == 0)
        }
        return wantsMore
      }
    }

    private mutating func encodeSegment(_ text: UTF8Text, isFirst: Bool) {
      guard let normalizer = tokenizer.normalizer, normalizesText || !tokenizer.choosesSpelling else {
        return encodeNormalized(text, isFirst: isFirst)
      }
      normalized.removeAll(keepingCapacity: true)
      normalizer.normalize(text, into: &normalized)
      // Taken out while it is read, as the run is changed meanwhile.
      let buffer = normalized
      normalized = []
      buffer.withUnsafeBufferPointer { encodeNormalized($0, isFirst: isFirst) }
      normalized = buffer
    }

    private mutating func encodeNormalized(_ text: UTF8Text, isFirst: Bool) {
      guard recognizesAddedTokens, !tokenizer.normalizedMatcher.isEmpty else {
        return encodeUnsplit(text, isFirst: isFirst)
      }
      _ = tokenizer.normalizedMatcher.forEachSplit(in: text) { id, range in
        if id >= 0 {
          ids.append(id)
        } else {
          encodeUnsplit(text.slice(range), isFirst: isFirst && range.lowerBound == 0)
        }
        return wantsMore
      }
    }

    private mutating func encodeUnsplit(_ text: UTF8Text, isFirst: Bool) {
      guard let metaspace = tokenizer.metaspace else { return encodePieces(text) }
      var rewritten: [UInt8] = []
      rewritten.reserveCapacity(text.count + text.count / 2 + 8)
      metaspace.rewrite(text, isFirst: isFirst, into: &rewritten)
      rewritten.withUnsafeBufferPointer { encodePieces($0) }
    }

    private mutating func encodePieces(_ text: UTF8Text) {
      guard !text.isEmpty else { return }
      guard let preTokenizer = tokenizer.preTokenizer else {
        return tokenizer.model.tokenize(text, scratch: &scratch, into: &ids)
      }
      let model = tokenizer.model
      _ = preTokenizer.forEachPiece(in: text) { range in
        model.tokenize(text.slice(range), scratch: &scratch, into: &ids)
        return wantsMore
      }
    }
  }

  // MARK: Decoding

  func decode(_ ids: [Int32], skippingSpecialTokens: Bool) throws(TokenizerError) -> String {
    var utf8: [UInt8] = []
    var isFirst = true
    for id in ids {
      if skippingSpecialTokens, isSpecial(id) { continue }
      try appendText(of: id, isFirst: isFirst, to: &utf8)
      isFirst = false
    }
    return String(decoding: utf8, as: UTF8.self)
  }

  func appendText(of id: Int32, isFirst: Bool, to utf8: inout [UInt8]) throws(TokenizerError) {
    if let added = normalizedContents[id] ?? addedTokens[id]?.content {
      added.withUnsafeBufferPointer { decoder.appendText(of: $0, isFirst: isFirst, to: &utf8) }
      return
    }
    let found: Void? = vocabulary.withToken(id) { token in
      decoder.appendText(of: token, isFirst: isFirst, to: &utf8)
    }
    guard found != nil else { throw .unknownID(id, vocabularySize: vocabularySize) }
  }

  // MARK: Vocabulary

  func token(for id: Int32) -> String? {
    if let added = addedTokens[id] { return String(decoding: added.content, as: UTF8.self) }
    return vocabulary.string(of: id)
  }

  func id(for token: String) -> Int32? {
    if let id = addedIDs[Array(token.utf8)] { return id }
    var token = token
    return token.withUTF8 { vocabulary.id(of: $0) }
  }

  func isSpecial(_ id: Int32) -> Bool { addedTokens[id]?.isSpecial ?? false }
}
