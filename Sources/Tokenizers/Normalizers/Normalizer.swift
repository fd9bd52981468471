/// The first stage of a tokenizer: rewrites a text before it is split.
package protocol Normalizer: Sendable {
  /// Appends the normalised form of `text`, which is valid UTF-8, to `output`.
  func normalize(_ text: UTF8Text, into output: inout [UInt8])
}

/// Normalizers applied one after the other.
struct SequenceNormalizer: Normalizer {
  /// The stages, in order.
  var stages: [any Normalizer]

  func normalize(_ text: UTF8Text, into output: inout [UInt8]) {
    guard let last = stages.last else {
      output.append(contentsOf: text)
      return
    }
    var current = Array(text)
    for stage in stages.dropLast() {
      var next: [UInt8] = []
      next.reserveCapacity(current.count)
      current.withUnsafeBufferPointer { stage.normalize($0, into: &next) }
      current = next
    }
    current.withUnsafeBufferPointer { last.normalize($0, into: &output) }
  }
}

/// Maps each code point to lowercase on its own: no final sigma, as the tokenizers library does.
package struct LowercaseNormalizer: Normalizer {
  package init() {}

  package func normalize(_ text: UTF8Text, into output: inout [UInt8]) {
    let tables = UnicodeTables.shared
    var position = 0
    while position < text.count {
      let (scalar, length) = text.scalar(at: position)
      position += length
      tables.forEachLowercased(scalar, tables.properties(of: scalar)) { output.append(scalar: $0) }
    }
  }
}

/// Removes combining marks, and decomposes nothing (`StripAccents` of the tokenizers library).
package struct CombiningMarkRemover: Normalizer {
  package init() {}

  package func normalize(_ text: UTF8Text, into output: inout [UInt8]) {
    let tables = UnicodeTables.shared
    var position = 0
    while position < text.count {
      let (scalar, length) = text.scalar(at: position)
      if !tables.properties(of: scalar).hasAny(.combiningMark) {
        output.append(contentsOf: text[position..<position + length])
      }
      position += length
    }
  }
}

/// Removes white space at the ends of the text (`Strip` of the tokenizers library).
struct WhitespaceTrimmer: Normalizer {
  var left: Bool
  var right: Bool

  func normalize(_ text: UTF8Text, into output: inout [UInt8]) {
    var start = 0
    var end = text.count
    if left { start = text.skippingWhitespace(from: 0) }
    if right { end = max(start, text.skippingWhitespace(backFrom: text.count)) }
    output.append(contentsOf: text[start..<end])
  }
}

/// Puts a fixed text before every text that isn't empty (`Prepend` of the tokenizers library).
struct PrependNormalizer: Normalizer {
  var prefix: [UInt8]

  func normalize(_ text: UTF8Text, into output: inout [UInt8]) {
    if !text.isEmpty { output.append(contentsOf: prefix) }
    output.append(contentsOf: text)
  }
}

/// Puts a space before a text that doesn't begin with one (`add_prefix_space` of `ByteLevel`).
struct PrefixSpaceNormalizer: Normalizer {
  func normalize(_ text: UTF8Text, into output: inout [UInt8]) {
    if let first = text.first, first != UInt8(ascii: " ") { output.append(UInt8(ascii: " ")) }
    output.append(contentsOf: text)
  }
}

/// Replaces a fixed text by another (`Replace` of the tokenizers library with a plain pattern).
struct ReplaceNormalizer: Normalizer {
  /// What is replaced; not empty.
  var pattern: [UInt8]
  var replacement: [UInt8]

  func normalize(_ text: UTF8Text, into output: inout [UInt8]) {
    var position = 0
    while position < text.count {
      if text[position] == pattern[0], text[position...].starts(with: pattern) {
        output.append(contentsOf: replacement)
        position += pattern.count
      } else {
        output.append(text[position])
        position += 1
      }
    }
  }
}

extension UnsafeBufferPointer where Element == UInt8 {
  /// The first offset from `start` on that isn't white space.
  func skippingWhitespace(from start: Int) -> Int {
    let tables = UnicodeTables.shared
    var position = start
    while position < count {
      let (scalar, length) = scalar(at: position)
      guard tables.properties(of: scalar).hasAny(.whitespace) else { break }
      position += length
    }
    return position
  }

  /// The offset at which the white space that ends before `end` begins, but none before `start`.
  func skippingWhitespace(backFrom end: Int, to start: Int = 0) -> Int {
    let tables = UnicodeTables.shared
    var position = end
    while position > start {
      let (scalar, length) = scalar(before: position)
      guard tables.properties(of: scalar).hasAny(.whitespace) else { break }
      position -= length
    }
    return position
  }
}
