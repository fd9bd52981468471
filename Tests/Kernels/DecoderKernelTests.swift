import SalanganeKernels
import SalanganeTestSupport
import Testing

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// The kernels that decoders add, on every instruction set that this CPU has, against double precision.
@Suite struct DecoderKernelTests {
  @Test(arguments: InstructionSet.available, [1, 5, 16, 20, 128, 1003])
  func rmsNorm(set: InstructionSet, columns: Int) throws {
    let table = try KernelTable.table(for: set)
    var random = SplitMix64(seed: UInt64(columns))
    let rows = 3
    let stride = columns + 5
    let x = random.floats(rows * stride, in: -4...4)
    let addend = random.floats(rows * stride)
    let weight = random.floats(columns)
    for hasAddend in [false, true] {
      var sum = x
      var out = [Float](repeating: -7, count: rows * stride)
      table.rmsNormRows(
        rows, columns, &sum, stride, hasAddend ? addend : nil, stride, weight, 1e-3, &out, stride)
      for row in 0..<rows {
        let line = (0..<columns).map { column in
          let index = row * stride + column
          return Double(hasAddend ? x[index] + addend[index] : x[index])
        }
        let scale = 1 / (line.reduce(0) { $0 + $1 * $1 } / Double(columns) + 1e-3).squareRoot()
        for column in 0..<columns {
          #expect(Double(sum[row * stride + column]) == line[column])
          let expected = line[column] * scale * Double(weight[column])
          #expect(abs(Double(out[row * stride + column]) - expected) < 1e-6 * (1 + abs(expected)))
        }
        #expect(out[row * stride + columns..<(row + 1) * stride].allSatisfy { $0 == -7 })
        #expect(sum[row * stride + columns] == x[row * stride + columns])
      }
    }
  }

  @Test(arguments: InstructionSet.available, [1, 4, 16, 22, 64])
  func rotation(set: InstructionSet, half: Int) throws {
    let table = try KernelTable.table(for: set)
    var random = SplitMix64(seed: UInt64(half))
    let heads = 3
    let stride = 2 * half + 3
    let x = random.floats(heads * stride)
    let angles = random.floats(half, in: -3...3).map(Double.init)
    var rotated = x
    table.rotateRows(
      heads, half, &rotated, stride, angles.map { Float(cos($0)) }, angles.map { Float(sin($0)) })
    for head in 0..<heads {
      let first = head * stride
      for pair in 0..<half {
        let a = Double(x[first + pair])
        let b = Double(x[first + pair + half])
        let cosine = cos(angles[pair])
        let sine = sin(angles[pair])
        #expect(abs(Double(rotated[first + pair]) - (a * cosine - b * sine)) < 1e-6)
        #expect(abs(Double(rotated[first + pair + half]) - (b * cosine + a * sine)) < 1e-6)
      }
      #expect(rotated[first + 2 * half..<first + stride] == x[first + 2 * half..<first + stride])
    }
  }

  @Test(arguments: InstructionSet.available)
  func swiglu(set: InstructionSet) throws {
    let table = try KernelTable.table(for: set)
    var random = SplitMix64(seed: 3)
    let columns = 37
    let stride = 80
    var gate = random.floats(2 * stride, in: -30...30)
    gate.replaceSubrange(0..<4, with: [0, -200, 200, -88])
    let before = gate
    let up = random.floats(2 * stride)
    table.swigluRows(2, columns, &gate, up, stride)
    for row in 0..<2 {
      for column in 0..<stride {
        let index = row * stride + column
        let x = Double(before[index])
        let expected = column < columns ? x / (1 + exp(-x)) * Double(up[index]) : x
        #expect(abs(Double(gate[index]) - expected) < 1e-6 * (1 + abs(expected)))
      }
    }
  }

  @Test(arguments: InstructionSet.available)
  func everyHalfWidensAndRoundsBack(set: InstructionSet) throws {
    let table = try KernelTable.table(for: set)
    let halves = (0...UInt16.max).map { $0 }
    var floats = [Float](repeating: 0, count: halves.count)
    table.widenHalf(halves.count, halves, &floats)
    var back = [UInt16](repeating: 0, count: halves.count)
    table.roundToHalf(floats.count, floats, &back)
    for (half, (float, rounded)) in zip(halves, zip(floats, back)) {
      let exponent = Int(half >> 10 & 31)
      let fraction = Int(half & 1023)
      if exponent == 31, fraction > 0 {
        #expect(float.isNaN && rounded & 0x7C00 == 0x7C00 && rounded & 0x3FF > 0)
        continue
      }
      let magnitude =
        exponent == 31
        ? Double.infinity
        : exponent == 0 ? Double(fraction) * 0x1p-24 : Double(1024 + fraction) * pow(2, Double(exponent - 25))
      #expect(Double(float) == (half >> 15 == 0 ? magnitude : -magnitude))
      #expect(rounded == half)
    }
  }

