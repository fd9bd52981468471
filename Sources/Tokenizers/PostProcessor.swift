/// The last stage of encoding: puts special tokens around one text or two.
struct PostProcessor: Sendable {
  /// A part of the result.
  enum Part: Sendable, Equatable {
    /// Special tokens, left out if none are asked for.
    case special([Int32], typeID: Int32)
    /// The first text.
    case first(typeID: Int32)
    /// The second text.
    case second(typeID: Int32)
  }

  /// What a single text becomes.
  var single: [Part]
  /// What two texts become.
  var pair: [Part]
  /// The type ids of two texts where no special tokens are added; nil for those of `pair`.
  var bareTypeIDs: (first: Int32, second: Int32)?

  /// Adds nothing.
  static let none = PostProcessor(
    single: [.first(typeID: 0)], pair: [.first(typeID: 0), .second(typeID: 1)])

  /// The form of BERT: `[CLS] first [SEP]` or `[CLS] first [SEP] second [SEP]` with types 0 and 1;
  /// without a token that is nil.
  static func bert(classification: Int32?, separator: Int32?) -> PostProcessor {
    func special(_ id: Int32?, _ typeID: Int32) -> [Part] {
      id.map { [.special([$0], typeID: typeID)] } ?? []
    }
    let start = special(classification, 0) + [.first(typeID: 0)] + special(separator, 0)
    return PostProcessor(single: start, pair: start + [.second(typeID: 1)] + special(separator, 1))
  }

  /// The form of RoBERTa: `<s> first </s>` or `<s> first </s></s> second </s>`, all of type 0.
  static func roberta(classification: Int32, separator: Int32) -> PostProcessor {
    let start: [Part] = [
      .special([classification], typeID: 0), .first(typeID: 0), .special([separator], typeID: 0),
    ]
    return PostProcessor(
      single: start,
      pair: start + [
        .special([separator], typeID: 0), .second(typeID: 0), .special([separator], typeID: 0),
      ])
  }

  /// Puts `prefix` before each text and `suffix` behind it.
  static func around(prefix: [Int32], suffix: [Int32]) -> PostProcessor {
    func wrapped(_ text: Part, _ typeID: Int32) -> [Part] {
      let before: [Part] = prefix.isEmpty ? [] : [.special(prefix, typeID: typeID)]
      return before + [text] + (suffix.isEmpty ? [] : [.special(suffix, typeID: typeID)])
    }
    let single = wrapped(.first(typeID: 0), 0)
    return PostProcessor(single: single, pair: single + wrapped(.second(typeID: 1), 1))
  }

  /// How many special tokens are added to one text or two.
  func specialTokenCount(isPair: Bool) -> Int {
    (isPair ? pair : single).reduce(0) { count, part in
      if case .special(let ids, _) = part { count + ids.count } else { count }
    }
  }

  /// Puts the parts together.
  func process(
    _ first: ArraySlice<Int32>, _ second: ArraySlice<Int32>?, addsSpecialTokens: Bool
  ) -> (ids: [Int32], typeIDs: [Int32]) {
    let parts = second == nil ? single : pair
    var ids: [Int32] = []
    var typeIDs: [Int32] = []
    ids.reserveCapacity(first.count + (second?.count ?? 0) + 8)
    typeIDs.reserveCapacity(ids.capacity)
    func append(_ tokens: some Collection<Int32>, _ typeID: Int32) {
      ids.append(contentsOf: tokens)
      typeIDs.append(contentsOf: repeatElement(typeID, count: tokens.count))
    }
    for part in parts {
      switch part {
      case .special(let tokens, let typeID):
        if addsSpecialTokens { append(tokens, typeID) }
      case .first(let typeID):
        append(first, addsSpecialTokens ? typeID : bareTypeIDs?.first ?? typeID)
      case .second(let typeID):
        append(second ?? [], addsSpecialTokens ? typeID : bareTypeIDs?.second ?? typeID)
      }
    }
    return (ids, typeIDs)
  }

  /// How many tokens of two texts stay if `limit` are allowed: the strategy "longest first" of the
  /// tokenizers library.
  static func longestFirst(_ first: Int, _ second: Int, limit: Int) -> (first: Int, second: Int) {
    guard first + second > limit else { return (first, second) }
    var short = min(first, second)
    var long = short > limit ? short : max(short, limit - short)
    if short + long > limit {
      short = limit / 2
      long = short + limit % 2
    }
    return first > second ? (long, short) : (short, long)
  }
}
