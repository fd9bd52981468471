// The codes of packed quantised weights.
//
// A panel holds 16 output features. For every 32 input features it has eight vectors of 64 codes: vector v has,
// for each of the 16 outputs, the codes of inputs 4 v to 4 v + 3 side by side, as products of 4 bytes take them.
// In memory the vectors are squeezed to the format's bits: byte b of a plane holds parts of byte b of several
// vectors, so that shifts and masks bring them back without moving a byte sideways.

/// Sixty-four codes of a byte each: 16 outputs x 4 inputs.
typealias Codes = SIMD16<UInt32>

/// Sums of products of codes, one for each of 16 outputs.
typealias IntegerLanes = SIMD16<Int32>

/// Sixteen values that codes of 4 bits stand for.
typealias CodeTable = SIMD16<UInt8>

/// The codes of 32 inputs and 16 outputs.
typealias CodeGroup = InlineArray<8, Codes>

@inline(__always) func loadCodes(_ source: UnsafeRawPointer, _ vector: Int) -> Codes {
  (source + (vector &* 64)).loadUnaligned(as: Codes.self)
}

@inline(__always) func storeCodes(_ codes: Codes, _ destination: UnsafeMutableRawPointer, _ vector: Int) {
  (destination + (vector &* 64)).storeBytes(of: codes, as: Codes.self)
}

/// How codes lie in memory.
protocol CodeLayout {
  /// Bytes for 32 inputs of 16 outputs.
  static var byteCount: Int { get }
  /// The greatest code; 255 for those that stand for 8-bit values.
  static var maximumCode: Int { get }
  /// Whether codes lie in memory as they are multiplied, a byte each.
  static var isPlain: Bool { get }
  /// The eight vectors of a group.
  static func codes(_ source: UnsafeRawPointer) -> CodeGroup
  /// Squeezes the eight vectors of a group; the inverse of `codes`, before any table.
  static func pack(_ group: CodeGroup, _ destination: UnsafeMutableRawPointer)
}

extension CodeLayout {
  /// Whether codes lie in memory as they are multiplied, a byte each.
  @inline(__always) static var isPlain: Bool { false }
  /// Whether codes take all 8 bits.
  @inline(__always) static var isWide: Bool { maximumCode > 63 }
}

/// 4 bits: byte b of plane p is vector p's code in its low nibble, and vector p + 4's in the high one.
enum Codes4: CodeLayout {
  @inline(__always) static var byteCount: Int { 256 }
  @inline(__always) static var maximumCode: Int { 15 }
  @inline(__always) static func codes(_ source: UnsafeRawPointer) -> CodeGroup {
    var group = CodeGroup(repeating: Codes())
    for plane in 0..<4 {
      let pair = loadCodes(source, plane)
      group[unchecked: plane] = pair & 0x0F0F_0F0F
      group[unchecked: plane &+ 4] = (pair &>> 4) & 0x0F0F_0F0F
    }
    return group
  }
  @inline(__always) static func pack(_ group: CodeGroup, _ destination: UnsafeMutableRawPointer) {
    for plane in 0..<4 {
      let low = group[unchecked: plane] & 0x0F0F_0F0F
      let high = group[unchecked: plane &+ 4] & 0x0F0F_0F0F
      storeCodes(low | (high &<< 4), destination, plane)
    }
  }
}

/// 5 bits: four planes as in `Codes4`, and one whose bit v is vector v's fifth.
enum Codes5: CodeLayout {
  @inline(__always) static var byteCount: Int { 320 }
  @inline(__always) static var maximumCode: Int { 31 }
  @inline(__always) static func codes(_ source: UnsafeRawPointer) -> CodeGroup {
    var group = Codes4.codes(source)
    let high = loadCodes(source, 4)
    for vector in 0..<8 {
      let moved =
        vector < 4
        ? high &<< UInt32(truncatingIfNeeded: 4 &- vector)
        : high &>> UInt32(truncatingIfNeeded: vector &- 4)
      group[unchecked: vector] |= moved & 0x1010_1010
    }
    return group
  }
  @inline(__always) static func pack(_ group: CodeGroup, _ destination: UnsafeMutableRawPointer) {
    Codes4.pack(group, destination)
    var high = Codes()
    for vector in 0..<8 {
      high |= ((group[unchecked: vector] &>> 4) & 0x0101_0101) &<< UInt32(truncatingIfNeeded: vector)
    }
    storeCodes(high, destination, 4)
  }
}

/// 6 bits: four planes as in `Codes4`, and two, whose bits 2 v and 2 v + 1 are the upper ones of vectors v (first
/// plane) and v + 4 (second).
enum Codes6: CodeLayout {
  @inline(__always) static var byteCount: Int { 384 }
  @inline(__always) static var maximumCode: Int { 63 }
  @inline(__always) static func codes(_ source: UnsafeRawPointer) -> CodeGroup {
    var group = Codes4.codes(source)
    for plane in 0..<2 {
      let high = loadCodes(source, 4 &+ plane)
      for part in 0..<4 {
        let moved =
          part < 2
          ? high &<< UInt32(truncatingIfNeeded: 4 &- part &* 2)
          : high &>> UInt32(truncatingIfNeeded: part &* 2 &- 4)
        group[unchecked: plane &* 4 &+ part] |= moved & 0x3030_3030
      }
    }
    return group
  }
  @inline(__always) static func pack(_ group: CodeGroup, _ destination: UnsafeMutableRawPointer) {
    Codes4.pack(group, destination)
    for plane in 0..<2 {
      var high = Codes()
      for part in 0..<4 {
        let bits = (group[unchecked: plane &* 4 &+ part] &>> 4) & 0x0303_0303
        high |= bits &<< UInt32(truncatingIfNeeded: part &* 2)
      }
      storeCodes(high, destination, 4 &+ plane)
    }
  }
}