  /// Between two halves the nearer one is taken, and the even one in the middle.
  @Test(arguments: InstructionSet.available)
  func roundingIsToNearestEven(set: InstructionSet) throws {
    let table = try KernelTable.table(for: set)
    // All finite halves from 0 up, and what comes after the largest.
    let halves = (0...UInt16(0x7C00)).map { $0 }
    var values = [Float](repeating: 0, count: halves.count)
    table.widenHalf(halves.count, halves, &values)
    values[0x7C00] = 65536
    var inputs: [Float] = []
    var expected: [UInt16] = []
    for index in 0..<0x7C00 {
      let middle = (values[index] + values[index + 1]) / 2
      inputs += [middle.nextDown, middle, middle.nextUp, -middle]
      let low = UInt16(index)
      let even = low + (low & 1)
      expected += [low, even, low + 1, even | 0x8000]
    }
    // An odd number, so that the last vector isn't whole.
    inputs += [1e30, -.infinity, 1e-30]
    expected += [0x7C00, 0xFC00, 0]
    var rounded = [UInt16](repeating: 0, count: inputs.count)
    table.roundToHalf(inputs.count, inputs, &rounded)
    #expect(rounded == expected)
  }

  @Test(arguments: InstructionSet.available)
  func finiteCheckSeesEveryPlace(set: InstructionSet) throws {
    let table = try KernelTable.table(for: set)
    for count in [0, 1, 15, 16, 17, 40] {
      var values = [Float](repeating: .greatestFiniteMagnitude, count: count + 1)
      values[count] = .nan
      #expect(table.allFinite(count, values))
      for index in 0..<count {
        for wrong in [Float.nan, .infinity, -.infinity] {
          values[index] = wrong
          #expect(!table.allFinite(count, values))
          values[index] = -1
        }
      }
    }
  }

  /// Chunks give what one softmax over all keys gives; a chunk without a visible key changes no bit.
  @Test(arguments: InstructionSet.available, [1, 16, 19])
  func chunksMerge(set: InstructionSet, queries: Int) throws {
    let table = try KernelTable.table(for: set)
    var random = SplitMix64(seed: UInt64(queries))
    let columns = 20
    let stride = 24
    let lanes = (queries + 15) & ~15
    let chunks = 3
    let keys = 5
    let scores = (0..<chunks).map { _ in random.floats(keys * queries, in: -20...20) }
    let values = (0..<chunks).map { _ in random.floats(keys * columns) }
    var maximum = [Float](repeating: -.infinity, count: lanes)
    var total = [Float](repeating: 0, count: lanes)
    var output = [Float](repeating: 0, count: lanes * stride)
    for chunk in 0..<chunks {
      var chunkMaximum = [Float](repeating: -.infinity, count: lanes)
      var chunkTotal = [Float](repeating: 0, count: lanes)
      var chunkOutput = [Float](repeating: 0, count: lanes * stride)
      for query in 0..<queries {
        let line = (0..<keys).map { scores[chunk][$0 * queries + query] }
        chunkMaximum[query] = line.max()!
        for key in 0..<keys {
          let weight = exp(line[key] - chunkMaximum[query])
          chunkTotal[query] += weight
          for column in 0..<columns {
            chunkOutput[query * stride + column] += weight * values[chunk][key * columns + column]
          }
        }
      }
      table.mergeAttention(
        queries, columns, chunkMaximum, chunkTotal, chunkOutput, stride, &maximum, &total, &output, stride)
      let before = (maximum, total, output)
      table.mergeAttention(
        queries, columns, [Float](repeating: -.infinity, count: lanes), [Float](repeating: 0, count: lanes),
        [Float](repeating: 0, count: lanes * stride), stride, &maximum, &total, &output, stride)
      #expect(before.0 == maximum && before.1 == total && before.2 == output)
    }
    for query in 0..<queries {
      let line = (0..<chunks).flatMap { chunk in
        (0..<keys).map { Double(scores[chunk][$0 * queries + query]) }
      }
      let largest = line.max()!
      let sum = line.reduce(0) { $0 + exp($1 - largest) }
      for column in 0..<columns {
        let expected = line.enumerated().reduce(0.0) {
          $0 + exp($1.element - largest) / sum
            * Double(values[$1.offset / keys][$1.offset % keys * columns + column])
        }
        #expect(abs(Double(output[query * stride + column] / total[query]) - expected) < 2e-6)
      }
    }
  }
}
