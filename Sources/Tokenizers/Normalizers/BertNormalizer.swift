/// The normalizer of BERT: cleans, sets ideographs apart, strips accents and lowercases, in this order.
package struct BertNormalizer: Normalizer {
  /// Whether control characters are removed and white space becomes U+0020.
  var cleansText: Bool
  /// Whether spaces are put around ideographs.
  var spacesIdeographs: Bool
  /// Whether the text is decomposed (NFD) and its nonspacing marks are removed.
  var stripsAccents: Bool
  /// Whether the text is lowercased, each code point on its own.
  var lowercases: Bool

  package init(cleansText: Bool, spacesIdeographs: Bool, stripsAccents: Bool, lowercases: Bool) {
    self.cleansText = cleansText
    self.spacesIdeographs = spacesIdeographs
    self.stripsAccents = stripsAccents
    self.lowercases = lowercases
  }

  package func normalize(_ text: UTF8Text, into output: inout [UInt8]) {
    let tables = UnicodeTables.shared
    let ascii = asciiActions()
    let dropped: UnicodeProperties = cleansText ? .bertRemoved : []
    let spaced: UnicodeProperties = cleansText ? .bertSpace : []
    var segment = DecomposedSegment(tables: tables)
    output.reserveCapacity(output.count + text.count + text.count / 8)

    var position = 0
    while position < text.count {
      let byte = text[position]
      if byte < 0x80 {
        position += 1
        let action = ascii[Int(byte)]
        if action == Self.removed { continue }
        flush(&segment, into: &output)
        output.append(action)
        continue
      }
      var (scalar, length) = text.scalar(at: position)
      position += length
      var properties = tables.properties(of: scalar)
      if properties.hasAny(dropped) { continue }
      if properties.hasAny(spaced) {
        scalar = 0x20
        properties = tables.properties(of: scalar)
      }
      if spacesIdeographs, tables.isIdeograph(scalar) {
        flush(&segment, into: &output)
        output.append(UInt8(ascii: " "))
        write(scalar, properties, &segment, into: &output)
        flush(&segment, into: &output)
        output.append(UInt8(ascii: " "))
      } else {
        write(scalar, properties, &segment, into: &output)
      }
    }
    flush(&segment, into: &output)
  }

  /// Marks an ASCII character that goes; NUL itself can stay only where nothing is cleaned.
  private static let removed: UInt8 = 0xFF

  /// What becomes of each ASCII character.
  private func asciiActions() -> [UInt8] {
    let tables = UnicodeTables.shared
    return (0..<128).map { (byte: UInt32) -> UInt8 in
      let properties = tables.properties(of: byte)
      if cleansText, properties.hasAny(.bertRemoved) { return Self.removed }
      if cleansText, properties.hasAny(.bertSpace) { return 0x20 }
      let isUppercase = byte &- 0x41 < 26
      return UInt8(lowercases && isUppercase ? byte + 0x20 : byte)
    }
  }

  @inline(__always)
  private func write(
    _ scalar: UInt32, _ properties: UnicodeProperties, _ segment: inout DecomposedSegment,
    into output: inout [UInt8]
  ) {
    guard stripsAccents else { return emit(scalar, properties, into: &output) }
    if !properties.hasAny(.joinsPrevious) {
      flush(&segment, into: &output)
      // Most letters have no part in decomposition at all. Some marks have none either.
      if !properties.hasAny(.decomposes) {
        if !properties.hasAny(.nonspacingMark) { emit(scalar, properties, into: &output) }
        return
      }
    }
    segment.append(scalar, properties, compatibly: false)
  }

  /// Writes what is left of a decomposed segment without its nonspacing marks.
  @inline(__always)
  private func flush(_ segment: inout DecomposedSegment, into output: inout [UInt8]) {
    if segment.isEmpty { return }
    segment.sort()
    let tables = segment.tables
    segment.forEach { scalar in
      let properties = tables.properties(of: scalar)
      if !properties.hasAny(.nonspacingMark) { emit(scalar, properties, into: &output) }
    }
  }

  @inline(__always)
  private func emit(_ scalar: UInt32, _ properties: UnicodeProperties, into output: inout [UInt8]) {
    guard lowercases else { return output.append(scalar: scalar) }
    UnicodeTables.shared.forEachLowercased(scalar, properties) { output.append(scalar: $0) }
  }
}
