/// Applies a `CharacterMap` in the way of the tokenizers library (`Precompiled`), which is not that of
/// SentencePiece: a grapheme of at most five bytes is replaced as a whole by what its shortest matching
/// beginning becomes; other graphemes are taken apart into code points.
struct PrecompiledNormalizer: Normalizer {
  var characterMap: CharacterMap

  func normalize(_ text: UTF8Text, into output: inout [UInt8]) {
    output.reserveCapacity(output.count + text.count + 8)
    var position = 0
    while position < text.count {
      // Graphemes begin at every ASCII character except in CR LF.
      let byte = text[position]
      if byte < 0x80, byte != 0x0D, position + 1 < text.count, text[position + 1] < 0x80 {
        if characterMap.stays(byte) {
          output.append(byte)
        } else {
          replaceGrapheme(text.slice(position..<position + 1), into: &output)
        }
        position += 1
        continue
      }
      var end = position + 1
      // Up to where two ASCII characters meet.
      while end < text.count, text[end] >= 0x80 || text[end - 1] >= 0x80 || text[end] == 0x0A { end += 1 }
      let stretch = text.slice(position..<end)
      var start = 0
      for grapheme in String(decoding: stretch, as: UTF8.self) {
        let count = grapheme.utf8.count
        replaceGrapheme(stretch.slice(start..<start + count), into: &output)
        start += count
      }
      position = end
    }
  }

  private func replaceGrapheme(_ grapheme: UTF8Text, into output: inout [UInt8]) {
    if grapheme.count < 6, let replacement = characterMap.shortestReplacement(of: grapheme) {
      output.append(contentsOf: replacement)
      return
    }
    var position = 0
    while position < grapheme.count {
      let end = position + grapheme.scalar(at: position).length
      let scalar = grapheme.slice(position..<end)
      if let replacement = characterMap.shortestReplacement(of: scalar) {
        output.append(contentsOf: replacement)
      } else {
        output.append(contentsOf: scalar)
      }
      position = end
    }
  }
}

/// Replaces each run of at least two spaces by a fixed text: the regular expression ` {2,}`, which the
/// tokenizer.json files of XLM-RoBERTa and its kin have.
struct SpaceRunReplacer: Normalizer {
  var replacement: [UInt8]

  func normalize(_ text: UTF8Text, into output: inout [UInt8]) {
    var position = 0
    while position < text.count {
      var end = position
      while end < text.count, text[end] == 0x20 { end += 1 }
      if end - position >= 2 {
        output.append(contentsOf: replacement)
        position = end
      } else {
        output.append(text[position])
        position += 1
      }
    }
  }
}
