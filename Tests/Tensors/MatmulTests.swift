import SalanganeKernels
import SalanganeTensors
import SalanganeTestSupport
import Testing

@Suite struct MatmulTests {
  struct Shape: CustomStringConvertible {
    let rows: Int
    let columns: Int
    let depth: Int
    var description: String { "\(rows)x\(columns)x\(depth)" }
  }

  /// Weights that half precision or bfloat16 holds exactly, and the packed forms of them.
  struct Weights {
    let rows: Int
    let columns: Int
    let floats: [Float]
    let halves: [UInt16]

    init(rows: Int, columns: Int, as element: PackedMatrix.Element, seed: UInt64) {
      var random = SplitMix64(seed: seed)
      self.rows = rows
      self.columns = columns
      let kernels = KernelTable.portable
      var floats = random.floats(rows * columns)
      var halves = [UInt16](repeating: 0, count: floats.count)
      switch element {
      case .f32: break
      case .f16:
        kernels.roundToHalf(floats.count, floats, &halves)
        kernels.widenHalf(halves.count, halves, &floats)
      case .bf16:
        halves = floats.map { UInt16(truncatingIfNeeded: $0.bitPattern >> 16) }
        floats = halves.map { Float(bitPattern: UInt32($0) << 16) }
      }
      self.floats = floats
      self.halves = halves
    }

    func decodeRow(_ row: Int, _ destination: UnsafeMutablePointer<Float>) {
      floats.withUnsafeBufferPointer {
        destination.update(from: $0.baseAddress! + row * columns, count: columns)
      }
    }

    func packed(as element: PackedMatrix.Element, _ context: ComputeContext) -> PackedMatrix {
      if element == .f32 {
        return PackedMatrix(rows: rows, columns: columns, context: context, decodeRow: decodeRow)
      }
      return PackedMatrix(rows: rows, columns: columns, element: element, context: context) {
        row, destination in
        halves.withUnsafeBytes {
          destination.copyMemory(from: $0.baseAddress! + row * columns * 2, byteCount: columns * 2)
        }
      }
    }
  }

  /// The product of all rows of `x`, row by row in one array.
  private func product(
    _ context: ComputeContext, _ x: [Float], rows: Range<Int>, _ w: PackedMatrix, bias: [Float],
    activation: Activation = .none
  ) -> [Float] {
    let input = matrix(
      Array(x[rows.lowerBound * w.columns..<rows.upperBound * w.columns]), rows: rows.count,
      columns: w.columns)
    let out = Matrix(rows: rows.count, columns: w.rows)
    context.matmul(input, w, bias: bias, activation: activation, into: out)
    return values(out)
  }

  static let shapes = [
    Shape(rows: 1, columns: 1, depth: 1), Shape(rows: 1, columns: 50, depth: 33),
    Shape(rows: 13, columns: 16, depth: 8), Shape(rows: 18, columns: 96, depth: 64),
    Shape(rows: 150, columns: 40, depth: 100), Shape(rows: 37, columns: 131, depth: 2100),
  ]

