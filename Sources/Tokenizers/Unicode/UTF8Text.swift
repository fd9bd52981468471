/// A span of UTF-8 that is known to be valid.
package typealias UTF8Text = UnsafeBufferPointer<UInt8>

extension UnsafeBufferPointer where Element == UInt8 {
  /// The code point at `position` and its length in bytes; the text must be valid UTF-8.
  @inline(__always)
  func scalar(at position: Int) -> (scalar: UInt32, length: Int) {
    let first = UInt32(self[position])
    if first < 0x80 { return (first, 1) }
    if first < 0xE0 { return ((first & 0x1F) << 6 | continuation(position &+ 1), 2) }
    if first < 0xF0 {
      return ((first & 0x0F) << 12 | continuation(position &+ 1) << 6 | continuation(position &+ 2), 3)
    }
    let high = (first & 0x07) << 18 | continuation(position &+ 1) << 12
    return (high | continuation(position &+ 2) << 6 | continuation(position &+ 3), 4)
  }

  /// The code point that ends before `position` and its length; the text must be valid UTF-8.
  func scalar(before position: Int) -> (scalar: UInt32, length: Int) {
    var start = position - 1
    while start > 0, self[start] & 0xC0 == 0x80 { start -= 1 }
    return scalar(at: start)
  }

  @inline(__always)
  private func continuation(_ position: Int) -> UInt32 { UInt32(self[position] & 0x3F) }

  /// The part between two offsets.
  @inline(__always)
  func slice(_ range: Range<Int>) -> UnsafeBufferPointer<UInt8> {
    UnsafeBufferPointer(rebasing: self[range])
  }

  /// How many code points the text has.
  var scalarCount: Int {
    var count = 0
    for byte in self where byte & 0xC0 != 0x80 { count &+= 1 }
    return count
  }

  /// True if no byte has its high bit set.
  var isASCII: Bool { allSatisfy { $0 < 0x80 } }
}

extension Array where Element == UInt8 {
  /// Appends a code point in UTF-8.
  @inline(__always)
  mutating func append(scalar: UInt32) {
    if scalar < 0x80 {
      append(UInt8(truncatingIfNeeded: scalar))
    } else if scalar < 0x800 {
      append(UInt8(truncatingIfNeeded: 0xC0 | scalar >> 6))
      append(UInt8(truncatingIfNeeded: 0x80 | scalar & 0x3F))
    } else if scalar < 0x10000 {
      append(UInt8(truncatingIfNeeded: 0xE0 | scalar >> 12))
      append(UInt8(truncatingIfNeeded: 0x80 | scalar >> 6 & 0x3F))
      append(UInt8(truncatingIfNeeded: 0x80 | scalar & 0x3F))
    } else {
      append(UInt8(truncatingIfNeeded: 0xF0 | scalar >> 18))
      append(UInt8(truncatingIfNeeded: 0x80 | scalar >> 12 & 0x3F))
      append(UInt8(truncatingIfNeeded: 0x80 | scalar >> 6 & 0x3F))
      append(UInt8(truncatingIfNeeded: 0x80 | scalar & 0x3F))
    }
  }
}
