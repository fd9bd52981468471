// The scales of packed quantised weights. They stand before the codes that they belong to, in records of 64 to 256
// inputs; each number of the format stands 16 times, once for each output of the panel.

/// What 32 codes are multiplied by, and what is added: one number for all, or one for each half.
///
/// `value = scale * (code - bias) + minimum`, for each of the 16 outputs.
struct GroupScales {
  var scale: Lanes
  var secondScale: Lanes
  var minimum: Lanes
  var secondMinimum: Lanes

  @inline(__always) init(_ scale: Lanes) {
    self.init(scale, scale, minimum: Lanes(), Lanes())
  }

  @inline(__always) init(_ scale: Lanes, minimum: Lanes) {
    self.init(scale, scale, minimum: minimum, minimum)
  }

  @inline(__always) init(_ scale: Lanes, _ secondScale: Lanes) {
    self.init(scale, secondScale, minimum: Lanes(), Lanes())
  }

  @inline(__always) init(
    _ scale: Lanes, _ secondScale: Lanes, minimum: Lanes, _ secondMinimum: Lanes
  ) {
    self.scale = scale
    self.secondScale = secondScale
    self.minimum = minimum
    self.secondMinimum = secondMinimum
  }
}

@inline(__always) private func halves(_ record: UnsafeRawPointer, _ index: Int) -> Lanes {
  widen((record + (index &* 32)).loadUnaligned(as: SIMD16<UInt16>.self))
}

@inline(__always) private func bytes(_ record: UnsafeRawPointer, _ offset: Int) -> SIMD16<UInt8> {
  (record + offset).loadUnaligned(as: SIMD16<UInt8>.self)
}

@inline(__always) private func signedBytes(_ record: UnsafeRawPointer, _ offset: Int) -> SIMD16<Int8> {
  (record + offset).loadUnaligned(as: SIMD16<Int8>.self)
}

/// How scales lie in memory.
protocol ScaleLayout {
  /// Groups of 32 inputs that a record has.
  static var groupsPerRecord: Int { get }
  /// Bytes of a record's scales: a multiple of a cache line, so that no vector of codes lies on two.
  static var byteCount: Int { get }
  /// Whether the two halves of a group have scales of their own.
  static var hasHalves: Bool { get }
  /// Whether something is added to the values.
  static var hasMinimum: Bool { get }
  /// Whether 3 * 2^22 times a scale is always a float: the scale has up to 22 significant bits, and is below 2^104.
  static var isShort: Bool { get }
  /// The scales of a group.
  static func scales(_ record: UnsafeRawPointer, _ group: Int) -> GroupScales
}

extension ScaleLayout {
  /// A number of half precision, or its product with one of a byte.
  @inline(__always) static var isShort: Bool { true }
}

/// A scale for each group, in half precision.
enum HalfScale: ScaleLayout {
  @inline(__always) static var groupsPerRecord: Int { 2 }
  @inline(__always) static var byteCount: Int { 64 }
  @inline(__always) static var hasHalves: Bool { false }
  @inline(__always) static var hasMinimum: Bool { false }
  @inline(__always) static func scales(_ record: UnsafeRawPointer, _ group: Int) -> GroupScales {
    GroupScales(halves(record, group))
  }
}

/// A scale and a minimum for each group, in half precision.
enum HalfScaleAndMinimum: ScaleLayout {
  @inline(__always) static var groupsPerRecord: Int { 2 }
  @inline(__always) static var byteCount: Int { 128 }
  @inline(__always) static var hasHalves: Bool { false }
  @inline(__always) static var hasMinimum: Bool { true }
  @inline(__always) static func scales(_ record: UnsafeRawPointer, _ group: Int) -> GroupScales {
    GroupScales(halves(record, group &* 2), minimum: halves(record, group &* 2 &+ 1))
  }
}

