/// Turns text into the token ids of one model's vocabulary, and back.
///
/// All methods may be called from many tasks at once.
public protocol TextTokenizer: Sendable {
  /// One more than the largest token id.
  var vocabularySize: Int { get }

  /// The ids that play a part of their own, as far as the files name them.
  var specialTokens: SpecialTokens { get }

  /// Splits `text` into tokens.
  ///
  /// - Throws: `TokenizerError.maximumLengthTooSmall` if the special tokens alone are longer than
  ///   `options.maximumLength`.
  func encode(_ text: String, options: EncodingOptions) throws(TokenizerError) -> TokenizedText

  /// Splits two texts into one sequence of tokens, as a cross-encoder takes a query and a document.
  ///
  /// If they are too long together, tokens are dropped from the end of the longer one, as the strategy
  /// "longest first" of the tokenizers library does.
  ///
  /// - Throws: `TokenizerError.maximumLengthTooSmall` if the special tokens alone are longer than
  ///   `options.maximumLength`.
  func encode(
    _ first: String, and second: String, options: EncodingOptions
  ) throws(TokenizerError) -> TokenizedText

  /// The text that `ids` stand for; bytes that aren't UTF-8 become U+FFFD.
  ///
  /// - Throws: `TokenizerError.unknownID` for an id without a token.
  func decode(_ ids: [Int32], skippingSpecialTokens: Bool) throws(TokenizerError) -> String

  /// Appends the UTF-8 that `id` stands for to `utf8`; it may end within a character.
  ///
  /// - Parameters:
  ///   - id: The token.
  ///   - isFirst: True if no token comes before this one in the text.
  ///   - utf8: Where the bytes go.
  /// - Throws: `TokenizerError.unknownID` if `id` has no token.
  func appendText(of id: Int32, isFirst: Bool, to utf8: inout [UInt8]) throws(TokenizerError)

  /// The token as the vocabulary spells it, or nil if the id has none.
  func token(for id: Int32) -> String?

  /// The id of a token as the vocabulary spells it, compared byte by byte.
  func id(for token: String) -> Int32?

  /// True for tokens that control the model and are no part of a text, such as `[CLS]` or `<|im_end|>`.
  func isSpecial(_ id: Int32) -> Bool
}

extension TextTokenizer {
  /// Splits `text` into tokens, with the default options.
  public func encode(_ text: String) throws(TokenizerError) -> TokenizedText {
    try encode(text, options: EncodingOptions())
  }

  /// The text that `ids` stand for, without special tokens.
  public func decode(_ ids: [Int32]) throws(TokenizerError) -> String {
    try decode(ids, skippingSpecialTokens: true)
  }
}

/// How a text is split into tokens.
public struct EncodingOptions: Sendable, Hashable {
  /// Whether the tokens that the model expects around a text, such as `[CLS]` and `[SEP]`, are added.
  public var addsSpecialTokens: Bool
  /// Whether added tokens such as `<|im_end|>` are recognised where the text spells them, as the
  /// tokenizers library does; if not, their spelling is plain text.
  public var recognizesAddedTokens: Bool
  /// Whether the text is normalised first where the tokenizer has a normal form for it.
  ///
  /// llama.cpp doesn't bring texts into the form NFC as the tokenizers of Qwen do: without this, the ids
  /// are its own.
  public var normalizesText: Bool
  /// The greatest number of tokens, special ones included; further ones are dropped from the end.
  ///
  /// The sections `truncation` and `padding` of a tokenizer.json are not applied.
  public var maximumLength: Int?

  /// Creates options.
  public init(
    addsSpecialTokens: Bool = true, recognizesAddedTokens: Bool = true, normalizesText: Bool = true,
    maximumLength: Int? = nil
  ) {
    self.addsSpecialTokens = addsSpecialTokens
    self.recognizesAddedTokens = recognizesAddedTokens
    self.normalizesText = normalizesText
    self.maximumLength = maximumLength
  }
}

/// A text as tokens.
public struct TokenizedText: Sendable, Hashable {
  /// The token ids, in order.
  public var ids: [Int32]
  /// For each token the text it belongs to, as BERT's token type embedding counts: mostly 0 for the first
  /// and 1 for the second.
  public var typeIDs: [Int32]
  /// True if tokens were dropped to keep to the maximum length.
  public var isTruncated: Bool

  /// Creates a tokenized text.
  public init(ids: [Int32], typeIDs: [Int32], isTruncated: Bool) {
    self.ids = ids
    self.typeIDs = typeIDs
    self.isTruncated = isTruncated
  }
}

/// Token ids that play a part of their own.
public struct SpecialTokens: Sendable, Hashable {
  /// Begins a text (BOS).
  public var beginningOfSequence: Int32?
  /// Ends a text (EOS).
  public var endOfSequence: Int32?
  /// Ends one speaker's turn (EOT), where a file names it.
  public var endOfTurn: Int32?
  /// Ends a message after which the model waits for a tool (EOM), where a file names it.
  public var endOfMessage: Int32?
  /// Stands for what the vocabulary can't spell.
  public var unknown: Int32?
  /// Fills up batches.
  public var padding: Int32?
  /// Begins a text for BERT (`[CLS]`).
  public var classification: Int32?
  /// Ends a text for BERT (`[SEP]`).
  public var separator: Int32?
  /// Stands for a hidden token (`[MASK]`).
  public var mask: Int32?

  /// Creates a set of special tokens in which none is known.
  public init() {}
}

/// What a tokenizer can't do.
public enum TokenizerError: Error, Equatable, Sendable {
  /// No token has this id.
  case unknownID(Int32, vocabularySize: Int)
  /// The special tokens alone are longer than the maximum length asked for.
  case maximumLengthTooSmall(Int, specialTokens: Int)
}

extension TokenizerError: CustomStringConvertible {
  /// The error on one line.
  public var description: String {
    switch self {
    case .unknownID(let id, let size):
      "expected a token id of the vocabulary of \(size), found \(id)"
    case .maximumLengthTooSmall(let length, let count):
      "expected a maximum length of at least the \(count) special tokens, found \(length)"
    }
  }
}
