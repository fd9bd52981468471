import SalanganeFiles
import SalanganeTokenizers

/// The text with which a reranker is asked: an instruction, a query and a document in a frame.
///
/// The frame's special tokens are tokens. Query, instruction and document are plain text, whatever they spell:
/// so no document can end its turn and speak for itself. (The code on Qwen3-Reranker's model card has the
/// tokenizer recognise them in documents too; where a text spells none, both give the same tokens.)
struct RerankingPrompt: Sendable {
  private enum Part: Sendable {
    case literal(String)
    case instruction, query, document
  }

  /// A run of tokens: either a special token, or text that is tokenised as a whole.
  private enum Segment: Sendable {
    case token(Int32)
    case text([Part])
  }

  private var segments: [Segment] = []
  private let instruction: String?

  /// Qwen3-Reranker's frame, in the form in which llama.cpp stores it as `tokenizer.chat_template.rerank`.
  private static let qwen3 = """
    <|im_start|>system
    Judge whether the Document meets the requirements based on the Query and the Instruct provided. Note that \
    the answer can only be "yes" or "no".<|im_end|>
    <|im_start|>user
    <Instruct>: Given a web search query, retrieve relevant passages that answer the query
    <Query>: {query}
    <Document>: {document}<|im_end|>
    <|im_start|>assistant
    <think>

    </think>


    """

  /// Takes the frame of a model: that of a GGUF file, or Qwen3-Reranker's.
  ///
  /// - Throws: `ModelFileError` for one without a place for query and document, or a tokenizer without the frame's
  ///   special tokens.
  init(_ checkpoint: Checkpoint, _ tokenizer: any TextTokenizer) throws {
    let name = "tokenizer.chat_template.rerank"
    if let value = checkpoint.gguf?.metadata[name] {
      guard let template = value.string else {
        throw ModelFileError(
          .malformed, file: checkpoint.path, subject: name, expectation: "expected a string")
      }
      try self.init(template, tokenizer, file: checkpoint.path, subject: name)
      return
    }
    for spelling in ["<|im_start|>", "<|im_end|>"] {
      guard let id = tokenizer.id(for: spelling), tokenizer.isSpecial(id) else {
        throw ModelFileError(
          .unsupported, file: checkpoint.path, subject: "tokenizer",
          expectation: "expected a special token \(spelling), as Qwen3-Reranker has it")
      }
    }
    try self.init(Self.qwen3, tokenizer, file: checkpoint.path, subject: "prompt")
  }

  /// Reads a frame with `{query}` and `{document}` in it, in this order, once each.
  private init(
    _ template: String, _ tokenizer: any TextTokenizer, file: String, subject: String
  ) throws {
    guard let query = template.firstRange(of: "{query}"),
      let document = template[query.upperBound...].firstRange(of: "{document}"),
      template[document.upperBound...].firstRange(of: "{document}") == nil,
      template[query.upperBound...].firstRange(of: "{query}") == nil
    else {
      throw ModelFileError(
        .unsupported, file: file, subject: subject,
        expectation: "expected {query} and then {document} in it, once each")
    }
    let start = template[..<query.lowerBound]
    let label = "<Instruct>: "
    if let place = start.firstRange(of: label) {
      let end = start[place.upperBound...].firstIndex(of: "\n") ?? start.endIndex
      instruction = String(start[place.upperBound..<end])
      try append(start[..<place.upperBound], tokenizer)
      append(.instruction)
      try append(start[end...], tokenizer)
    } else {
      instruction = nil
      try append(start, tokenizer)
    }
    append(.query)
    try append(template[query.upperBound..<document.lowerBound], tokenizer)
    append(.document)
    // What follows is tokenised apart, so that documents can be cut off at their end.
    segments.append(.text([]))
    try append(template[document.upperBound...], tokenizer)
  }

  private mutating func append(_ part: Part) {
    if case .text(let parts)? = segments.last {
      segments[segments.count - 1] = .text(parts + [part])
    } else {
      segments.append(.text([part]))
    }
  }

  /// Appends a literal, with its special tokens apart.
  private mutating func append(
    _ literal: Substring, _ tokenizer: any TextTokenizer
  ) throws(TokenizerError) {
    var rest = literal
    let options = EncodingOptions(addsSpecialTokens: false)
    for id in try tokenizer.encode(String(literal), options: options).ids where tokenizer.isSpecial(id) {
      guard let spelling = tokenizer.token(for: id), let range = rest.firstRange(of: spelling) else {
        continue
      }
      if range.lowerBound > rest.startIndex { append(.literal(String(rest[..<range.lowerBound]))) }
      segments.append(.token(id))
      rest = rest[range.upperBound...]
    }
    if !rest.isEmpty { append(.literal(String(rest))) }
  }

  // MARK: Asking

  /// A prompt that lacks only the document.
  struct Question {
    /// The tokens before the segment that the document ends.
    fileprivate var head: [Int32] = []
    /// The text of that segment before the document.
    fileprivate var lead = ""
    /// The tokens behind the document.
    fileprivate var tail: [Int32] = []
    /// The most tokens of that segment.
    fileprivate var room = 0

    /// The tokens of the whole prompt; a document that is too long loses its end.
    func ids(document: String, _ tokenizer: any TextTokenizer) throws(TokenizerError) -> [Int32] {
      let options = EncodingOptions(
        addsSpecialTokens: false, recognizesAddedTokens: false, maximumLength: room)
      return head + (try tokenizer.encode(lead + document, options: options).ids) + tail
    }
  }

  /// Fills in all but the document.
  ///
  /// - Parameters:
  ///   - query: What is looked for.
  ///   - instruction: What the documents are wanted for; nil for the frame's own.
  ///   - maximumLength: The most tokens of the whole prompt.
  /// - Throws: `EmbeddingError` for an instruction that has no place in the frame, and a query that leaves no room
  ///   for a document; `TokenizerError`.
  func question(
    query: String, instruction: String?, maximumLength: Int, _ tokenizer: any TextTokenizer
  ) throws -> Question {
    guard instruction == nil || self.instruction != nil else {
      throw EmbeddingError.invalidOption(
        name: "instruction", expectation: "none, since the model's prompt has no place for one")
    }
    let given = instruction ?? self.instruction ?? ""
    var question = Question()
    var hasDocument = false
    for segment in segments {
      var ids: [Int32] = []
      switch segment {
      case .token(let id): ids = [id]
      case .text(let parts):
        var text = ""
        var isLiteral = true
        var isLast = false
        for part in parts {
          switch part {
          case .literal(let literal): text += literal
          case .instruction: text += given
          case .query: text += query
          case .document: isLast = true
          }
          if case .literal = part {} else { isLiteral = false }
        }
        if isLast {
          question.lead = text
          hasDocument = true
          continue
        }
        let options = EncodingOptions(addsSpecialTokens: false, recognizesAddedTokens: isLiteral)
        ids = try tokenizer.encode(text, options: options).ids
      }
      if hasDocument { question.tail += ids } else { question.head += ids }
    }
    let options = EncodingOptions(addsSpecialTokens: false, recognizesAddedTokens: false)
    let lead = try tokenizer.encode(question.lead, options: options).ids.count
    question.room = maximumLength - question.head.count - question.tail.count
    guard question.room > lead else {
      throw EmbeddingError.invalidOption(
        name: "query",
        expectation: "room for a document beside it, but with the prompt it takes "
          + "\(question.head.count + lead + question.tail.count) of \(maximumLength) tokens")
    }
    return question
  }
}
