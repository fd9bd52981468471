#if arch(x86_64)
  import _Builtin_intrinsics.intel
#endif

/// Four values that encoders work on at once: the widest vector that every processor of this package has.
typealias Lanes = SIMD4<Float>

extension Lanes {
  /// The nearest integers, ties to even, of values up to 2^22 in magnitude.
  ///
  /// Adding 1.5 * 2^23 leaves no bits for a fraction. The rounding instruction isn't in the x86-64 baseline.
  @inline(__always)
  var nearestIntegers: Lanes { (self + 0x1.8p23) - 0x1.8p23 }

  /// The integers that the lanes hold, of at most 2^22 in magnitude, in two's complement.
  @inline(__always)
  var integerBits: SIMD4<UInt32> {
    unsafeBitCast(self + 0x1.8p23, to: SIMD4<UInt32>.self)
  }

  /// The lanes brought into a range.
  @inline(__always)
  func limited(to low: Float, _ high: Float) -> Lanes {
    // The standard library's form doesn't become the two instructions that it could be.
    #if arch(x86_64)
      _mm_min_ps(_mm_max_ps(self, Lanes(repeating: low)), Lanes(repeating: high))
    #else
      clamped(lowerBound: Lanes(repeating: low), upperBound: Lanes(repeating: high))
    #endif
  }

  /// The sum of the lanes.
  ///
  /// Not inlined: where the optimiser sees that only sums of lanes are wanted, it takes the vectors of the
  /// loop before apart.
  @inline(never)
  var total: Float { (self[0] + self[2]) + (self[1] + self[3]) }
}

/// Consecutive values of a block that share a scale, four times `vectors` of them.
struct ValueGroup<let vectors: Int> {
  private var lanes: InlineArray<vectors, Lanes>

  /// Loads the values.
  @inline(__always)
  init(_ values: UnsafePointer<Float>) {
    lanes = InlineArray(repeating: Lanes())
    for vector in 0..<vectors {
      lanes[unchecked: vector] = UnsafeRawPointer(values + vector &* 4).loadUnaligned(as: Lanes.self)
    }
  }

  /// How many values there are.
  @inline(__always)
  static var count: Int { vectors * 4 }

  /// Four of the values.
  @inline(__always)
  subscript(vector: Int) -> Lanes { lanes[unchecked: vector] }

  /// The least and the greatest value.
  @inline(__always)
  var extent: (minimum: Float, maximum: Float) {
    var low = lanes[0]
    var high = lanes[0]
    for vector in 1..<vectors {
      low.replace(with: self[vector], where: self[vector] .< low)
      high.replace(with: self[vector], where: self[vector] .> high)
    }
    return (low.min(), high.max())
  }

  /// The values less an offset.
  @inline(__always)
  func lowered(by offset: Float) -> Self {
    var lowered = self
    for vector in 0..<vectors { lowered.lanes[unchecked: vector] -= offset }
    return lowered
  }

  /// The sum of a function of the values.
  @inline(__always)
  func total(_ body: (Lanes) -> Lanes) -> Float {
    var sum = Lanes()
    for vector in 0..<vectors { sum += body(self[vector]) }
    return sum.total
  }
}

extension InlineArray where Element == UInt8 {
  /// Writes four codes, whole numbers from 0 to 255.
  @inline(__always)
  mutating func store(_ codes: Lanes, at position: Int) {
    let bits = codes.integerBits
    for lane in 0..<4 { self[unchecked: position &+ lane] = UInt8(truncatingIfNeeded: bits[lane]) }
  }
}

extension Float {
  /// The nearest integer, ties to even, of a value up to 2^22 in magnitude.
  @inline(__always)
  var nearestInteger: Float { (self + 0x1.8p23) - 0x1.8p23 }
}

extension F16 {
  /// The half nearest to a scale of a block: not infinite, and zero for nothing but zero and NaN.
  static func scale(_ scale: Float) -> Float {
    guard scale != 0, !scale.isNaN else { return 0 }
    let magnitude = float(bits(min(scale.magnitude, greatestScale)))
    return Float(signOf: scale, magnitudeOf: max(magnitude, 0x1p-24))
  }

  /// The greatest finite half.
  static var greatestScale: Float { 65504 }
}

/// 1 over a scale; 0 for a scale of zero, whose codes then stand for values of zero.
@inline(__always)
func inverse(of scale: Float) -> Float { scale == 0 ? 0 : 1 / scale }

/// Values of less magnitude are nearer to zero than to what any format can hold.
var leastScale: Float { 0x1p-26 }
