import SalanganeFiles
import SalanganeTokenizers

extension ModelShape.Vocabulary {
  /// Sets the keys of a byte-level BPE tokenizer: the 256 bytes, generated words up to the first control
  /// token, the control tokens, and unused ones up to the vocabulary's size.
  ///
  /// The words are all those of lower-case letters, with or without a space in front, from the shortest on;
  /// each is one that came before it and one more letter, and that is its merge. So every word is reached,
  /// and every text can be told in tokens.
  package func setMetadata(of writer: inout GGUFWriter) {
    let bytes = ByteAlphabet.spelledBytes
    let words = words(count: firstControlToken - bytes.count)
    let unusedCount = size - firstControlToken - controlTokens.count
    precondition(unusedCount >= 0, "a shape's control tokens lie in its vocabulary")
    var tokens = bytes + words.map { $0.start + $0.letter } + controlTokens
    for id in tokens.count..<size { tokens.append("[PAD\(id)]") }
    // `llama_token_type`: 1 is a normal token, 3 a control token, 5 an unused one.
    let types =
      [Int32](repeating: 1, count: firstControlToken) + [Int32](repeating: 3, count: controlTokens.count)
      + [Int32](repeating: 5, count: unusedCount)
    func id(_ token: String) -> GGUFValue {
      guard let index = controlTokens.firstIndex(of: token) else {
        preconditionFailure("\(token) is one of the shape's control tokens")
      }
      return .uint32(UInt32(firstControlToken + index))
    }
    writer.set("tokenizer.ggml.model", .string("gpt2"))
    writer.set("tokenizer.ggml.pre", .string(preTokenizer))
    writer.set("tokenizer.ggml.tokens", .array(GGUFArray(tokens)))
    writer.set("tokenizer.ggml.token_type", .array(GGUFArray(types)))
    writer.set("tokenizer.ggml.merges", .array(GGUFArray(words.lazy.map { "\($0.start) \($0.letter)" })))
    writer.set("tokenizer.ggml.bos_token_id", id(beginningOfSequence))
    writer.set("tokenizer.ggml.eos_token_id", id(endOfSequence))
    writer.set("tokenizer.ggml.padding_token_id", id(endOfSequence))
    if let endOfTurn { writer.set("tokenizer.ggml.eot_token_id", id(endOfTurn)) }
    writer.set("tokenizer.ggml.add_bos_token", .bool(addsBeginning))
  }

  /// Words of two characters and more, in the order of their merges.
  private func words(count: Int) -> [(start: String, letter: String)] {
    let letters = (UInt8(ascii: "a")...UInt8(ascii: "z")).map { String(UnicodeScalar($0)) }
    var starts = [ByteAlphabet.spelledBytes[Int(UInt8(ascii: " "))]] + letters
    var words: [(start: String, letter: String)] = []
    words.reserveCapacity(count)
    var next = 0
    while words.count < count {
      let start = starts[next]
      next += 1
      for letter in letters where words.count < count {
        words.append((start, letter))
        starts.append(start + letter)
      }
    }
    return words
  }
}
