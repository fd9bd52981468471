import SalanganeKernels
import SalanganeTestSupport
import Testing

/// Activations as signed bytes, on every instruction set that this CPU has.
@Suite struct ActivationQuantizationTests {
  /// What the kernel writes.
  struct Quantized: Equatable {
    let rows: Int
    let groups: Int
    let step: Int
    var codes: [UInt32]
    var scales: [Float]
    var sums: [Int32]

    /// The codes of a row, in the order of the values.
    func codes(row: Int) -> [Int8] {
      (0..<8 * groups).flatMap { word in
        (0..<4).map { Int8(truncatingIfNeeded: codes[word * step + row] >> UInt32(8 * $0)) }
      }
    }

    func scale(row: Int, group: Int) -> Float { scales[group * step + row] }
    func sum(row: Int, half: Int) -> Int32 { sums[half * step + row] }
  }

  private func quantize(
    _ x: [Float], rows: Int, groups: Int, step: Int, stride: Int? = nil, _ table: KernelTable
  ) -> Quantized {
    var result = Quantized(
      rows: rows, groups: groups, step: step,
      codes: [UInt32](repeating: 0x5A5A_5A5A, count: 8 * groups * step),
      scales: [Float](repeating: -5, count: groups * step),
      sums: [Int32](repeating: 5555, count: 2 * groups * step))
    table.quantizeActivations(
      rows, groups, x, stride ?? 32 * groups, step, &result.codes, &result.scales, &result.sums)
    return result
  }

  @Test(arguments: InstructionSet.available, [(1, 1, 1), (3, 2, 3), (5, 3, 12), (12, 2, 12)])
  func codesScalesAndSums(set: InstructionSet, shape: (rows: Int, groups: Int, step: Int)) throws {
    let table = try KernelTable.table(for: set)
    let (rows, groups, step) = shape
    let stride = 32 * groups + 3
    var random = SplitMix64(seed: UInt64(rows))
    var x = random.floats(rows * stride, in: -4...4)
    // Rows of other sizes; one has a group of equal values, whose codes are all 127.
    for index in 0..<32 { x[(rows - 1) * stride + index] = index % 2 == 0 ? 3e-20 : -3e-20 }
    let result = quantize(x, rows: rows, groups: groups, step: step, stride: stride, table)
    for row in 0..<rows {
      let codes = result.codes(row: row)
      for group in 0..<groups {
        let values = x[row * stride + group * 32..<row * stride + group * 32 + 32]
        let largest = values.reduce(0) { max($0, abs($1)) }
        let scale = result.scale(row: row, group: group)
        #expect(scale == largest / 127)
        let found = codes[group * 32..<group * 32 + 32]
        #expect(found.map(Int.init) == values.map { Int(($0 * (127 / largest)).rounded(.toNearestOrEven)) })
        #expect(found.contains { abs(Int($0)) == 127 })
        for (value, code) in zip(values, found) {
          #expect(abs(value - scale * Float(code)) <= scale * 0.500_01)
        }
        for half in 0..<2 {
          let sum = codes[group * 32 + half * 16..<group * 32 + half * 16 + 16].reduce(0) { $0 + Int32($1) }
          #expect(result.sum(row: row, half: 2 * group + half) == sum)
        }
      }
    }
    // Rows that aren't there are left alone.
    for row in rows..<step {
      #expect(result.scale(row: row, group: 0) == -5 && result.sum(row: row, half: 0) == 5555)
      #expect(result.codes[row] == 0x5A5A_5A5A)
    }
    // A row has the same numbers alone.
    for row in 0..<rows {
      let line = Array(x[row * stride..<row * stride + 32 * groups])
      let alone = quantize(line, rows: 1, groups: groups, step: 1, table)
      #expect(alone.codes(row: 0) == result.codes(row: row))
    }
  }

