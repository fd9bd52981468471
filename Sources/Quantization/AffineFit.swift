/// A format whose super-blocks of 256 values have scales and minimums:
/// value = `d * scale * code - dmin * minimum`.
protocol AffineBlockFormat: EncodableBlockFormat {
  /// The greatest code; the least is 0.
  static var greatestCode: Float { get }
  /// The greatest scale, and the greatest minimum, of a group; the least are 0.
  static var greatestScale: Float { get }
}

extension AffineBlockFormat {
  /// The codes that come closest to values that were divided by the scale.
  @inline(__always)
  static func codes(_ lanes: Lanes) -> Lanes { lanes.limited(to: 0, greatestCode).nearestIntegers }
}

/// What the values x of a group are approximated by, `scale * code - minimum`, and how well.
struct AffineFit {
  /// The scale, not negative.
  var scale: Float = 0
  /// The minimum, not negative.
  var minimum: Float = 0
  /// The sum of the squared errors.
  var error = Float.infinity
}

/// The sums over a group that the best scale and minimum for given codes follow from.
struct AffineSums {
  /// The sum of the codes.
  var codes: Float
  /// The sum of the squared codes.
  var squares: Float
  /// The sum of code * value.
  var products: Float
}

extension ValueGroup {
  /// The sums for the codes that come closest to the values at a scale and a minimum.
  @inline(__always)
  func sums<Format: AffineBlockFormat>(
    _ format: Format.Type, inverseScale: Float, minimum: Float
  ) -> AffineSums {
    var codes = Lanes()
    var squares = Lanes()
    var products = Lanes()
    for vector in 0..<vectors {
      let code = Format.codes((self[vector] + minimum) * inverseScale)
      codes += code
      squares += code * code
      products += code * self[vector]
    }
    return AffineSums(codes: codes.total, squares: squares.total, products: products.total)
  }

  /// The squared error at a scale and a minimum.
  @inline(__always)
  func squaredError<Format: AffineBlockFormat>(
    _ format: Format.Type, scale: Float, minimum: Float
  ) -> Float {
    let inverseScale = inverse(of: scale)
    return total { lanes in
      let raised = lanes + minimum
      let difference = raised - Format.codes(raised * inverseScale) * scale
      return difference * difference
    }
  }

  /// The scale and the minimum that come close to the values in the sense of least squares.
  ///
  /// Codes are made with a number of scales and minimums around those that map the extremes to the first and
  /// the last code; for each, the best scale and minimum follow by linear regression. The best of these is
  /// the start for two more rounds (Lloyd's algorithm for the two parameters).
  @inline(__always)
  func affineFit<Format: AffineBlockFormat>(_ format: Format.Type) -> AffineFit {
    let (least, greatest) = extent
    // Minimums aren't negative, so that 0 is always within reach.
    let base = min(least, 0)
    let range = greatest - base
    guard range > leastScale else { return AffineFit(scale: 0, minimum: -base, error: 0) }
    if least == greatest { return AffineFit(scale: greatest / Format.greatestCode, minimum: 0, error: 0) }
    let raised = lowered(by: base)
    let sum = raised.total { $0 }
    let squares = raised.total { $0 * $0 }
    let step = range / Format.greatestCode
    var best = AffineFit()
    for index in 0..<AffineSeeds.count {
      // Without negative values the minimum is 0, and only the scale is to be found.
      let seed = least < 0 ? AffineSeeds.table[index] : (low: 0, high: Float((index + 8) % 16 - 8) * 0.15)
      let minimum = max(-seed.low * step, base)
      let scale = (range - seed.high * step + minimum) / Format.greatestCode
      raised.improve(
        &best, Format.self, scale: scale, minimum: minimum, leastMinimum: base, sum: sum, squares: squares)
    }
    for _ in 0..<2 {
      raised.improve(
        &best, Format.self, scale: best.scale, minimum: best.minimum, leastMinimum: base, sum: sum,
        squares: squares)
    }
    best.minimum -= base
    return best
  }

  /// Replaces a fit by the regression for the codes at a scale and a minimum, if that is better.
  @inline(__always)
  private func improve<Format: AffineBlockFormat>(
    _ best: inout AffineFit, _ format: Format.Type, scale: Float, minimum: Float, leastMinimum: Float,
    sum: Float, squares: Float
  ) {
    let count = Float(Self.count)
    let sums = sums(Format.self, inverseScale: 1 / scale, minimum: minimum)
    let determinant = count * sums.squares - sums.codes * sums.codes
    var fit = AffineFit()
    fit.minimum = -.infinity
    // Codes that are all the same leave the minimum open.
    if determinant > 1e-6 * count * sums.squares {
      fit.scale = (count * sums.products - sums.codes * sum) / determinant
      fit.minimum = (fit.scale * sums.codes - sum) / count
    }
    if fit.minimum < leastMinimum {
      fit.minimum = leastMinimum
      fit.scale = (sums.products + leastMinimum * sums.codes) / sums.squares
    }
    guard fit.scale > 0 else { return }
    let codePart = fit.scale * (fit.scale * sums.squares - 2 * (sums.products + fit.minimum * sums.codes))
    fit.error = squares + codePart + fit.minimum * (2 * sum + count * fit.minimum)
    // Of fits that are equal but for rounding, the first stays.
    if fit.error < best.error - 3e-7 * squares { best = fit }
  }
}

