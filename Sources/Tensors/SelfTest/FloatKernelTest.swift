import SalanganeKernels

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// One kernel on floats, run on fixed numbers.
struct FloatKernelTest: Sendable {
  let name: String
  /// The greatest difference that rounding may make, relative to the greatest result.
  let ceiling: Double
  let run: @Sendable (KernelTable) -> [Double]
  /// What a formula in double precision gives; nil where the portable kernels are enough.
  var expected: (@Sendable () -> [Double])?

  private static let rows = 7
  private static let columns = 53
  private static let count = rows * columns
  private static var x: [Float] { KernelSelfTest.numbers(count, seed: 1) }
  private static var y: [Float] { KernelSelfTest.numbers(count, seed: 2) }

  private static func doubles(_ values: [Float]) -> [Double] { values.map(Double.init) }
  private static func row(_ values: [Float], _ index: Int) -> [Double] {
    doubles(Array(values[index * columns..<(index + 1) * columns]))
  }

  static let all: [FloatKernelTest] =
    products + [
      FloatKernelTest(name: "gelu", ceiling: 2e-6) { table in
        var values = x.map { $0 * 6 }
        table.geluRows(rows, columns, &values, columns)
        return doubles(values)
      } expected: {
        doubles(x.map { $0 * 6 }).map { $0 / 2 * (1 + erf($0 / 2.0.squareRoot())) }
      },
      FloatKernelTest(name: "swiglu", ceiling: 2e-6) { table in
        var gate = x.map { $0 * 8 }
        table.swigluRows(rows, columns, &gate, y, columns)
        return doubles(gate)
      } expected: {
        zip(doubles(x.map { $0 * 8 }), doubles(y)).map { $0 / (1 + exp(-$0)) * $1 }
      },
      FloatKernelTest(name: "layer norm", ceiling: 2e-6) { table in
        var out = [Float](repeating: 0, count: count)
        table.layerNormRows(rows, columns, x, columns, nil, 0, y, x, 1e-5, &out, columns)
        return doubles(out)
      } expected: {
        (0..<rows).flatMap { index in
          let line = row(x, index)
          let mean = line.reduce(0, +) / Double(columns)
          let variance = line.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(columns)
          let scale = 1 / (variance + Double(Float(1e-5))).squareRoot()
          return line.indices.map { (line[$0] - mean) * scale * Double(y[$0]) + Double(x[$0]) }
        }
      },
      FloatKernelTest(name: "RMS norm", ceiling: 2e-6) { table in
        var values = x
        var out = [Float](repeating: 0, count: count)
        table.rmsNormRows(rows, columns, &values, columns, nil, 0, y, 1e-6, &out, columns)
        return doubles(out)
      } expected: {
        (0..<rows).flatMap { index in
          let line = row(x, index)
          let mean = line.reduce(0) { $0 + $1 * $1 } / Double(columns)
          let scale = 1 / (mean + Double(Float(1e-6))).squareRoot()
          return line.indices.map { line[$0] * scale * Double(y[$0]) }
        }
      },
      FloatKernelTest(name: "rotary", ceiling: 1e-6) { table in
        let half = 24
        var values = x
        table.rotateRows(rows, half, &values, columns, y, Array(y[half...]))
        return doubles(values)
      } expected: {
        let half = 24
        return (0..<rows).flatMap { index -> [Double] in
          var line = row(x, index)
          for k in 0..<half {
            let (a, b) = (line[k], line[k + half])
            let (cosine, sine) = (Double(y[k]), Double(y[k + half]))
            line[k] = a * cosine - b * sine
            line[k + half] = b * cosine + a * sine
          }
          return line
        }
      },
      FloatKernelTest(name: "scale", ceiling: 1e-7) { table in
        var out = [Float](repeating: 0, count: count)
        table.scaleRows(rows, columns, y, x, columns, &out, columns)
        return doubles(out)
      } expected: {
        (0..<count).map { Double(x[$0]) * Double(y[$0 / columns]) }
      },
      FloatKernelTest(name: "addition", ceiling: 1e-7) { table in
        var out = x
        table.addInPlace(count, y, &out)
        return doubles(out)
      } expected: {
        zip(doubles(x), doubles(y)).map(+)
      },
      FloatKernelTest(name: "dot product", ceiling: 1e-5) { table in
        [Double(table.dotProduct(count, x, y))]
      } expected: {
        [zip(doubles(x), doubles(y)).reduce(0) { $0 + $1.0 * $1.1 }]
      },
      FloatKernelTest(name: "softmax", ceiling: 2e-6) { table in
        let keys = 11
        var scores = KernelSelfTest.numbers(keys * 16, seed: 3).map { $0 * 9 }
        var maximum = [Float](repeating: -.infinity, count: 16)
        var total = [Float](repeating: 0, count: 16)
        var correction = total
        table.softmaxChunk(keys, 1, &scores, 0.5, &maximum, &total, &correction)
        return doubles(scores) + doubles(total)
      } expected: {
        let keys = 11
        let scores = doubles(KernelSelfTest.numbers(keys * 16, seed: 3).map { $0 * 9 })
        let greatest = (0..<16).map { lane in (0..<keys).map { scores[$0 * 16 + lane] * 0.5 }.max() ?? 0 }
        let weights = scores.indices.map { exp(scores[$0] * 0.5 - greatest[$0 % 16]) }
        return weights + (0..<16).map { lane in (0..<keys).reduce(0) { $0 + weights[$1 * 16 + lane] } }
      },
      FloatKernelTest(name: "merge of attention", ceiling: 2e-6) { table in
        var maximum = Array(x[0..<16])
        var total = Array(y[0..<16]).map { $0 + 2 }
        var output = Array(x[0..<16 * 16])
        table.mergeAttention(
          16, 16, Array(y[16..<32]), Array(x[32..<48]).map { $0 + 2 }, Array(y[0..<256]), 16, &maximum,
          &total,
          &output, 16)
        return doubles(maximum) + doubles(total) + doubles(output)
      },
      FloatKernelTest(name: "half precision", ceiling: 0) { table in
        var halves = [UInt16](repeating: 0, count: count)
        table.roundToHalf(count, x.map { $0 * 300 }, &halves)
        var out = [Float](repeating: 0, count: count)
        table.widenHalf(count, halves, &out)
        return doubles(out)
      },
      FloatKernelTest(name: "all finite", ceiling: 0) { table in
        var values = x
        let before = table.allFinite(count, values)
        values[count - 1] = .nan
        return [before ? 1 : 0, table.allFinite(count, values) ? 1 : 0]
      } expected: {
        [1, 0]
      },
    ]