  @Test(arguments: InstructionSet.available)
  func tiesGoToEven(set: InstructionSet) throws {
    let table = try KernelTable.table(for: set)
    // The scale is 1, so that halves are ties.
    let x: [Float] = [127, -127, 0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 126.5, -126.5, 0.499_99, 3.500_01, 63.5]
    let result = quantize(
      x + [Float](repeating: 0, count: 32 - x.count), rows: 1, groups: 1, step: 1, table)
    #expect(result.scales == [1])
    #expect(
      Array(result.codes(row: 0).prefix(x.count)) == [127, -127, 0, 2, 2, 0, -2, -2, 126, -126, 0, 4, 64])
  }

  @Test(arguments: InstructionSet.available)
  func zerosAndTinyValues(set: InstructionSet) throws {
    let table = try KernelTable.table(for: set)
    let zeros = quantize([0, -0.0] + [Float](repeating: 0, count: 30), rows: 1, groups: 1, step: 1, table)
    #expect(zeros.codes(row: 0).allSatisfy { $0 == 0 } && zeros.scales == [0] && zeros.sums == [0, 0])
    // Values that no float is 127 times as small as the inverse of become zeros, never NaN or other codes.
    let tiny: [Float] = [.leastNonzeroMagnitude, -.leastNonzeroMagnitude, 0x1p-130, -0x1p-128, 1e-37, -3e-37]
    for largest in tiny {
      let values = (0..<32).map { largest * Float($0) / 31 }
      let result = quantize(values, rows: 1, groups: 1, step: 1, table)
      let scale = result.scales[0]
      #expect(scale >= 0 && scale < 1e-38)
      let codes = result.codes(row: 0)
      #expect(codes.allSatisfy { $0 == 0 } && result.sums == [0, 0])
    }
    // The least that have codes.
    let least = quantize([Float](repeating: 4e-37, count: 32), rows: 1, groups: 1, step: 1, table)
    #expect(least.codes(row: 0).allSatisfy { $0 == 127 } && least.sums == [2032, 2032])
    let greatest = Float.greatestFiniteMagnitude
    let great = quantize(
      [greatest, -greatest] + [Float](repeating: greatest / 2, count: 30), rows: 1, groups: 1, step: 1, table)
    #expect(great.scales == [greatest / 127])
    #expect(great.codes(row: 0) == [127, -127] + [Int8](repeating: 64, count: 30))
  }

  /// Rows may be quantised together, and none sees the others.
  @Test(arguments: InstructionSet.available, [3, 4, 7, 8])
  func rowsAreIndependent(set: InstructionSet, count: Int) throws {
    let table = try KernelTable.table(for: set)
    let special: [Float] = [0, .nan, .infinity, 1e-37, -.greatestFiniteMagnitude, -.nan, 1, -0.0]
    var random = SplitMix64(seed: 5)
    var x = random.floats(count * 64, in: -1...1)
    for row in 0..<count {
      for index in 0..<32 where special[row] == 0 || index == 9 { x[row * 64 + index] = special[row] }
    }
    let together = quantize(x, rows: count, groups: 2, step: 12, table)
    for row in 0..<count {
      let alone = quantize(Array(x[row * 64..<row * 64 + 64]), rows: 1, groups: 2, step: 1, table)
      for group in 0..<2 {
        let scale = together.scale(row: row, group: group)
        #expect(scale.bitPattern == alone.scales[group].bitPattern)
        // What isn't finite is in the scale; codes mean nothing then.
        guard scale.isFinite else { continue }
        #expect(
          together.codes(row: row)[group * 32..<group * 32 + 32]
            == alone.codes(row: 0)[group * 32..<group * 32 + 32])
        for half in 2 * group..<2 * group + 2 {
          #expect(together.sum(row: row, half: half) == alone.sums[half])
        }
      }
    }
  }

  /// What is not finite must not vanish: it is in the scale, and so in every product.
  @Test(arguments: InstructionSet.available, QuantizedFormat.allCases)
  func whatIsNotFiniteReachesTheProduct(set: InstructionSet, format: QuantizedFormat) throws {
    let table = try KernelTable.table(for: set)
    let kernels = table.quantized(format)
    let fixture = QuantizedFixture(format, panels: 1, groups: 8, rows: 1)
    let shape = fixture.shape
    for place in [0, 15, 16, 31] {
      for wrong in [Float.nan, -.nan, .infinity, -.infinity] {
        var x = [Float](repeating: 0.5, count: 256)
        x[64 + place] = wrong
        let quantized = quantize(x, rows: 1, groups: 8, step: 1, table)
        let scale = quantized.scale(row: 0, group: 2)
        #expect(wrong.isNaN ? scale.isNaN : scale == .infinity)
        #expect(quantized.scale(row: 0, group: 1) == 0.5 / 127)
        var biased = [Int32](repeating: 0, count: 16)
        var scaled = [Float](repeating: 0, count: 16)
        table.biasedSums(8, 1, shape.hasHalves, kernels.bias, quantized.sums, &biased)
        table.scaledSums(8, 1, shape.hasHalves, quantized.scales, quantized.sums, &scaled)
        var out = [Float](repeating: 0, count: 16)
        quantized.codes.withUnsafeBufferPointer { codes in
          quantized.scales.withUnsafeBufferPointer { scales in
            biased.withUnsafeBytes { biased in
              scaled.withUnsafeBytes { scaled in
                out.withUnsafeMutableBufferPointer {
                  kernels.vector(
                    1, 1, 8, fixture.packed, fixture.panelStride,
                    QuantizedActivations(
                      codes: codes.baseAddress!, scales: scales.baseAddress!,
                      auxiliary: (shape.hasMinimum ? scaled : biased).baseAddress!, step: 1),
                    ProductOutput(values: $0.baseAddress!, rowStride: 16))
                }
              }
            }
          }
        }
        #expect(out.allSatisfy { !$0.isFinite }, "\(wrong) at \(place)")
      }
    }
  }

  @Test(arguments: InstructionSet.available, [1, 3, 12])
  func sumsForBiasesAndMinimums(set: InstructionSet, step: Int) throws {
    let table = try KernelTable.table(for: set)
    var random = SplitMix64(seed: UInt64(step))
    let groups = 5
    let sums = (0..<2 * groups * step).map { _ in Int32.random(in: -2032...2032, using: &random) }
    let scales = random.floats(groups * step)
    for bias: Int32 in [0, 4, 128] {
      var halves = [Int32](repeating: 1, count: 2 * groups * step)
      table.biasedSums(groups, step, true, bias, sums, &halves)
      #expect(
        halves == sums.indices.map { ($0 / step % 2 == 0 ? table.sumOffset : 0) - bias * sums[$0] })
      var wholes = [Int32](repeating: 1, count: groups * step + 1)
      table.biasedSums(groups, step, false, bias, sums, &wholes)
      for index in 0..<groups * step {
        let first = index / step * 2 * step + index % step
        #expect(wholes[index] == table.sumOffset - bias * (sums[first] + sums[first + step]))
      }
      #expect(wholes.last == 1)
    }
    var halves = [Float](repeating: 1, count: 2 * groups * step)
    table.scaledSums(groups, step, true, scales, sums, &halves)
    #expect(halves == sums.indices.map { scales[$0 / (2 * step) * step + $0 % step] * Float(sums[$0]) })
    var wholes = [Float](repeating: 1, count: groups * step + 1)
    table.scaledSums(groups, step, false, scales, sums, &wholes)
    for index in 0..<groups * step {
      let first = index / step * 2 * step + index % step
      #expect(wholes[index] == scales[index] * Float(sums[first] + sums[first + step]))
    }
    #expect(wholes.last == 1)
  }
}
