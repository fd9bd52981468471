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
  @Test(arguments: InstructionSet.available, [4, 32, 33, 128])
  func keys(set: InstructionSet, features: Int) throws {
    let table = try KernelTable.table(for: set)
    var random = SplitMix64(seed: UInt64(features))
    let groups = (features + 31) / 32
    var keys = random.floats(features * 16, in: -3...3)
    // A position of zeros, and one of a single number.
    for feature in 0..<features {
      keys[feature * 16 + 5] = 0
      keys[feature * 16 + 6] = feature == 1 ? 1e-3 : 0
    }
    var halves = [UInt16](repeating: 0, count: keys.count)
    table.roundToHalf(keys.count, keys, &halves)
    var rounded = keys
    table.widenHalf(keys.count, halves, &rounded)
    for isHalf in [false, true] {
      var codes = [UInt8](repeating: 7, count: groups * 512)
      var scales = [Float](repeating: -1, count: groups * 16)
      if isHalf {
        table.integerKeysOfHalves(features, halves, 16, &codes, &scales)
      } else {
        table.integerKeysOfFloats(features, keys, 16, &codes, &scales)
      }
      // With a sign, or with 128 added.
      let bias = Int(table.quantized(.q8_0).bias)
      for feature in 0..<groups * 32 {
        for position in 0..<16 {
          let byte = codes[feature / 32 * 512 + feature % 32 / 4 * 64 + position * 4 + feature % 4]
          let code = bias == 0 ? Int(Int8(bitPattern: byte)) : Int(byte) - bias
          let scale = scales[feature / 32 * 16 + position]
          let expected = feature < features ? (isHalf ? rounded : keys)[feature * 16 + position] : 0
          #expect(abs(Float(code) * scale - expected) <= scale * 0.5001)
        }
      }
    }
  }

  @Test(arguments: InstructionSet.available, [1, 4, 9, 16])
  func latents(set: InstructionSet, rows: Int) throws {
    let table = try KernelTable.table(for: set)
    var random = SplitMix64(seed: UInt64(rows))
    // 64 features are values, 20 more are those of a rotary part.
    let (features, panels, stride, groups) = (84, 4, 96, 3)
    var latents = random.floats(16 * stride, in: -2...2)
    for row in 0..<16 {
      for feature in 64..<stride { latents[row * stride + feature] *= feature < features ? 100 : 0 }
    }
    var halves = [UInt16](repeating: 0, count: latents.count)
    table.roundToHalf(latents.count, latents, &halves)
    var rounded = latents
    table.widenHalf(latents.count, halves, &rounded)
    for isHalf in [false, true] {
      var bytes = [UInt8](repeating: 3, count: 16 * groups * 32)
      var codes = [UInt8](repeating: 7, count: groups * 512)
      var scales = [Float](repeating: -1, count: groups * 16)
      var valueCodes = [UInt8](repeating: 0x55, count: panels * 2048)
      var valueScales = [Float](repeating: 0, count: rows)
      if isHalf {
        table.integerLatentsOfHalves(
          rows, features, panels, halves, stride, &bytes, &codes, &scales, &valueCodes, &valueScales)
      } else {
        table.integerLatentsOfFloats(
          rows, features, panels, latents, stride, &bytes, &codes, &scales, &valueCodes, &valueScales)
      }
      let bias = Int(table.quantized(.q8_0).bias)
      for position in 0..<16 {
        for feature in 0..<groups * 32 {
          let byte = codes[feature / 32 * 512 + feature % 32 / 4 * 64 + position * 4 + feature % 4]
          let code = bias == 0 ? Int(Int8(bitPattern: byte)) : Int(byte) - bias
          let scale = scales[feature / 32 * 16 + position]
          let expected =
            feature < features && position < rows
            ? (isHalf ? rounded : latents)[position * stride + feature] : 0
          #expect(abs(Float(code) * scale - expected) <= scale * 0.5001)
          guard feature < panels * 16 else { continue }
          let valueByte = valueCodes[
            feature / 16 * 2048 + position / 4 * 64 + feature % 16 * 4 + position % 4]
          #expect(Int(Int8(bitPattern: valueByte)) == (position < rows ? code : 0))
          if position < rows { #expect(valueScales[position] == scale) }
        }
      }
    }
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
    var scales = [Float](repeating: 0, count: 128)
    table.integerValuesOfFloats(positions, panels, values, stride, &codes, &scales)
    for position in 0..<positions {
      for feature in 0..<features {
        let byte = codes[feature / 16 * 2048 + position / 4 * 64 + feature % 16 * 4 + position % 4]
        let value = Float(Int8(bitPattern: byte)) * scales[position]
        #expect(abs(value - values[position * stride + feature]) <= scales[position] * 0.5001)
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
