import SalanganeKernels
import SalanganeTestSupport
import Testing

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// Every kernel of every instruction set that this CPU has, against sums in double precision.
@Suite struct KernelTests {
  static let tables: [KernelTable] = InstructionSet.available.compactMap { try? KernelTable.table(for: $0) }

  @Test func everyAvailableSetHasATable() {
    #expect(Self.tables.map(\.instructionSet) == InstructionSet.available)
    #expect(InstructionSet.available.first == .portable)
  }

  @Test(arguments: InstructionSet.available, 1...12)
  func matmulPanels(set: InstructionSet, rows: Int) throws {
    let table = try KernelTable.table(for: set)
    var random = SplitMix64(seed: UInt64(rows))
    for (panels, depth) in [(1, 1), (2, 7), (3, 64), (4, 33), (5, 128)] {
      let width = KernelTable.packedRows
      let a = random.floats(width * depth)
      let b = random.floats(panels * depth * 16)
      let bias = random.floats(panels * 16)
      let stride = panels * 16 + 16
      for seed in Seed.allCases {
        var c = random.floats(rows * stride)
        let before = c
        c.withUnsafeMutableBufferPointer { c in
          bias.withUnsafeBufferPointer { bias in
            let start: UnsafePointer<Float>? =
              switch seed {
              case .zero: nil
              case .bias: bias.baseAddress
              case .output: UnsafePointer(c.baseAddress)
              }
            table.matmulPanels(
              rows, panels, depth, a, width, b, 16, depth * 16, c.baseAddress!, stride, start,
              seed == .output ? stride : 0)
          }
        }
        for row in 0..<rows {
          for column in 0..<stride {
            let index = row * stride + column
            guard column < panels * 16 else {
              #expect(c[index] == before[index], "wrote beyond the panels")
              continue
            }
            var sum: Double =
              switch seed {
              case .zero: 0
              case .bias: Double(bias[column])
              case .output: Double(before[index])
              }
            for k in 0..<depth {
              sum += Double(a[k * width + row]) * Double(b[column / 16 * depth * 16 + k * 16 + column % 16])
            }
            #expect(abs(Double(c[index]) - sum) < 4e-6 * Double(depth).squareRoot() + 1e-6)
          }
        }
      }
    }
  }

  enum Seed: CaseIterable { case zero, bias, output }

  /// The sum of an element is one chain in order, so its neighbours can't change a bit of it.
  @Test(arguments: InstructionSet.available)
  func sumsDoNotDependOnTheTile(set: InstructionSet) throws {
    let table = try KernelTable.table(for: set)
    var random = SplitMix64(seed: 3)
    let depth = 97
    let panels = 3
    let a = random.floats(12 * depth)
    let b = random.floats(panels * depth * 16)
    var whole = [Float](repeating: 0, count: 12 * 48)
    table.matmulPanels(12, panels, depth, a, 12, b, 16, depth * 16, &whole, 48, nil, 0)
    for row in 0..<12 {
      for panel in 0..<panels {
        var part = [Float](repeating: 0, count: 16)
        a.withUnsafeBufferPointer { a in
          b.withUnsafeBufferPointer { b in
            table.matmulPanels(
              1, 1, depth, a.baseAddress! + row, 12, b.baseAddress! + panel * depth * 16, 16, 0, &part, 16,
              nil, 0)
          }
        }
        #expect(part == Array(whole[row * 48 + panel * 16..<row * 48 + panel * 16 + 16]))
      }
    }
  }

  @Test(arguments: InstructionSet.available, [1, 2, 3, 4, 5, 8, 11, 12])
  func packRows(set: InstructionSet, rows: Int) throws {
    let table = try KernelTable.table(for: set)
    var random = SplitMix64(seed: 5)
    for depth in [1, 3, 4, 9, 32] {
      let stride = depth + 5
      let source = random.floats(rows * stride)
      var packed = [Float](repeating: .nan, count: 12 * depth + 1)
      table.packRows(rows, 12, depth, source, stride, &packed)
      for k in 0..<depth {
        for row in 0..<12 {
          #expect(packed[k * 12 + row] == (row < rows ? source[row * stride + k] : 0))
        }
      }
      #expect(packed[12 * depth].isNaN, "wrote beyond the panel")
    }
  }

  @Test(arguments: InstructionSet.available)
  func gelu(set: InstructionSet) throws {
    let table = try KernelTable.table(for: set)
    var inputs = stride(from: Float(-12), through: 12, by: 0.0037).map { $0 }
    inputs += [0, -0.0, 1e-30, -1e-30, 5.5, -5.5, 50, -50, 1e4, -1e4, .infinity]
    var values = inputs
    table.geluRows(1, values.count, &values, values.count)
    for (x, y) in zip(inputs, values) {
      let expected =
        x == .infinity ? Double.infinity : 0.5 * Double(x) * (1 + erf(Double(x) / 2.0.squareRoot()))
      if expected.isInfinite {
        #expect(y == .infinity)
      } else {
        #expect(abs(Double(y) - expected) <= 6e-7 * max(1, abs(Double(x))), "gelu(\(x))")
      }
    }
    var odd: [Float] = [.nan, 1, .nan]
    table.geluRows(1, 3, &odd, 3)
    #expect(odd[0].isNaN && odd[2].isNaN && abs(odd[1] - 0.841_344_7) < 1e-6)
  }

