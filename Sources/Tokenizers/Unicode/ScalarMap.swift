/// A map from code points to short sequences of code points: open addressing, one probe or two a look-up.
struct ScalarMap: Sendable {
  private var slots: [Slot]
  private var values: [UInt32] = []

  private struct Slot {
    /// The code point, or `.max` where the slot is free.
    var key: UInt32 = .max
    var start: UInt16 = 0
    var count: UInt16 = 0
  }

  /// Unpacks a table that `Scripts/unicode-tables` wrote.
  init(_ data: StaticString) {
    var reader = VarintReader(data)
    let count = reader.next()
    slots = Array(repeating: Slot(), count: ScalarHash.capacity(for: count))
    var key: UInt32 = 0
    for _ in 0..<count {
      key += UInt32(reader.next())
      let length = reader.next()
      var slot = ScalarHash.slot(UInt64(key), count: slots.count)
      while slots[slot].key != .max { slot = (slot + 1) & (slots.count - 1) }
      slots[slot] = Slot(key: key, start: UInt16(values.count), count: UInt16(length))
      for _ in 0..<length { values.append(UInt32(Int(key) + reader.nextSigned())) }
    }
  }

  /// Calls `body` with the code points that `key` stands for; with none if it isn't in the map.
  @inline(__always)
  func forEach(_ key: UInt32, _ body: (UInt32) -> Void) {
    var slot = ScalarHash.slot(UInt64(key), count: slots.count)
    while slots[slot].key != key {
      if slots[slot].key == .max { return }
      slot = (slot + 1) & (slots.count - 1)
    }
    let start = Int(slots[slot].start)
    for index in start..<start + Int(slots[slot].count) { body(values[index]) }
  }
}

/// The primary composites: pairs of code points and what they join to.
struct CompositionMap: Sendable {
  private var slots: [(pair: UInt64, composite: UInt32)]

  /// Unpacks a table that `Scripts/unicode-tables` wrote.
  init(_ data: StaticString) {
    var reader = VarintReader(data)
    let count = reader.next()
    slots = Array(repeating: (.max, 0), count: ScalarHash.capacity(for: count))
    var composite = 0
    for _ in 0..<count {
      composite += reader.next()
      precondition(reader.next() == 2, "a composite has two parts")
      let pair = UInt64(composite + reader.nextSigned()) << 32 | UInt64(composite + reader.nextSigned())
      var slot = ScalarHash.slot(pair, count: slots.count)
      while slots[slot].pair != .max { slot = (slot + 1) & (slots.count - 1) }
      slots[slot] = (pair, UInt32(composite))
    }
  }

  subscript(_ first: UInt32, _ second: UInt32) -> UInt32? {
    let pair = UInt64(first) << 32 | UInt64(second)
    var slot = ScalarHash.slot(pair, count: slots.count)
    while slots[slot].pair != pair {
      if slots[slot].pair == .max { return nil }
      slot = (slot + 1) & (slots.count - 1)
    }
    return slots[slot].composite
  }
}

private enum ScalarHash {
  /// A power of two that keeps at least half of the slots free.
  static func capacity(for count: Int) -> Int {
    var capacity = 16
    while capacity < count * 2 { capacity *= 2 }
    return capacity
  }

  @inline(__always)
  static func slot(_ key: UInt64, count: Int) -> Int {
    // Fibonacci hashing: the high bits of the product are well mixed.
    Int(truncatingIfNeeded: (key &* 0x9E37_79B9_7F4A_7C15) >> 40) & (count &- 1)
  }
}

/// Reads the varints (7 bits a byte, least significant first) of a table in base64.
struct VarintReader {
  private var bytes: [UInt8] = []
  private var position = 0

  /// Decodes the text, skipping line breaks.
  init(_ text: StaticString) {
    bytes.reserveCapacity(text.utf8CodeUnitCount * 3 / 4)
    var bits: UInt32 = 0
    var held = 0
    for byte in UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount) {
      let digit: UInt8
      switch byte {
      case UInt8(ascii: "A")...UInt8(ascii: "Z"): digit = byte - UInt8(ascii: "A")
      case UInt8(ascii: "a")...UInt8(ascii: "z"): digit = byte - UInt8(ascii: "a") + 26
      case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = byte - UInt8(ascii: "0") + 52
      case UInt8(ascii: "+"): digit = 62
      case UInt8(ascii: "/"): digit = 63
      default: continue
      }
      bits = bits << 6 | UInt32(digit)
      held += 6
      if held >= 8 {
        held -= 8
        bytes.append(UInt8(truncatingIfNeeded: bits >> UInt32(held)))
      }
    }
  }

  /// The next number.
  mutating func next() -> Int {
    var value = 0
    var shift = 0
    while true {
      let byte = bytes[position]
      position += 1
      value |= Int(byte & 0x7F) << shift
      if byte < 0x80 { return value }
      shift += 7
    }
  }

  /// The next number, which may be negative (zigzag form).
  mutating func nextSigned() -> Int {
    let value = next()
    return value & 1 == 0 ? value >> 1 : -(value >> 1) - 1
  }

  /// All numbers up to the end.
  mutating func rest() -> [Int] {
    var numbers: [Int] = []
    while position < bytes.count { numbers.append(next()) }
    return numbers
  }

  /// All pairs of length and value up to the end, spelled out.
  mutating func runs() -> [Int] {
    var values: [Int] = []
    while position < bytes.count {
      let length = next()
      values.append(contentsOf: repeatElement(next(), count: length))
    }
    return values
  }
}
