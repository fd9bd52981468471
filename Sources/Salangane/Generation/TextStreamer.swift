import SalanganeTokenizers

/// Turns tokens into text as they come: never half a character, and never the start of a stop string.
package struct TextStreamer {
  private var detokenizer: StreamingDetokenizer
  private let stops: [[UInt8]]
  /// Whole characters that are not yet given out.
  private var pending: [UInt8] = []

  /// The stop string that ended the text.
  package private(set) var stopString: String?

  /// Creates a streamer.
  package init(_ tokenizer: any TextTokenizer, stopStrings: [String], includesSpecialTokens: Bool) {
    detokenizer = StreamingDetokenizer(tokenizer, skippingSpecialTokens: !includesSpecialTokens)
    stops = stopStrings.filter { !$0.isEmpty }.map { Array($0.utf8) }
    pending.reserveCapacity(256)
  }

  /// Takes a token, and returns the text that is now certain.
  ///
  /// Models may have rows for more tokens than the tokenizer knows, to fill up a round number: such an id has no
  /// text.
  package mutating func append(_ id: Int32) -> String {
    do {
      pending.append(contentsOf: try detokenizer.append(id).utf8)
    } catch {
      return ""
    }
    return release(all: false)
  }

  /// The text that was held back, when no token follows; an incomplete character becomes U+FFFD.
  package mutating func finish() -> String {
    pending.append(contentsOf: detokenizer.finish().utf8)
    return release(all: true)
  }

  private mutating func release(all: Bool) -> String {
    if let (stop, place) = firstStop() {
      stopString = String(decoding: stop, as: UTF8.self)
      let text = String(decoding: pending[..<place], as: UTF8.self)
      pending.removeAll(keepingCapacity: true)
      return text
    }
    let end = all ? pending.count : pending.count - heldBack()
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

  /// How many bytes at the end may be the start of a stop string; whole characters, as both are UTF-8.
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
}