/// Where the search for a scale and a minimum begins: by how many codes the ends of the range are drawn in.
///
/// Chosen greedily out of a grid of 200 such pairs, so that the least of the errors becomes small over groups
/// of normal, Laplace, uniform and Student-t values, with 4, 16 and 32 codes.
private enum AffineSeeds {
  static let count = 16
  static let table: InlineArray<16, (low: Float, high: Float)> = [
    (0, 0), (0.2, 0.2), (0.4, -0.2), (0, 0.4), (0.2, -1), (0.2, 0), (-0.2, 0.4), (-0.2, 0),
    (0, -0.8), (0.6, 0.2), (0.2, 0.5), (-0.2, -0.8), (0.5, 0.1), (-0.6, -0.8), (-0.2, 0.6), (0.2, -0.2),
  ]
}

/// The scales and minimums of a super-block, in the whole numbers that a format stores.
struct AffineSuperBlock<Format: AffineBlockFormat, let groups: Int, let vectors: Int> {
  /// The factor on scales, a half.
  private(set) var d: Float = 0
  /// The factor on minimums, a half.
  private(set) var dmin: Float = 0
  /// The groups' scales.
  private(set) var scales = InlineArray<groups, Float>(repeating: 0)
  /// The groups' minimums.
  private(set) var minimums = InlineArray<groups, Float>(repeating: 0)
  private var error = Float.infinity

  /// Finds numbers that come close to values in the sense of least squares.
  @inline(__always)
  init(_ values: UnsafePointer<Float>) {
    var fits = InlineArray<groups, AffineFit>(repeating: AffineFit())
    var greatestScale: Float = 0
    var greatestMinimum: Float = 0
    for group in 0..<groups {
      fits[group] = Self.group(group, of: values).affineFit(Format.self)
      greatestScale = max(greatestScale, fits[group].scale)
      greatestMinimum = max(greatestMinimum, fits[group].minimum)
    }
    for top in 0..<6 {
      for minimumTop in 0..<3 {
        var trial = self
        trial.d = F16.scale(greatestScale / (Format.greatestScale - Float(top) * 0.5))
        trial.dmin = F16.scale(greatestMinimum / (Format.greatestScale - Float(minimumTop) * 0.5))
        trial.error = 0
        for group in 0..<groups {
          trial.scales[group] = Self.limited(fits[group].scale * inverse(of: trial.d))
          trial.minimums[group] = Self.limited(fits[group].minimum * inverse(of: trial.dmin))
          trial.error += Self.group(group, of: values).squaredError(
            Format.self, scale: trial.d * trial.scales[group], minimum: trial.dmin * trial.minimums[group])
        }
        if trial.error < error { self = trial }
      }
    }
    improveGroups(values)
    for _ in 0..<2 {
      var trial = self
      trial.improveFactors(values)
      trial.improveGroups(values)
      if trial.error < error { self = trial }
    }
  }

  /// The codes of all values.
  @inline(__always)
  func codes(of values: UnsafePointer<Float>) -> InlineArray<256, UInt8> {
    var codes = InlineArray<256, UInt8>(repeating: 0)
    for group in 0..<groups {
      let lanes = Self.group(group, of: values)
      let inverseScale = inverse(of: d * scales[group])
      let minimum = dmin * minimums[group]
      for vector in 0..<vectors {
        let position = (group &* vectors &+ vector) &* 4
        codes.store(Format.codes((lanes[vector] + minimum) * inverseScale), at: position)
      }
    }
    return codes
  }

  @inline(__always)
  private static func group(_ group: Int, of values: UnsafePointer<Float>) -> ValueGroup<vectors> {
    ValueGroup(values + group &* ValueGroup<vectors>.count)
  }

  /// The nearest scale or minimum that the format has, 0 for NaN.
  @inline(__always)
  private static func limited(_ number: Float) -> Float {
    min(max(0, number.nearestInteger), Format.greatestScale)
  }

  /// Tries the neighbours of each group's scale and minimum.
  @inline(__always)
  private mutating func improveGroups(_ values: UnsafePointer<Float>) {
    error = 0
    for group in 0..<groups {
      let lanes = Self.group(group, of: values)
      let (scale, minimum) = (scales[group], minimums[group])
      var least = Float.infinity
      for step in 0..<9 {
        // The numbers as they are come first.
        let trialScale = Self.limited(scale + Float((step + 4) % 3 - 1))
        let trialMinimum = Self.limited(minimum + Float((step / 3 + 1) % 3 - 1))
        let error = lanes.squaredError(Format.self, scale: d * trialScale, minimum: dmin * trialMinimum)
        if error < least {
          least = error
          scales[group] = trialScale
          minimums[group] = trialMinimum
        }
      }
      error += least
    }
  }

  /// Replaces the factors by the regression for the scales, minimums and codes of all groups.
  @inline(__always)
  private mutating func improveFactors(_ values: UnsafePointer<Float>) {
    // The sums of a * a, a * b, b * b, a * x and b * x, where a = scale * code and b = minimum.
    var (aa, ab, bb, ax, bx) = (0.0, 0.0, 0.0, 0.0, 0.0)
    for group in 0..<groups {
      let lanes = Self.group(group, of: values)
      let sums = lanes.sums(
        Format.self, inverseScale: inverse(of: d * scales[group]), minimum: dmin * minimums[group])
      let scale = Double(scales[group])
      let minimum = Double(minimums[group])
      aa += scale * scale * Double(sums.squares)
      ab += scale * minimum * Double(sums.codes)
      bb += minimum * minimum * Double(ValueGroup<vectors>.count)
      ax += scale * Double(sums.products)
      bx += minimum * Double(lanes.total { $0 })
    }
    let determinant = aa * bb - ab * ab
    if determinant > 1e-9 * aa * bb {
      d = F16.scale(max(Float((ax * bb - bx * ab) / determinant), 0))
      dmin = F16.scale(max(Float((ax * ab - bx * aa) / determinant), 0))
    } else if aa > 0 {
      d = F16.scale(max(Float((ax + ab * Double(dmin)) / aa), 0))
    }
  }
}
