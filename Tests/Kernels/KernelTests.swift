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