/// An exponent for each group: the scale is half of 2^(e - 127), as codes stand for twice their values.
enum ExponentScale: ScaleLayout {
  @inline(__always) static var isShort: Bool { false }
  @inline(__always) static var groupsPerRecord: Int { 4 }
  @inline(__always) static var byteCount: Int { 64 }
  @inline(__always) static var hasHalves: Bool { false }
  @inline(__always) static var hasMinimum: Bool { false }
  @inline(__always) static func scales(_ record: UnsafeRawPointer, _ group: Int) -> GroupScales {
    // A product of two powers, since the smallest are subnormal numbers.
    let exponents = integers(bytes(record, group &* 16))
    let half = exponents &>> 1
    let first = unsafeBitCast((half &+ 63) &<< 23, to: Lanes.self)
    return GroupScales(first * unsafeBitCast((exponents &- half &+ 63) &<< 23, to: Lanes.self))
  }
}

/// For 256 inputs a scale and a minimum in half precision, which are multiplied by integers of 6 bits for each
/// group; the minimum is subtracted.
enum SuperScaleAndMinimum: ScaleLayout {
  @inline(__always) static var groupsPerRecord: Int { 8 }
  @inline(__always) static var byteCount: Int { 320 }
  @inline(__always) static var hasHalves: Bool { false }
  @inline(__always) static var hasMinimum: Bool { true }
  @inline(__always) static func scales(_ record: UnsafeRawPointer, _ group: Int) -> GroupScales {
    GroupScales(
      halves(record, 0) * floats(bytes(record, 64 &+ group &* 16)),
      minimum: -(halves(record, 1) * floats(bytes(record, 192 &+ group &* 16))))
  }
}

/// For 256 inputs a scale in half precision, which is multiplied by a signed integer for each group.
enum SuperScale: ScaleLayout {
  @inline(__always) static var groupsPerRecord: Int { 8 }
  @inline(__always) static var byteCount: Int { 192 }
  @inline(__always) static var hasHalves: Bool { false }
  @inline(__always) static var hasMinimum: Bool { false }
  @inline(__always) static func scales(_ record: UnsafeRawPointer, _ group: Int) -> GroupScales {
    GroupScales(halves(record, 0) * floats(signedBytes(record, 32 &+ group &* 16)))
  }
}

/// For 256 inputs a scale in half precision, which is multiplied by a signed integer for each half of a group.
enum SuperScaleOfHalves: ScaleLayout {
  @inline(__always) static var groupsPerRecord: Int { 8 }
  @inline(__always) static var byteCount: Int { 320 }
  @inline(__always) static var hasHalves: Bool { true }
  @inline(__always) static var hasMinimum: Bool { false }
  @inline(__always) static func scales(_ record: UnsafeRawPointer, _ group: Int) -> GroupScales {
    let scale = halves(record, 0)
    return GroupScales(
      scale * floats(signedBytes(record, 32 &+ group &* 32)),
      scale * floats(signedBytes(record, 48 &+ group &* 32)))
  }
}

/// For 256 inputs a scale and a minimum in half precision, which are multiplied by integers of 4 bits for each
/// half of a group: the scale's in the low nibble, the minimum's in the high one. The minimum is subtracted.
enum SuperScaleAndMinimumOfHalves: ScaleLayout {
  @inline(__always) static var groupsPerRecord: Int { 8 }
  @inline(__always) static var byteCount: Int { 320 }
  @inline(__always) static var hasHalves: Bool { true }
  @inline(__always) static var hasMinimum: Bool { true }
  @inline(__always) static func scales(_ record: UnsafeRawPointer, _ group: Int) -> GroupScales {
    let scale = halves(record, 0)
    let minimum = halves(record, 1)
    let first = bytes(record, 64 &+ group &* 32)
    let second = bytes(record, 80 &+ group &* 32)
    return GroupScales(
      scale * floats(first & 15), scale * floats(second & 15),
      minimum: -(minimum * floats(first &>> 4)), -(minimum * floats(second &>> 4)))
  }
}

/// A float for each half of a group.
enum FloatScaleOfHalves: ScaleLayout {
  @inline(__always) static var isShort: Bool { false }
  @inline(__always) static var groupsPerRecord: Int { 2 }
  @inline(__always) static var byteCount: Int { 256 }
  @inline(__always) static var hasHalves: Bool { true }
  @inline(__always) static var hasMinimum: Bool { false }
  @inline(__always) static func scales(_ record: UnsafeRawPointer, _ group: Int) -> GroupScales {
    GroupScales(
      (record + group &* 128).loadUnaligned(as: Lanes.self),
      (record + (group &* 128 &+ 64)).loadUnaligned(as: Lanes.self))
  }
}