  @Test(arguments: InstructionSet.available, [1, 5, 16, 17, 64, 100, 384])
  func layerNorm(set: InstructionSet, columns: Int) throws {
    let table = try KernelTable.table(for: set)
    var random = SplitMix64(seed: UInt64(columns))
    let rows = 3
    let stride = (columns + 15) & ~15
    let x = random.floats(rows * stride, in: -3...5)
    let residual = random.floats(rows * stride)
    let weight = random.floats(columns)
    let bias = random.floats(columns)
    for withResidual in [false, true] {
      var out = [Float](repeating: 0, count: rows * stride)
      residual.withUnsafeBufferPointer { residual in
        table.layerNormRows(
          rows, columns, x, stride, withResidual ? residual.baseAddress : nil, stride, weight, bias, 1e-12,
          &out, stride)
      }
      for row in 0..<rows {
        let values = (0..<columns).map { column in
          Double(x[row * stride + column]) + (withResidual ? Double(residual[row * stride + column]) : 0)
        }
        let mean = values.reduce(0, +) / Double(columns)
        let variance = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(columns)
        guard columns > 1 else { continue }
        for column in 0..<columns {
          let expected =
            (values[column] - mean) / (variance + 1e-12).squareRoot() * Double(weight[column])
            + Double(bias[column])
          #expect(abs(Double(out[row * stride + column]) - expected) < 1e-5)
        }
      }
    }
  }

  @Test(arguments: InstructionSet.available)
  func softmaxOverChunks(set: InstructionSet) throws {
    let table = try KernelTable.table(for: set)
    var random = SplitMix64(seed: 11)
    let lanes = 32
    let keys = [7, 5, 1]
    let scale: Float = 0.3
    let scores = keys.map { random.floats($0 * lanes, in: -60...60) }
    var maximum = [Float](repeating: -.infinity, count: lanes)
    var total = [Float](repeating: 0, count: lanes)
    var factors = [[Float]]()
    var weights = [[Float]]()
    for (chunk, count) in keys.enumerated() {
      var values = scores[chunk]
      var correction = [Float](repeating: .nan, count: lanes)
      table.softmaxChunk(count, 2, &values, scale, &maximum, &total, &correction)
      weights.append(values)
      factors.append(correction)
    }
    for lane in 0..<lanes {
      let all = scores.flatMap { chunk in
        Swift.stride(from: lane, to: chunk.count, by: lanes).map { Double(chunk[$0]) * Double(scale) }
      }
      let largest = all.max()!
      let sum = all.reduce(0) { $0 + exp($1 - largest) }
      #expect(abs(Double(total[lane]) - sum) < 1e-5 * sum)
      #expect(abs(Double(maximum[lane]) - largest) < 1e-5 * max(1, abs(largest)))
      // What the first chunk wrote, corrected by the later chunks, is the plain softmax's numerator.
      let corrected = Double(weights[0][lane]) * Double(factors[1][lane]) * Double(factors[2][lane])
      #expect(abs(corrected - exp(all[0] - largest)) < 1e-5)
    }
  }

  @Test(arguments: InstructionSet.available)
  func softmaxOfNothingButMaskedKeysIsZeroNotNaN(set: InstructionSet) throws {
    let table = try KernelTable.table(for: set)
    var scores = [Float](repeating: -.infinity, count: 32)
    var maximum = [Float](repeating: -.infinity, count: 16)
    var total = [Float](repeating: 0, count: 16)
    var correction = [Float](repeating: 0, count: 16)
    table.softmaxChunk(2, 1, &scores, 1, &maximum, &total, &correction)
    #expect(scores.allSatisfy { $0 == 0 } && total.allSatisfy { $0 == 0 })
    var poisoned = [Float](repeating: 1, count: 32)
    poisoned[3] = .nan
    table.softmaxChunk(2, 1, &poisoned, 1, &maximum, &total, &correction)
    #expect(total[3].isNaN && !total[4].isNaN)
  }

  @Test(arguments: InstructionSet.available, [1, 15, 16, 33, 100])
  func vectorOperations(set: InstructionSet, count: Int) throws {
    let table = try KernelTable.table(for: set)
    var random = SplitMix64(seed: UInt64(count))
    let x = random.floats(count)
    let y = random.floats(count)
    let exact = zip(x, y).reduce(0.0) { $0 + Double($1.0) * Double($1.1) }
    #expect(abs(Double(table.dotProduct(count, x, y)) - exact) < 1e-5)
    var sum = y
    table.addInPlace(count, x, &sum)
    #expect(sum == zip(x, y).map { $1 + $0 })
    var scaled = [Float](repeating: 0, count: 2 * count)
    table.scaleRows(2, count, [3, -0.5], x + y, count, &scaled, count)
    #expect(scaled == x.map { $0 * 3 } + y.map { $0 * -0.5 })
  }

  @Test func namesOfInstructionSets() throws {
    #expect(try InstructionSet.named("portable") == .portable)
    #expect(throws: InstructionSetError(name: "sse9")) { try InstructionSet.named("sse9") }
    #expect(InstructionSetError(name: "sse9").description.contains("sse9"))
    #expect(InstructionSet.portable < .avx2 && InstructionSet.avx2 < .avx512)
  }
}
