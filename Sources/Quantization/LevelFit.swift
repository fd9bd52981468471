/// A format whose groups of values have a scale and no minimum: value = `scale * level`, where a code stands
/// for one of a few levels.
protocol LevelBlockFormat: EncodableBlockFormat {
  /// How many seeds there are.
  static var seedCount: Int { get }
  /// A level that the value of greatest magnitude is mapped to where the search for a scale begins; the first
  /// is the usual one.
  static func seed(_ index: Int) -> Float

  /// The levels that come closest to values that were divided by the scale.
  static func levels(_ lanes: Lanes) -> Lanes
}

/// A format of super-blocks of 256 values whose groups have scales in whole numbers:
/// value = `d * scale * level`.
protocol LevelSuperBlockFormat: LevelBlockFormat {
  /// The least scale, a negative power of two; the greatest is its opposite less 1.
  static var leastScale: Float { get }
}

extension ValueGroup {
  /// The sums of level * value and of level * level over the levels closest to the values at a scale.
  @inline(__always)
  func sums<Format: LevelBlockFormat>(
    _ format: Format.Type, inverseScale: Float
  ) -> (products: Float, squares: Float) {
    var products = Lanes()
    var squares = Lanes()
    for vector in 0..<vectors {
      let level = Format.levels(self[vector] * inverseScale)
      products += level * self[vector]
      squares += level * level
    }
    return (products.total, squares.total)
  }

  /// The squared error at a scale.
  @inline(__always)
  func squaredError<Format: LevelBlockFormat>(_ format: Format.Type, scale: Float) -> Float {
    let inverseScale = inverse(of: scale)
    return total { lanes in
      let difference = lanes - Format.levels(lanes * inverseScale) * scale
      return difference * difference
    }
  }

  /// The scale, of either sign, that comes close to the values in the sense of least squares.
  ///
  /// Levels are chosen at a number of scales around the one that maps the value of greatest magnitude to the
  /// end of the range; for each choice the best scale follows by linear regression. The best of these is the
  /// start for two more rounds.
  @inline(__always)
  func scale<Format: LevelBlockFormat>(_ format: Format.Type) -> Float {
    let (least, greatest) = extent
    let extreme = -least > greatest ? least : greatest
    guard extreme.magnitude > leastScale else { return 0 }
    var best = (gain: Float(0), scale: Float(0))
    for index in 0..<Format.seedCount {
      improve(&best, Format.self, inverseScale: Format.seed(index) / extreme)
    }
    for _ in 0..<2 { improve(&best, Format.self, inverseScale: inverse(of: best.scale)) }
    return best.scale
  }

  /// Replaces a scale by the regression for the levels at another, if that takes more off the squared error.
  @inline(__always)
  private func improve<Format: LevelBlockFormat>(
    _ best: inout (gain: Float, scale: Float), _ format: Format.Type, inverseScale: Float
  ) {
    let (products, squares) = sums(Format.self, inverseScale: inverseScale)
    guard squares > 0 else { return }
    let scale = products / squares
    // Of scales that are equally good but for rounding, the first stays.
    if products * scale > best.gain * 1.0000003 { best = (products * scale, scale) }
  }
}

/// The scales of a super-block, in the whole numbers that a format stores.
struct LevelSuperBlock<Format: LevelSuperBlockFormat, let groups: Int, let vectors: Int> {
  /// The factor on scales, a half.
  private(set) var d: Float = 0
  /// The groups' scales.
  private(set) var scales = InlineArray<groups, Float>(repeating: 0)
  private var error = Float.infinity

  /// Finds numbers that come close to values in the sense of least squares.
  @inline(__always)
  init(_ values: UnsafePointer<Float>) {
    var ideals = InlineArray<groups, Float>(repeating: 0)
    var extreme: Float = 0
    for group in 0..<groups {
      ideals[group] = Self.group(group, of: values).scale(Format.self)
      if ideals[group].magnitude > extreme.magnitude { extreme = ideals[group] }
    }
    for top in 0..<8 {
      var attempt = self
      // Scales reach further at their lower end.
      attempt.d = F16.scale(extreme / (Format.leastScale + Float(top)))
      attempt.error = 0
      for group in 0..<groups {
        attempt.scales[group] = Self.limited(ideals[group] * inverse(of: attempt.d))
        attempt.error += Self.group(group, of: values).squaredError(
          Format.self, scale: attempt.d * attempt.scales[group])
      }
      if attempt.error < error { self = attempt }
    }
    improveGroups(values)
    for _ in 0..<2 {
      var attempt = self
      attempt.improveFactor(values)
      attempt.improveGroups(values)
      if attempt.error < error { self = attempt }
    }
  }

  /// Calls a function with the levels of all values, four at a time, and the position of the first of them.
  @inline(__always)
  func forEachLevel(of values: UnsafePointer<Float>, _ body: (_ position: Int, _ levels: Lanes) -> Void) {
    for group in 0..<groups {
      let lanes = Self.group(group, of: values)
      let inverseScale = inverse(of: d * scales[group])
      for vector in 0..<vectors {
        body((group &* vectors &+ vector) &* 4, Format.levels(lanes[vector] * inverseScale))
      }
    }
  }

  @inline(__always)
  private static func group(_ group: Int, of values: UnsafePointer<Float>) -> ValueGroup<vectors> {
    ValueGroup(values + group &* ValueGroup<vectors>.count)
  }

  /// The nearest scale that the format has, its least for NaN.
  @inline(__always)
  private static func limited(_ number: Float) -> Float {
    min(max(Format.leastScale, number.nearestInteger), -1 - Format.leastScale)
  }

  /// Tries the neighbours of each group's scale.
  @inline(__always)
  private mutating func improveGroups(_ values: UnsafePointer<Float>) {
    error = 0
    for group in 0..<groups {
      let lanes = Self.group(group, of: values)
      let scale = scales[group]
      var least = Float.infinity
      for step in 0..<5 {
        // The scale as it is comes first.
        let trial = Self.limited(scale + Float((step + 2) % 5 - 2))
        let error = lanes.squaredError(Format.self, scale: d * trial)
        if error < least {
          least = error
          scales[group] = trial
        }
      }
      error += least
    }
  }

  /// Replaces the factor by the regression for the scales and levels of all groups.
  @inline(__always)
  private mutating func improveFactor(_ values: UnsafePointer<Float>) {
    var products: Float = 0
    var squares: Float = 0
    for group in 0..<groups {
      let sums = Self.group(group, of: values).sums(
        Format.self, inverseScale: inverse(of: d * scales[group]))
      products += sums.products * scales[group]
      squares += sums.squares * scales[group] * scales[group]
    }
    if squares > 0 { d = F16.scale(products / squares) }
  }
}
