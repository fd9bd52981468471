import Foundation

/// A small seeded generator, so that random tests repeat exactly (Steele, Lea and Flood, "Fast splittable
/// pseudorandom number generators", 2014).
public struct SplitMix64: RandomNumberGenerator, Sendable {
  private var state: UInt64

  /// Creates the generator; equal seeds give equal sequences.
  public init(seed: UInt64) { state = seed }

  /// Returns the next 64 random bits.
  public mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }

  /// `count` floats spread evenly over `range`.
  public mutating func floats(_ count: Int, in range: ClosedRange<Float> = -1...1) -> [Float] {
    (0..<count).map { _ in Float.random(in: range, using: &self) }
  }

  /// `count` floats of a normal distribution with mean 0 (by the method of Box and Muller).
  public mutating func normals(_ count: Int, deviation: Float = 1) -> [Float] {
    (0..<count).map { _ in
      let radius = (-2 * log(1 - unit())).squareRoot()
      return Float(radius * cos(2 * Double.pi * unit())) * deviation
    }
  }

  /// A double in 0..<1.
  private mutating func unit() -> Double { Double(next() >> 11) * 0x1p-53 }
}
