/// The split patterns that are known here: by their text, as a tokenizer.json has it, and by the names that
/// GGUF files give them in `tokenizer.ggml.pre`.
package enum SplitPatterns {
  private static let contractions = #"(?i:'s|'t|'re|'ve|'m|'ll|'d)"#
  private static let lineBreaksAndSpace = #"\s*[\r\n]+|\s+(?!\S)|\s+"#

  /// The pattern of `CL100KPreTokenizer`.
  private static func cl100k(letters: String, number: String) -> String {
    let marks = letters.contains("M") ? #"\p{M}"# : ""
    return "\(contractions)|[^\\r\\n\\p{L}\\p{N}]?\(letters)+|\(number)"
      + "| ?[^\\s\\p{L}\(marks)\\p{N}]+[\\r\\n]*|\(lineBreaksAndSpace)"
  }

  /// Patterns that have a scanner of their own.
  private static let scanners: [(pattern: String, preTokenizer: any PreTokenizer)] = [
    (cl100k(letters: #"\p{L}"#, number: #"\p{N}"#), qwen2),
    (cl100k(letters: #"[\p{L}\p{M}]"#, number: #"\p{N}"#), qwen35),
    (cl100k(letters: #"\p{L}"#, number: #"\p{N}{1,3}"#), llama3),
    (#"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#, GPT2PreTokenizer()),
    (
      ##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"##
        + #"| ?[\p{P}\p{S}]+[\r\n]*|"# + lineBreaksAndSpace, DeepSeekV3PreTokenizer()
    ),
  ]

  private static let qwen2 = CL100KPreTokenizer(longestNumber: 1, marksAreLetters: false)
  private static let qwen35 = CL100KPreTokenizer(longestNumber: 1, marksAreLetters: true)
  private static let llama3 = CL100KPreTokenizer(longestNumber: 3, marksAreLetters: false)

  /// The pre-tokenizer that isolates the matches of a pattern, or nil for one that isn't known.
  static func preTokenizer(for pattern: String) -> (any PreTokenizer)? {
    // Files differ in whether they escape the quotation mark, and line breaks.
    var text = pattern.utf8.elementsEqual(#"\s+$"#.utf8) ? pattern : replacing(pattern, "\\\"", with: "\"")
    text = replacing(replacing(text, "\r", with: "\\r"), "\n", with: "\\n")
    for (known, preTokenizer) in scanners where known.utf8.elementsEqual(text.utf8) {
      return preTokenizer
    }
    return RunPreTokenizer(pattern: text)
  }

  private static func replacing(_ text: String, _ pattern: String, with replacement: String) -> String {
    let normalizer = ReplaceNormalizer(
      pattern: Array(pattern.utf8), replacement: Array(replacement.utf8))
    var output: [UInt8] = []
    Array(text.utf8).withUnsafeBufferPointer { normalizer.normalize($0, into: &output) }
    return String(decoding: output, as: UTF8.self)
  }

  /// What GGUF files mean by a name in `tokenizer.ggml.pre`.
  struct Named: Sendable {
    var stages: [any PreTokenizer]
    /// Whether the model's own tokenizer.json brings texts into the form NFC, which the name implies.
    var normalizes = false
    /// Whether a piece that is a token becomes it without any merge.
    var ignoresMerges = false
    /// Whether a text begins with the BOS token if the file doesn't say.
    var addsBeginning = false
    /// Whether BOS and EOS tokens are never added, as the chat template writes what comes first.
    var neverAddsTokens = false
  }

  /// The names, in the order in which messages list them.
  package static let names = [
    "gpt-2", "llama-bpe", "llama3", "llama-v3", "qwen2", "qwen35", "deepseek-r1-qwen", "deepseek-llm",
    "deepseek-coder", "deepseek-v3", "chatglm-bpe", "glm4", "glm5",
  ]

  /// What a name means, or nil for one that isn't known (llama.cpp, `llama-vocab.cpp`; the published
  /// tokenizer.json files where they say more).
  static func named(_ name: String) -> Named? {
    switch name {
    case "gpt-2": Named(stages: [GPT2PreTokenizer()])
    case "llama-bpe", "llama3", "llama-v3":
      Named(stages: [llama3], ignoresMerges: true, addsBeginning: true)
    case "qwen2", "deepseek-r1-qwen": Named(stages: [qwen2], normalizes: true)
    case "qwen35": Named(stages: [qwen35], normalizes: true)
    case "chatglm-bpe": Named(stages: [llama3], neverAddsTokens: true)
    case "glm4", "glm5": Named(stages: [llama3], ignoresMerges: true, neverAddsTokens: true)
    case "deepseek-v3": Named(stages: deepSeekV3)
    case "deepseek-coder": Named(stages: deepSeekCoder)
    case "deepseek-llm": Named(stages: deepSeekLLM)
    default: nil
    }
  }

  /// The pre-tokenizer that a name stands for, or nil for one that isn't known.
  package static func preTokenizer(named name: String) -> (any PreTokenizer)? {
    named(name).flatMap { PreTokenizerPlan(stages: $0.stages).preTokenizer }
  }

  private static let lineBreaks = RunPreTokenizer(
    members: ScalarClass(ranges: [0x0A...0x0A, 0x0D...0x0D]), longest: 1)
  /// The pattern `[一-龥ࠀ-一가-퟿]+`.
  private static let eastAsian = RunPreTokenizer(
    members: ScalarClass(ranges: [0x4E00...0x9FA5, 0x800...0x4E00, 0xAC00...0xD7FF]))
  private static let digits = RunPreTokenizer(members: ScalarClass(properties: .numeric), longest: 1)

  private static let deepSeekV3: [any PreTokenizer] = [
    RunPreTokenizer(members: ScalarClass(properties: .number), longest: 3),
    RunPreTokenizer(members: ScalarClass(ranges: [0x4E00...0x9FA5, 0x3040...0x309F, 0x30A0...0x30FF])),
    DeepSeekV3PreTokenizer(),
  ]

  private static let deepSeekCoder: [any PreTokenizer] = [
    lineBreaks, RunPreTokenizer(members: ScalarClass(properties: .letter), takesSpace: true),
    RunPreTokenizer(members: ScalarClass(properties: .punctuation), takesSpace: true), eastAsian, digits,
  ]

  private static let deepSeekLLM: [any PreTokenizer] = [
    lineBreaks, RunPreTokenizer(members: ScalarClass(ranges: casedLetters), takesSpace: true),
    // `\s?[!-/:-~！-／：-～‘-‟　-。]+`
    RunPreTokenizer(
      members: ScalarClass(ranges: [
        0x21...0x2F, 0x3A...0x7E, 0xFF01...0xFF0F, 0xFF1A...0xFF5E, 0x2018...0x201F, 0x3000...0x3002,
      ]), takesSpace: true),
    RunPreTokenizer(members: ScalarClass(properties: .regexSpace), endsLine: true), eastAsian, digits,
  ]

  /// The letters of the second split of DeepSeek-LLM: cased ones, less some blocks.
  private static let casedLetters: [ClosedRange<UInt32>] = [
    0x41...0x5A, 0x61...0x7A, 0xB5...0xB5, 0xC0...0xD6, 0xD8...0xF6, 0xF8...0x1BA, 0x1BC...0x1BF,
    0x1C4...0x293, 0x295...0x2AF, 0x370...0x373, 0x376...0x377, 0x37B...0x37D, 0x37F...0x37F,
    0x386...0x386, 0x388...0x38A, 0x38C...0x38C, 0x38E...0x3A1, 0x3A3...0x3F5, 0x3F7...0x481,
    0x48A...0x52F, 0x531...0x556, 0x10A0...0x10C5, 0x13A0...0x13F5, 0x13F8...0x13FD, 0x1C90...0x1CBA,
    0x1CBD...0x1CBF, 0x1D00...0x1D2B, 0x1D6B...0x1D77, 0x1D79...0x1D9A, 0x1E00...0x1F15,
    0x1F18...0x1F1D, 0x1F20...0x1F45, 0x1F48...0x1F4D, 0x1F50...0x1F57, 0x1F59...0x1F59,
    0x1F5B...0x1F5B, 0x1F5D...0x1F5D, 0x1F5F...0x1F7D, 0x1F80...0x1FB4, 0x1FB6...0x1FBC,
    0x1FBE...0x1FBE, 0x1FC2...0x1FC4, 0x1FC6...0x1FCC, 0x1FD0...0x1FD3, 0x1FD6...0x1FDB,
    0x1FE0...0x1FEC, 0x1FF2...0x1FF4, 0x1FF6...0x1FFC, 0x2102...0x2102, 0x2107...0x2107,
    0x210A...0x2113, 0x2115...0x2115, 0x2119...0x211D, 0x2124...0x2124, 0x2126...0x2126,
    0x2128...0x2128, 0x212A...0x212D, 0x212F...0x2134, 0x2139...0x2139, 0x213C...0x213F,
    0x2145...0x2149, 0x214E...0x214E, 0x2183...0x2184, 0x2C00...0x2C7B, 0x2C7E...0x2CE4,
    0x2CEB...0x2CEE, 0x2CF2...0x2CF3, 0xA640...0xA66D, 0xA680...0xA69B, 0xA722...0xA76F,
    0xA771...0xA787, 0xA78B...0xA78E, 0xAB70...0xABBF, 0xFB00...0xFB06, 0xFB13...0xFB17,
    0xFF21...0xFF3A, 0xFF41...0xFF5A, 0x10400...0x1044F, 0x104B0...0x104D3, 0x104D8...0x104FB,
    0x10C80...0x10CB2, 0x10CC0...0x10CF2, 0x118A0...0x118DF, 0x1E900...0x1E943,
  ]
}
