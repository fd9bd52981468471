/// The tables of vectors that the IQ formats index.
///
/// Each is the ascending list of a set of numbers; the digits of a number, lowest first, are the elements of a
/// vector, through a short list of values. Source: ggml, `iq2xxs_grid` and its like in `ggml-common.h`.
enum Grid {
  /// 256 vectors of `IQ2_XXS`.
  static let iq2XXS = vectors(GridTables.iq2XXS, count: 256, values: [8, 25, 43])
  /// 512 vectors of `IQ2_XS`.
  static let iq2XS = vectors(GridTables.iq2XS, count: 512, values: [8, 25, 43])
  /// 1,024 vectors of `IQ2_S`.
  static let iq2S = vectors(GridTables.iq2S, count: 1024, values: [8, 25, 43])
  /// 2,048 vectors of `IQ1_S` and `IQ1_M`.
  static let iq1 = vectors(GridTables.iq1, count: 2048, values: [-1, 0, 1])
  /// 256 vectors of `IQ3_XXS`.
  static let iq3XXS = halfVectors(GridTables.iq3XXS, count: 256, values: [4, 12, 20, 28, 36, 44, 52, 62])
  /// 512 vectors of `IQ3_S`.
  static let iq3S = halfVectors(GridTables.iq3S, count: 512, values: [1, 3, 5, 7, 9, 11, 13, 15])

  private static func vectors(_ table: StaticString, count: Int, values: [Int8]) -> [GridVector] {
    members(of: table, count: count).map { number in
      var rest = number
      var elements = SIMD8<Int8>()
      for place in 0..<8 {
        elements[place] = values[rest % values.count]
        rest /= values.count
      }
      return GridVector(elements: elements)
    }
  }

  private static func halfVectors(_ table: StaticString, count: Int, values: [Int8]) -> [SIMD4<Int8>] {
    members(of: table, count: count).map { number in
      var rest = number
      var elements = SIMD4<Int8>()
      for place in 0..<4 {
        elements[place] = values[rest % values.count]
        rest /= values.count
      }
      return elements
    }
  }

  /// The numbers in the set that a table describes.
  private static func members(of table: StaticString, count: Int) -> [Int] {
    var members: [Int] = []
    var number = 0
    table.withUTF8Buffer { characters in
      for character in characters where character >= UInt8(ascii: "0") {
        let bits = character - UInt8(ascii: "0")
        for bit in 0..<6 {
          if bits >> bit & 1 == 1 { members.append(number) }
          number += 1
        }
      }
    }
    precondition(members.count == count, "a grid table is damaged")
    return members
  }
}

/// Eight consecutive values before their scale and signs.
struct GridVector {
  /// The values.
  var elements: SIMD8<Int8>

  /// Creates a vector from its elements.
  @inline(__always)
  init(elements: SIMD8<Int8>) {
    self.elements = elements
  }

  /// Creates a vector from its halves.
  @inline(__always)
  init(_ low: SIMD4<Int8>, _ high: SIMD4<Int8>) {
    elements = SIMD8(lowHalf: low, highHalf: high)
  }

  /// Writes the elements, negated where their bits of `signs` are set, with 128 added.
  @inline(__always)
  func store(signs: UInt8, to codes: UnsafeMutablePointer<UInt8>) {
    for index in 0..<8 {
      let mask = 0 &- Int8(truncatingIfNeeded: signs &>> UInt8(truncatingIfNeeded: index) & 1)
      codes[index] = UInt8(bitPattern: (elements[index] ^ mask) &- mask) ^ 0x80
    }
  }

  /// Writes `8 * element + shift`, with 128 added.
  @inline(__always)
  func store(eightfoldAnd shift: Int8, to codes: UnsafeMutablePointer<UInt8>) {
    for index in 0..<8 { codes[index] = UInt8(bitPattern: elements[index] &* 8 &+ shift) ^ 0x80 }
  }
}

/// Signs of eight values in 7 bits: the eighth is such that an even number of them is negative.
///
/// Source: ggml, `ksigns_iq2xs`.
enum SignBits {
  /// The eight sign bits of an index, of which only the lower seven bits count.
  @inline(__always)
  static func ofIndex(_ index: UInt32) -> UInt8 {
    let bits = UInt8(truncatingIfNeeded: index & 127)
    // Fold the parity into the lowest bit.
    var parity = bits ^ bits >> 4
    parity ^= parity >> 2
    parity ^= parity >> 1
    return bits | parity << 7
  }
}
