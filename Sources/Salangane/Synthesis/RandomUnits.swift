import SalanganeFiles
import SalanganeQuantization
import SalanganeTensors

/// Encoded runs of random values, "units", of which the rows of large matrices are put together.
///
/// Encoding is what costs time, above all for the K types, so a bounded number of units is encoded once and
/// then copied. A row takes units at random; two of them are chosen so that no two rows of a tensor are equal.
final class RandomUnits {
  /// What units are made for.
  struct Key: Hashable {
    /// How the values are stored.
    let type: TensorType
    /// Values of a unit: whole blocks.
    let length: Int
    /// How many values a product sums over; their deviation is one over its root.
    let inputs: Int
  }

  /// There are two to the power of this many units.
  private let countBits: Int
  private let bytes: UnsafeMutableRawPointer
  /// Bytes of a unit.
  let byteCount: Int

  /// The most rows of a tensor that so many units tell apart.
  static func mostRows(countBits: Int) -> Int { 1 << (2 * countBits) }

  /// Makes the units.
  ///
  /// They depend on the key, their number and the seed only, not on the number of threads.
  ///
  /// - Parameter countBits: How many there are, as a power of two: 3 to 14.
  init(
    _ key: Key, format: any EncodableBlockFormat.Type, countBits: Int, seed: UInt64, team: ThreadTeam,
    threads: Int
  ) {
    precondition((3...14).contains(countBits))
    self.countBits = countBits
    let count = 1 << countBits
    let blocks = key.length / format.valuesPerBlock
    let byteCount = blocks * format.bytesPerBlock
    let bytes = UnsafeMutableRawPointer.allocate(byteCount: count * byteCount, alignment: 64)
    self.byteCount = byteCount
    self.bytes = bytes
    let deviation = 1 / Float(key.inputs).squareRoot()
    let salt = mixed(mixed(seed, UInt64(key.type.rawValue) << 32 | UInt64(key.length)), UInt64(key.inputs))
    let unitsPerTask = min(64, count)
    team.run(tasks: count / unitsPerTask, width: threads) { task, _ in
      withUnsafeTemporaryAllocation(of: Float.self, capacity: key.length) { values in
        guard let source = values.baseAddress else { return }
        for unit in task * unitsPerTask..<(task + 1) * unitsPerTask {
          var normals = NormalGenerator(seed: mixed(salt, UInt64(unit)))
          normals.fill(source, count: key.length, deviation: deviation)
          format.encode(source, count: blocks, into: bytes + unit * byteCount)
        }
      }
    }
  }

  deinit { bytes.deallocate() }

  /// Puts a row together.
  ///
  /// - Parameters:
  ///   - row: The number of the row in its tensor, below `mostRows`.
  ///   - units: How many units it takes, at least two.
  ///   - salt: A number of the tensor's own.
  ///   - destination: Room for the units.
  func write(row: Int, units: Int, salt: UInt64, to destination: UnsafeMutableRawPointer) {
    // The first two units are the two halves of a number that no other row has.
    let pair = permuted(UInt32(row), salt: salt)
    var indices = SplitMixGenerator(state: mixed(salt, UInt64(row)))
    for unit in 0..<units {
      let index =
        switch unit {
        case 0: Int(pair) & (1 << countBits - 1)
        case 1: Int(pair) >> countBits
        default: Int(truncatingIfNeeded: indices.next() >> UInt64(64 - countBits))
        }
      (destination + unit * byteCount).copyMemory(from: bytes + index * byteCount, byteCount: byteCount)
    }
  }

  /// A permutation of the numbers below `mostRows`: every step of it can be undone.
  private func permuted(_ number: UInt32, salt: UInt64) -> UInt32 {
    let mask = UInt32(Self.mostRows(countBits: countBits) - 1)
    var value = (number ^ UInt32(truncatingIfNeeded: salt)) & mask
    // Odd factors from the golden ratio and the root of two.
    value = (value &* 0x9E37_79B1) & mask
    value ^= value >> UInt32(countBits + 1)
    value = (value &* 0x6A09_E667) & mask
    value ^= value >> UInt32(countBits - 1)
    return value
  }
}

/// Normally distributed numbers: sums of twelve even ones, which end at six deviations.
///
/// Without a logarithm or a cosine, so that they are the same on every platform.
struct NormalGenerator {
  private var random: SplitMixGenerator

  init(seed: UInt64) { random = SplitMixGenerator(state: seed) }

  /// The next numbers, of mean 0.
  mutating func fill(_ values: UnsafeMutablePointer<Float>, count: Int, deviation: Float) {
    for index in 0..<count {
      var sum: UInt64 = 0
      for _ in 0..<3 {
        let bits = random.next()
        sum &+= bits & 0xFFFF &+ bits >> 16 & 0xFFFF &+ bits >> 32 & 0xFFFF &+ bits >> 48
      }
      // Each has the mean 32767.5 and a variance of 2^32 / 12.
      values[index] = (Float(sum) - 393_210) * 0x1p-16 * deviation
    }
  }
}

/// A number that depends on two others in all its bits.
func mixed(_ seed: UInt64, _ number: UInt64) -> UInt64 {
  var first = SplitMixGenerator(state: seed)
  var second = SplitMixGenerator(state: first.next() ^ number)
  return second.next()
}