  @Test(arguments: InstructionSet.available, shapes)
  func matchesDoublePrecisionAndOpenBLAS(set: InstructionSet, shape: Shape) throws {
    var random = SplitMix64(seed: 1)
    let x = random.floats(shape.rows * shape.depth)
    let weights = Weights(rows: shape.columns, columns: shape.depth, as: .f32, seed: 2)
    // As long as the panels, as matmul asks for.
    let bias = random.floats((shape.columns + 15) & ~15)
    let exact = (0..<shape.rows).flatMap { row in
      (0..<shape.columns).map { column in
        (0..<shape.depth).reduce(Double(bias[column])) {
          $0 + Double(x[row * shape.depth + $1]) * Double(weights.floats[column * shape.depth + $1])
        }
      }
    }
    let tolerance = 3e-6 * Double(shape.depth).squareRoot() + 1e-6
    var results: [[Float]] = []
    for threads in [1, 2, 3] {
      try withContext(set, threads: threads) { context in
        results.append(
          product(context, x, rows: 0..<shape.rows, weights.packed(as: .f32, context), bias: bias))
        let input = matrix(x, rows: shape.rows, columns: shape.depth)
        let dense = DenseMatrix(
          rows: shape.columns, columns: shape.depth, context: context, decodeRow: weights.decodeRow)
        let other = Matrix(rows: shape.rows, columns: shape.columns)
        context.matmul(input, dense, bias: bias, into: other)
        #expect(zip(values(other), exact).allSatisfy { abs(Double($0) - $1) < tolerance })
        context.matmul(input, dense, bias: nil, into: other)
        #expect(
          zip(values(other), exact).enumerated().allSatisfy {
            abs(Double($1.0) + Double(bias[$0 % shape.columns]) - $1.1) < tolerance
          })
      }
    }
    #expect(zip(results[0], exact).allSatisfy { abs(Double($0) - $1) < tolerance })
    #expect(results[1] == results[0] && results[2] == results[0], "threads must not change a bit")
  }

  /// A row has the same bits alone and among any number of others, on any number of threads, and with weights of
  /// 16 bits as with the floats that they stand for.
  @Test(arguments: InstructionSet.available, PackedMatrix.Element.allCases)
  func rowsDoNotSeeTheirNeighbours(set: InstructionSet, element: PackedMatrix.Element) throws {
    let depth = 301
    var random = SplitMix64(seed: 3)
    let x = random.floats(50 * depth)
    let bias = random.floats(48)
    let weights = Weights(rows: 45, columns: depth, as: element, seed: 4)
    var alone: [Float] = []
    try withContext(set, threads: 1) { context in
      let floats = weights.packed(as: .f32, context)
      for row in 0..<50 { alone += product(context, x, rows: row..<row + 1, floats, bias: bias) }
    }
    for threads in [1, 2, 5] {
      try withContext(set, threads: threads) { context in
        let packed = weights.packed(as: element, context)
        for count in Array(1...26) + [36, 37, 47] {
          let rows = 3..<3 + count
          let found = product(context, x, rows: rows, packed, bias: bias)
          #expect(found == Array(alone[rows.lowerBound * 45..<rows.upperBound * 45]), "\(count) rows")
        }
      }
    }
  }

  /// Batches of rows that go through a long depth in several phases, the last of which ends with the activation.
  @Test(
    arguments: InstructionSet.available,
    [Shape(rows: 801, columns: 70, depth: 3300), Shape(rows: 100, columns: 33, depth: 4700)])
  func tallAndDeepProducts(set: InstructionSet, shape: Shape) throws {
    var random = SplitMix64(seed: 5)
    // A long period, and quick to fill without optimisation.
    let period = random.floats(10_007)
    var x: [Float] = []
    while x.count < shape.rows * shape.depth { x += period }
    let bias = random.floats((shape.columns + 15) & ~15)
    let weights = Weights(rows: shape.columns, columns: shape.depth, as: .bf16, seed: 6)
    for threads in [1, 3] {
      try withContext(set, threads: threads) { context in
        for element in [PackedMatrix.Element.f32, .bf16] {
          let packed = weights.packed(as: element, context)
          let whole = product(
            context, x, rows: 0..<shape.rows, packed, bias: bias, activation: .gelu)
          for row in [0, 11, 12, shape.rows / 2, shape.rows - 1] {
            let alone = product(context, x, rows: row..<row + 1, packed, bias: bias, activation: .gelu)
            #expect(alone == Array(whole[row * shape.columns..<(row + 1) * shape.columns]))
          }
        }
      }
    }
  }

  @Test func packedWeightsTakeTheirElementsBytes() throws {
    try withContext(.portable, threads: 2) { context in
      for element in PackedMatrix.Element.allCases {
        let weights = Weights(rows: 33, columns: 7, as: element, seed: 8)
        // Three panels of 16 rows.
        #expect(weights.packed(as: element, context).byteCount == 48 * 7 * element.byteCount)
      }
    }
  }
}