/// 2 bits: two planes, whose bits 2 v and 2 v + 1 are the codes of vectors v (first plane) and v + 4 (second).
enum Codes2: CodeLayout {
  @inline(__always) static var byteCount: Int { 128 }
  @inline(__always) static var maximumCode: Int { 3 }
  @inline(__always) static func codes(_ source: UnsafeRawPointer) -> CodeGroup {
    var group = CodeGroup(repeating: Codes())
    for plane in 0..<2 {
      let four = loadCodes(source, plane)
      for part in 0..<4 {
        group[unchecked: plane &* 4 &+ part] =
          (four &>> UInt32(truncatingIfNeeded: part &* 2)) & 0x0303_0303
      }
    }
    return group
  }
  @inline(__always) static func pack(_ group: CodeGroup, _ destination: UnsafeMutableRawPointer) {
    for plane in 0..<2 {
      var four = Codes()
      for part in 0..<4 {
        let bits = group[unchecked: plane &* 4 &+ part] & 0x0303_0303
        four |= bits &<< UInt32(truncatingIfNeeded: part &* 2)
      }
      storeCodes(four, destination, plane)
    }
  }
}

/// 3 bits: two planes as in `Codes2`, and one whose bit v is vector v's third.
enum Codes3: CodeLayout {
  @inline(__always) static var byteCount: Int { 192 }
  @inline(__always) static var maximumCode: Int { 7 }
  @inline(__always) static func codes(_ source: UnsafeRawPointer) -> CodeGroup {
    var group = Codes2.codes(source)
    let high = loadCodes(source, 2)
    for vector in 0..<8 {
      let moved =
        vector < 2
        ? high &<< UInt32(truncatingIfNeeded: 2 &- vector)
        : high &>> UInt32(truncatingIfNeeded: vector &- 2)
      group[unchecked: vector] |= moved & 0x0404_0404
    }
    return group
  }
  @inline(__always) static func pack(_ group: CodeGroup, _ destination: UnsafeMutableRawPointer) {
    Codes2.pack(group, destination)
    var high = Codes()
    for vector in 0..<8 {
      high |= ((group[unchecked: vector] &>> 2) & 0x0101_0101) &<< UInt32(truncatingIfNeeded: vector)
    }
    storeCodes(high, destination, 2)
  }
}

/// 8 bits, stored with 128 added: vector after vector.
enum Codes8: CodeLayout {
  @inline(__always) static var isPlain: Bool { true }
  @inline(__always) static var byteCount: Int { 512 }
  @inline(__always) static var maximumCode: Int { 255 }
  @inline(__always) static func codes(_ source: UnsafeRawPointer) -> CodeGroup {
    var group = CodeGroup(repeating: Codes())
    for vector in 0..<8 { group[unchecked: vector] = nativeWide(loadCodes(source, vector)) }
    return group
  }
  @inline(__always) static func pack(_ group: CodeGroup, _ destination: UnsafeMutableRawPointer) {
    for vector in 0..<8 { storeCodes(group[unchecked: vector], destination, vector) }
  }
}

/// 4 bits that stand for the 8-bit values of IQ4_NL, laid out as in `Codes4`.
///
/// The values are `kvalues_iq4nl` of ggml's `ggml-common.h`, here with 128 added.
enum CodesIQ4: CodeLayout {
  @inline(__always) static var byteCount: Int { 256 }
  @inline(__always) static var maximumCode: Int { 255 }
  @inline(__always) static func codes(_ source: UnsafeRawPointer) -> CodeGroup {
    var group = Codes4.codes(source)
    let table = CodeTable(1, 24, 45, 63, 79, 93, 106, 118, 129, 141, 153, 166, 181, 197, 217, 241)
    for vector in 0..<8 {
      group[unchecked: vector] = nativeWide(lookUp(group[unchecked: vector], table))
    }
    return group
  }
  @inline(__always) static func pack(_ group: CodeGroup, _ destination: UnsafeMutableRawPointer) {
    Codes4.pack(group, destination)
  }
}

/// 4 bits that stand for twice the values of FP4 (E2M1; OCP Microscaling Formats 1.0, section 5.3.3), laid out
/// as in `Codes4`; here with 16 added.
enum CodesFP4: CodeLayout {
  @inline(__always) static var byteCount: Int { 256 }
  @inline(__always) static var maximumCode: Int { 28 }
  @inline(__always) static func codes(_ source: UnsafeRawPointer) -> CodeGroup {
    var group = Codes4.codes(source)
    let table = CodeTable(16, 17, 18, 19, 20, 22, 24, 28, 16, 15, 14, 13, 12, 10, 8, 4)
    for vector in 0..<8 { group[unchecked: vector] = lookUp(group[unchecked: vector], table) }
    return group
  }
  @inline(__always) static func pack(_ group: CodeGroup, _ destination: UnsafeMutableRawPointer) {
    Codes4.pack(group, destination)
  }
}
