import SalanganeKernels
import SalanganeTestSupport
import Testing

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// The kernels of attention on integers, on every instruction set that this CPU has, against double precision.
@Suite struct IntegerAttentionKernelTests {
  @Test(arguments: InstructionSet.available, [1, 2, 5, 32])
  func rows(set: InstructionSet, vectors: Int) throws {
    let table = try KernelTable.table(for: set)
    var random = SplitMix64(seed: UInt64(vectors))
    var x = random.floats(vectors * 16, in: -3...3)
    var codes = [Int8](repeating: 7, count: vectors * 16)
    let scale = table.integerRow(vectors, x, &codes)
    #expect(scale == x.map(\.magnitude).max()! / 127)
    for (code, value) in zip(codes, x) { #expect(abs(Float(code) * scale - value) <= scale * 0.5001) }
    #expect(codes.contains { $0.magnitude == 127 })
    #expect(table.integerRow(vectors, [Float](repeating: 0, count: vectors * 16), &codes) == 0)
    #expect(codes.allSatisfy { $0 == 0 })
    // So small that 127 over it is infinite.
    let tiny = [Float](repeating: .leastNormalMagnitude / 100, count: vectors * 16)
    #expect(table.integerRow(vectors, tiny, &codes) < .leastNormalMagnitude)
    #expect(codes.allSatisfy { $0 == 0 })
    for broken in [Float.nan, -.nan, .infinity, -.infinity] {
      x[vectors * 16 - 3] = broken
      #expect(!table.integerRow(vectors, x, &codes).isFinite)
    }
  }

  @Test(arguments: InstructionSet.available, [(1, 1), (3, 4), (18, 32)])
  func latents(set: InstructionSet, size: (groups: Int, panels: Int)) throws {
    let table = try KernelTable.table(for: set)
    var random = SplitMix64(seed: UInt64(size.groups))
    let width = size.groups * 32
    // With a sign, or with 128 added.
    let bias = Int(table.quantized(.q8_0).bias)
    let codes = (0..<16 * width).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    // The second of two runs of 16 positions, of which there is room for 128.
    var valueCodes = [Int8](repeating: 0x55, count: size.panels * 2048)
    valueCodes.withUnsafeMutableBytes { table.latentValues(size.panels, codes, $0.baseAddress! + 256) }
    for position in 0..<16 {
      for feature in 0..<size.panels * 16 {
        let byte = codes[feature / 4 * 64 + position * 4 + feature % 4]
        let place = feature / 16 * 2048 + 256 + position / 4 * 64 + feature % 16 * 4 + position % 4
        #expect(Int(valueCodes[place]) == (bias == 0 ? Int(Int8(bitPattern: byte)) : Int(byte) - bias))
      }
    }
    #expect(valueCodes.count { $0 == 0x55 } >= size.panels * (2048 - 256))
  }

  @Test(arguments: InstructionSet.available, [1, 2, 3, 4, 7, 128])
  func weightsAndValues(set: InstructionSet, positions: Int) throws {
    let table = try KernelTable.table(for: set)
    var random = SplitMix64(seed: UInt64(positions))
    let panels = 3
    let features = panels * 16
    let stride = features + 16
    let values = random.floats(128 * stride, in: -2...2)
    var codes = [UInt8](repeating: 0x55, count: panels * 2048)
    // What isn't seen doesn't show.
    var scales = [Float](repeating: .nan, count: 128)
    for position in 0..<positions {
      let row = Array(values[position * stride..<position * stride + features])
      var bytes = [UInt8](repeating: 0, count: features)
      scales[position] = table.integerRow(panels, row, &bytes)
      for feature in 0..<features {
        codes[feature / 16 * 2048 + position / 4 * 64 + feature % 16 * 4 + position % 4] = bytes[feature]
      }
    }
    let rows = 7
    let scores = random.floats(rows * 128, in: -9...9)
    let scale: Float = 0.7
    // The last row sees nothing, another one only the last key.
    var bounds: [Int32] = []
    for row in 0..<rows {
      bounds +=
        row == rows - 1
        ? [0, 0] : row == 2 ? [Int32(positions) - 1, Int32(positions)] : [0, Int32(positions)]
    }
    var kept = scores
    var weights = [UInt32](repeating: .max, count: rows * 32)
    var weightScales = [Float](repeating: -1, count: rows * 2)
    var maximum = [Float](repeating: 0, count: 16)
    var total = maximum
    let groups = (positions + 63) / 64
    table.integerAttentionWeights(
      rows, &kept, 128, scale, bounds, groups, scales, &weights, &weightScales, &maximum, &total)
    var runningMaximum = [Float](repeating: -.infinity, count: 16)
    var runningTotal = [Float](repeating: 0, count: 16)
    var keep = runningTotal
    var take = runningTotal
    table.attentionFactors(rows, maximum, total, &runningMaximum, &runningTotal, &keep, &take)
    var out = [Float](repeating: 0, count: rows * features)
    table.integerAttentionValues(
      rows, panels, groups, weights, codes, weightScales, keep, take, &out, features)
    for row in 0..<rows {
      let keys = Int(bounds[2 * row])..<Int(bounds[2 * row + 1])
      guard let largest = keys.map({ Double(scores[row * 128 + $0] * scale) }).max() else {
        #expect(maximum[row] == -.infinity && total[row] == 0)
        #expect(out[row * features..<(row + 1) * features].allSatisfy { $0 == 0 })
        continue
      }
      #expect(abs(Double(maximum[row]) - largest) < 1e-5)
      let exponentials = keys.map { exp(Double(scores[row * 128 + $0] * scale) - largest) }
      let sum = exponentials.reduce(0, +)
      #expect(abs(Double(total[row]) - sum) < 2e-5 * sum)
      #expect(runningMaximum[row] == maximum[row] && runningTotal[row] == total[row])
      for feature in 0..<features {
        let expected = zip(keys, exponentials).reduce(0.0) {
          $0 + $1.1 * Double(values[$1.0 * stride + feature])
        }
        #expect(abs(Double(out[row * features + feature]) - expected) < 0.02 * sum + 0.02)
      }
    }
  }

  /// What later keys are doesn't show: neither in the codes of a key, nor in the results.
  @Test(arguments: InstructionSet.available)
  func brokenNumbersReachTheTotal(set: InstructionSet) throws {
    let table = try KernelTable.table(for: set)
    for broken in [Float.nan, .infinity] {
      var scores = [Float](repeating: 1, count: 128)
      scores[70] = broken
      var weights = [UInt32](repeating: 0, count: 32)
      var weightScales: [Float] = [0, 0]
      var maximum = [Float](repeating: 0, count: 16)
      var total = maximum
      table.integerAttentionWeights(
        1, &scores, 128, 1, [0, 128], 2, [Float](repeating: 1, count: 128), &weights, &weightScales, &maximum,
        &total)
      #expect(total[0].isNaN)
    }
  }

  /// The scale of values that hold NaN or infinity reaches the scale of their group, wherever it stands.
  @Test(arguments: InstructionSet.available)
  func brokenValuesReachTheScale(set: InstructionSet) throws {
    let table = try KernelTable.table(for: set)
    for broken in [Float.nan, -.nan, .infinity] {
      for key in 0..<128 {
        var scores = [Float](repeating: 1, count: 128)
        var valueScales = scores
        valueScales[key] = broken
        var weights = [UInt32](repeating: 0, count: 32)
        var weightScales: [Float] = [0, 0]
        var maximum = [Float](repeating: 0, count: 16)
        var total = maximum
        table.integerAttentionWeights(
          1, &scores, 128, 1, [0, 128], 2, valueScales, &weights, &weightScales, &maximum, &total)
        #expect(!weightScales[key / 64].isFinite && weightScales[1 - key / 64].isFinite, "\(key)")
      }
    }
  }
}
