import SalanganeTokenizers

/// Turns tokens into text as they come: never half a character, and never the start of a stop string.
package struct TextStreamer {
  private let tokenizer: any TextTokenizer
  private let stops: [[UInt8]]
  private let includesSpecialTokens: Bool
  /// Bytes that are not yet given out.
  private var pending: [UInt8] = []
  private var isFirst = true

  /// The stop string that ended the text.
  package private(set) var stopString: String?

  /// Creates a streamer.
  package init(_ tokenizer: any TextTokenizer, stopStrings: [String], includesSpecialTokens: Bool) {
    self.tokenizer = tokenizer
    self.includesSpecialTokens = includesSpecialTokens
    stops = stopStrings.filter { !$0.isEmpty }.map { Array($0.utf8) }
    pending.reserveCapacity(256)
  }

  /// Takes a token, and returns the text that is now certain.
  ///
  /// Models may have rows for more tokens than the tokenizer knows, to fill up a round number: such an id has no
  /// text.
  package mutating func append(_ id: Int32) -> String {
    if !includesSpecialTokens, tokenizer.isSpecial(id) { return "" }
    do {
      try tokenizer.appendText(of: id, isFirst: isFirst, to: &pending)
    } catch {
      return ""
    }
    isFirst = false
    return release(all: false)
  }

  /// The text that was held back, when no token follows; an incomplete character becomes U+FFFD.
  package mutating func finish() -> String { release(all: true) }

  private mutating func release(all: Bool) -> String {
    if let (stop, place) = firstStop() {
      stopString = String(decoding: stop, as: UTF8.self)
      let text = String(decoding: pending[..<place], as: UTF8.self)
      pending.removeAll(keepingCapacity: true)
      return text
    }
    let end = all ? pending.count : min(completeLength(), pending.count - heldBack())
    guard end > 0 else { return "" }
    let text = String(decoding: pending[..<end], as: UTF8.self)
    pending.removeFirst(end)
    return text
  }

  /// The stop string that ends first in the pending bytes, and where it starts.
  private func firstStop() -> (stop: [UInt8], start: Int)? {
    var first: (stop: [UInt8], start: Int)?
    for stop in stops where stop.count <= pending.count {
      for start in 0...(pending.count - stop.count)
      where pending[start..<start + stop.count].elementsEqual(stop) {
        if start < first?.start ?? .max { first = (stop, start) }
        break
      }
    }
    return first
  }

  /// How many bytes at the end may be the start of a stop string.
  private func heldBack() -> Int {
    var most = 0
    for stop in stops {
      for length in stride(from: min(stop.count - 1, pending.count), to: most, by: -1)
      where pending.suffix(length).elementsEqual(stop.prefix(length)) {
        most = length
        break
      }
    }
    return most
  }

  /// How many bytes at the start are whole UTF-8 sequences (a broken one counts as whole).
  private func completeLength() -> Int {
    var start = pending.count
    // At most three continuation bytes can be waiting for their fourth.
    for back in 1...4 where back <= pending.count {
      let byte = pending[pending.count - back]
      if byte & 0xC0 == 0x80 { continue }
      let length = byte < 0x80 ? 1 : byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : byte >= 0xC0 ? 2 : 1
      if length > back { start = pending.count - back }
      break
    }
    return start
  }
}