  /// Products of 12 rows, 32 columns and a depth of 300.
  private static let products: [FloatKernelTest] = {
    let (rows, depth) = (12, 300)
    let a = KernelSelfTest.numbers(rows * depth, seed: 4)
    let b = KernelSelfTest.numbers(32 * depth, seed: 5)
    @Sendable func packed(_ table: KernelTable) -> (left: [Float], right: [Float]) {
      var left = [Float](repeating: 0, count: rows * depth)
      table.packRows(rows, rows, depth, a, depth, &left)
      var right: [Float] = []
      for panel in 0..<2 {
        var part = [Float](repeating: 0, count: 16 * depth)
        table.packRows(16, 16, depth, Array(b[panel * 16 * depth..<(panel + 1) * 16 * depth]), depth, &part)
        right += part
      }
      return (left, right)
    }
    @Sendable func halves(_ values: [Float], _ convert: (Float) -> UInt16) -> [UInt16] { values.map(convert) }
    @Sendable func bfloat16(_ value: Float) -> UInt16 { UInt16(value.bitPattern >> 16) }
    @Sendable func expected(_ weight: (Float) -> Float) -> [Double] {
      (0..<rows).flatMap { row in
        (0..<32).map { column in
          (0..<depth).reduce(0) { $0 + Double(a[row * depth + $1]) * Double(weight(b[column * depth + $1])) }
        }
      }
    }
    return [
      FloatKernelTest(name: "product F32", ceiling: 2e-6) { table in
        let (left, right) = packed(table)
        var out = [Float](repeating: 0, count: rows * 32)
        table.matmulPanels(rows, 2, depth, left, rows, right, 16, 16 * depth, &out, 32, nil, 0)
        return doubles(out)
      } expected: {
        expected { $0 }
      },
      FloatKernelTest(name: "product F16", ceiling: 2e-6) { table in
        let (left, right) = packed(table)
        var weights = [UInt16](repeating: 0, count: right.count)
        table.roundToHalf(right.count, right, &weights)
        var out = [Float](repeating: 0, count: rows * 32)
        table.matmulHalfPanels(rows, 2, depth, left, rows, weights, 16, 16 * depth, &out, 32, nil, 0)
        return doubles(out)
      },
      FloatKernelTest(name: "product BF16", ceiling: 2e-6) { table in
        let (left, right) = packed(table)
        var out = [Float](repeating: 0, count: rows * 32)
        table.matmulBFloat16Panels(
          rows, 2, depth, left, rows, halves(right, bfloat16), 16, 16 * depth, &out, 32, nil, 0)
        return doubles(out)
      } expected: {
        expected { Float(bitPattern: $0.bitPattern & 0xFFFF_0000) }
      },
    ]
  }()
}
