/// JSON strings: writing them, and decoding those that the parser has already checked.
package enum JSONString {
  /// `text` in quotation marks, with what JSON requires escaped.
  package static func encode(_ text: String) -> String {
    var encoded = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": encoded += "\\\""
      case "\\": encoded += "\\\\"
      case "\u{0}"..."\u{1F}":
        let digits = String(scalar.value, radix: 16)
        encoded += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: encoded.unicodeScalars.append(scalar)
      }
    }
    return encoded + "\""
  }

  /// Replaces the escapes of a string's text (RFC 8259, section 7).
  static func decode(_ text: UnsafeBufferPointer<UInt8>) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: text.count) { output, written in
      var position = 0
      while position < text.count {
        let byte = text[position]
        guard byte == UInt8(ascii: "\\") else {
          output[written] = byte
          written += 1
          position += 1
          continue
        }
        let escape = text[position + 1]
        position += 2
        guard escape == UInt8(ascii: "u") else {
          output[written] = unescaped(escape)
          written += 1
          continue
        }
        var scalar = hexadecimal(text, at: position)
        position += 4
        if scalar & 0xFC00 == 0xD800 {
          scalar = 0x10000 + ((scalar & 0x3FF) << 10) + (hexadecimal(text, at: position + 2) & 0x3FF)
          position += 6
        }
        for byte in UTF8.encode(Unicode.Scalar(scalar) ?? "\u{FFFD}")! {
          output[written] = byte
          written += 1
        }
      }
    }
  }

  /// The number that four hexadecimal digits stand for, or more than 0xFFFF if they aren't that.
  static func hexadecimal(_ text: UnsafeBufferPointer<UInt8>, at position: Int) -> UInt32 {
    guard position + 4 <= text.count else { return .max }
    var value: UInt32 = 0
    for offset in position..<position + 4 {
      let digit: UInt8
      switch text[offset] {
      case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = text[offset] - UInt8(ascii: "0")
      case UInt8(ascii: "a")...UInt8(ascii: "f"): digit = text[offset] - UInt8(ascii: "a") + 10
      case UInt8(ascii: "A")...UInt8(ascii: "F"): digit = text[offset] - UInt8(ascii: "A") + 10
      default: return .max
      }
      value = value << 4 | UInt32(digit)
    }
    return value
  }

  private static func unescaped(_ escape: UInt8) -> UInt8 {
    switch escape {
    case UInt8(ascii: "b"): 0x08
    case UInt8(ascii: "f"): 0x0C
    case UInt8(ascii: "n"): 0x0A
    case UInt8(ascii: "r"): 0x0D
    case UInt8(ascii: "t"): 0x09
    default: escape
    }
  }
}

/// Conversion of JSON numbers whose grammar the parser has already checked.
enum JSONNumber {
  /// Powers of ten that a `Double` holds exactly.
  private static let powers: [Double] = [
    1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
    1e19, 1e20, 1e21, 1e22,
  ]

  /// The nearest `Double`, which is infinite if the number is out of range.
  static func double(_ text: UnsafeBufferPointer<UInt8>) -> Double {
    // Exact operands and one rounding give the nearest value (Clinger, "How to read floating point
    // numbers accurately", 1990); vocabularies with scores hold many thousands of such numbers.
    if let parts = Decimal(text), parts.significand < 1 << 53, abs(parts.exponent) <= 22 {
      let significand = Double(parts.significand)
      let power = powers[abs(parts.exponent)]
      let magnitude = parts.exponent < 0 ? significand / power : significand * power
      return parts.isNegative ? -magnitude : magnitude
    }
    return Double(String(decoding: text, as: UTF8.self)) ?? .infinity
  }

  /// The number if it is a whole one that `Int` holds.
  static func integer(_ text: UnsafeBufferPointer<UInt8>) -> Int? {
    guard let parts = Decimal(text) else { return nil }
    guard parts.significand != 0 else { return 0 }
    guard parts.exponent >= 0, parts.exponent < 20 else { return nil }
    var magnitude = parts.significand
    for _ in 0..<parts.exponent {
      let (product, overflow) = magnitude.multipliedReportingOverflow(by: 10)
      if overflow { return nil }
      magnitude = product
    }
    if parts.isNegative {
      return magnitude <= Int.min.magnitude ? Int(truncatingIfNeeded: 0 &- magnitude) : nil
    }
    return Int(exactly: magnitude)
  }

  /// `significand * 10^exponent`, without zeros at the end of a fraction.
  private struct Decimal {
    var isNegative = false
    var significand: UInt64 = 0
    var exponent = 0

    /// Nil if the significand doesn't fit.
    init?(_ text: UnsafeBufferPointer<UInt8>) {
      var position = 0
      if text[0] == UInt8(ascii: "-") {
        isNegative = true
        position = 1
      }
      var inFraction = false
      // Zeros that count only if another digit follows them.
      var pendingZeros = 0
      scan: while position < text.count {
        let byte = text[position]
        position += 1
        switch byte {
        case UInt8(ascii: "0") where inFraction:
          pendingZeros += 1
        case UInt8(ascii: "0")...UInt8(ascii: "9"):
          for _ in 0..<(significand == 0 ? 0 : pendingZeros) {
            guard appendDigit(0) else { return nil }
          }
          guard appendDigit(UInt64(byte - UInt8(ascii: "0"))) else { return nil }
          if inFraction { exponent -= 1 + pendingZeros }
          pendingZeros = 0
        case UInt8(ascii: "."):
          inFraction = true
        default:
          break scan
        }
      }
      guard position < text.count else { return }
      // What is left is an exponent: a sign and digits.
      var isExponentNegative = false
      if text[position] == UInt8(ascii: "-") || text[position] == UInt8(ascii: "+") {
        isExponentNegative = text[position] == UInt8(ascii: "-")
        position += 1
      }
      var written = 0
      while position < text.count {
        written = min(written * 10 + Int(text[position] - UInt8(ascii: "0")), 1_000_000)
        position += 1
      }
      exponent += isExponentNegative ? -written : written
      // `50e-1` is 5.
      while exponent < 0, significand != 0, significand % 10 == 0 {
        significand /= 10
        exponent += 1
      }
    }

    private mutating func appendDigit(_ digit: UInt64) -> Bool {
      let (product, overflow) = significand.multipliedReportingOverflow(by: 10)
      let (sum, carry) = product.addingReportingOverflow(digit)
      significand = sum
      return !overflow && !carry
    }
  }
}
