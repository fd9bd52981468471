import SalanganeTensors

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// How rotary frequencies were stretched for longer contexts.
package enum RotaryScaling: Sendable, Equatable {
  /// Not at all.
  case none
  /// Positions are divided (Chen et al., position interpolation, 2023).
  case linear(factor: Double)
  /// Long wavelengths are divided, short ones kept (Llama 3.1).
  case llama3(factor: Double, lowFrequencyFactor: Double, highFrequencyFactor: Double, originalLength: Double)
  /// Frequencies are divided by how often they turn, and the attention sharpened (Peng et al., YaRN, 2023).
  case yarn(YaRN)
  /// Each frequency is divided by a number of its own: GGUF's `rope_freqs.weight`.
  case divisors([Double])

  /// The parameters of YaRN.
  package struct YaRN: Sendable, Equatable {
    /// By how much the context grew.
    package var factor: Double
    /// The context before, in tokens.
    package var originalLength: Double
    /// Turns in the original context from which on a frequency is kept.
    package var fastTurns: Double
    /// Turns up to which a frequency is divided by the whole factor.
    package var slowTurns: Double
    /// What cosines and sines are multiplied by.
    package var attentionFactor: Double
    /// Whether the ramp between both starts and ends at whole indices.
    package var isTruncated: Bool
  }
}

/// Rotary position embedding (Su et al., RoFormer, 2021) of the first `dimension` features of a head.
package struct RotaryEmbedding: Sendable, Equatable {
  /// How many features of a head are rotated; even.
  package let dimension: Int
  /// The angle of each pair at position 1, in radians.
  package let frequencies: [Double]
  /// What cosines and sines are multiplied by.
  package let attentionFactor: Double

  /// Computes the frequencies `base^(-2i / dimension)`, scaled.
  package init(dimension: Int, base: Double, scaling: RotaryScaling) {
    precondition(dimension > 0 && dimension % 2 == 0)
    self.dimension = dimension
    let plain = (0..<dimension / 2).map { pow(base, -2 * Double($0) / Double(dimension)) }
    switch scaling {
    case .none:
      frequencies = plain
      attentionFactor = 1
    case .linear(let factor):
      frequencies = plain.map { $0 / factor }
      attentionFactor = 1
    case .llama3(let factor, let low, let high, let original):
      frequencies = plain.map { frequency in
        let turns = original * frequency / (2 * Double.pi)
        if turns > high { return frequency }
        if turns < low { return frequency / factor }
        let smooth = (turns - low) / (high - low)
        return (1 - smooth) * frequency / factor + smooth * frequency
      }
      attentionFactor = 1
    case .yarn(let yarn):
      frequencies = Self.yarn(yarn, plain, dimension: dimension, base: base)
      attentionFactor = yarn.attentionFactor
    case .divisors(let divisors):
      precondition(divisors.count == plain.count)
      frequencies = zip(plain, divisors).map { $0 / $1 }
      attentionFactor = 1
    }
  }

  private static func yarn(
    _ yarn: RotaryScaling.YaRN, _ plain: [Double], dimension: Int, base: Double
  ) -> [Double] {
    // The index at which a frequency turns this often in the original context.
    func index(turns: Double) -> Double {
      Double(dimension) * log(yarn.originalLength / (turns * 2 * Double.pi)) / (2 * log(base))
    }
    var low = index(turns: yarn.fastTurns)
    var high = index(turns: yarn.slowTurns)
    if yarn.isTruncated {
      low = low.rounded(.down)
      high = high.rounded(.up)
    }
    low = max(low, 0)
    high = min(high, Double(dimension - 1))
    if low == high { high += 0.001 }
    return plain.enumerated().map { position, frequency in
      let ramp = min(max((Double(position) - low) / (high - low), 0), 1)
      return frequency / yarn.factor * ramp + frequency * (1 - ramp)
    }
  }

  /// Floats from a table row's cosines to its sines.
  var sineOffset: Int { (dimension / 2 + 15) & ~15 }

  /// A table without rows yet.
  func table(rows: Int) -> Matrix { Matrix(rows: rows, columns: 2 * sineOffset) }

  /// Writes the cosines and sines of a span's positions into the rows of a table.
  func fill(_ table: Matrix, _ span: SequenceSpan, _ context: ComputeContext) {
    let rowsPerTask = 32
    context.parallel(tasks: (span.count + rowsPerTask - 1) / rowsPerTask) { task, _, _ in
      let first = task * rowsPerTask
      for index in first..<min(first + rowsPerTask, span.count) {
        let row = table.row(span.firstRow + index)
        let position = Double(span.start + index)
        for pair in 0..<frequencies.count {
          let angle = position * frequencies[pair]
          row[pair] = Float(cos(angle) * attentionFactor)
          row[sineOffset + pair] = Float(sin(angle) * attentionFactor)
        }
      }
    }
  }
}
