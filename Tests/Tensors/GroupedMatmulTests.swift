import SalanganeKernels
import SalanganeTensors
import SalanganeTestSupport
import Testing

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

@Suite struct GroupedMatmulTests {
  /// Members of a store of weights, and how many rows each has.
  struct Shape: CustomTestStringConvertible, Sendable {
    let outputs: Int
    let depth: Int
    let rows: [Int]
    let input: GroupedProduct.Input
    let isGathered: Bool
    var testDescription: String { "\(rows) x \(depth) -> \(outputs), \(input), gathered \(isGathered)" }
  }
  static let shapes = [
    Shape(outputs: 1, depth: 1, rows: [1], input: .plain, isGathered: false),
    Shape(outputs: 40, depth: 24, rows: [0, 1, 0, 13, 2], input: .plain, isGathered: true),
    Shape(outputs: 24, depth: 20, rows: [5, 0, 30, 1], input: .gated, isGathered: false),
    Shape(outputs: 64, depth: 33, rows: [3, 3], input: .gated, isGathered: true),
    Shape(outputs: 16, depth: 4100, rows: [40, 25], input: .plain, isGathered: false),
    Shape(outputs: 200, depth: 64, rows: [1, 1, 1], input: .plain, isGathered: true),
    Shape(outputs: 20, depth: 8, rows: [0, 0], input: .plain, isGathered: false),
  ]

  private struct Work {
    let shape: Shape
    let input: Matrix
    let weights: [[Float]]
    let rows: [[Int32]]

    init(_ shape: Shape) {
      var random = SplitMix64(seed: UInt64(shape.outputs * 100 + shape.depth))
      self.shape = shape
      let columns = shape.depth * (shape.input == .gated ? 2 : 1)
      let total = shape.rows.reduce(0, +)
      let inputRows = max(total, 9)
      input = matrix(random.floats(inputRows * columns), rows: inputRows, columns: columns)
      weights = shape.rows.map { _ in random.floats(shape.outputs * shape.depth) }
      var first = 0
      var rows: [[Int32]] = []
      for count in shape.rows {
        rows.append(
          (0..<count).map {
            shape.isGathered ? Int32.random(in: 0..<Int32(inputRows), using: &random) : Int32(first + $0)
          })
        first += count
      }
      self.rows = rows
    }

    /// The result, `[rows of all groups, outputs]`, and a column beyond it that must stay as it was.
    func run(_ context: ComputeContext, isDense: Bool = false) -> [Float] {
      let padded = (shape.outputs + 15) & ~15
      let out = Matrix(rows: max(shape.rows.reduce(0, +), 1), columns: shape.outputs + 1)
      for row in 0..<out.rows { out.row(row).update(repeating: 7, count: out.columns) }
      func decode(_ row: Int, _ destination: UnsafeMutablePointer<Float>) {
        let feature = row % padded
        for column in 0..<shape.depth {
          destination[column] =
            feature < shape.outputs ? weights[row / padded][feature * shape.depth + column] : 0
        }
      }
      let product = GroupedProduct(
        xStride: input.stride, input: shape.input, outputs: shape.outputs, outStride: out.stride)
      let indices = rows.map { group in
        let buffer = UnsafeMutableBufferPointer<Int32>.allocate(capacity: group.count)
        _ = buffer.initialize(from: group)
        return buffer
      }
      defer { for buffer in indices { buffer.deallocate() } }
      var first = 0
      var groups = shape.rows.indices.map { index -> ProductGroup in
        defer { first += shape.rows[index] }
        return ProductGroup(
          member: index, x: input.row(shape.isGathered ? 0 : min(first, input.rows - 1)),
          gathered: shape.isGathered ? UnsafePointer(indices[index].baseAddress) : nil,
          out: out.row(min(first, out.rows - 1)), rows: shape.rows[index])
      }
      groups.withUnsafeMutableBufferPointer { groups in
        if isDense {
          let w = DenseMatrix(
            rows: padded * weights.count, columns: shape.depth, context: context, decodeRow: decode)
          context.groupedMatmul(product, w, groups: groups)
        } else {
          let w = PackedMatrix(
            rows: padded * weights.count, columns: shape.depth, context: context, decodeRow: decode)
          context.groupedMatmul(product, w, groups: groups)
        }
      }
      return values(out)
    }

    /// The same in double precision.
    func reference() -> [Double] {
      var result: [Double] = []
      for (group, rows) in rows.enumerated() {
        for row in rows {
          let line = input.row(Int(row))
          let x: [Double] = (0..<shape.depth).map { index in
            let value = Double(line[index])
            return shape.input == .plain
              ? value : value / (1 + exp(-value)) * Double(line[shape.depth + index])
          }
          for output in 0..<shape.outputs {
            result.append(
              x.indices.reduce(0) { $0 + x[$1] * Double(weights[group][output * shape.depth + $1]) })
          }
          result.append(7)
        }
      }
      return result.isEmpty ? Array(repeating: 7, count: shape.outputs + 1) : result
    }
  }

  @Test(arguments: shapes, InstructionSet.available)
  func agreesWithDoublePrecision(shape: Shape, set: InstructionSet) throws {
    let work = Work(shape)
    let expected = work.reference()
    let result = try withContext(set, threads: 1) { work.run($0) }
    #expect(result.count == expected.count)
    let worst = zip(result, expected).reduce(0.0) { max($0, abs(Double($1.0) - $1.1)) }
    #expect(worst < 1e-6 * Double(shape.depth).squareRoot() * 10)
    for threads in [2, 3, 7] {
      #expect(try withContext(set, threads: threads) { work.run($0) } == result, "\(threads) threads")
    }
    let dense = try withContext(set, threads: 2) { work.run($0, isDense: true) }
    let difference = zip(result, dense).reduce(Float(0)) { max($0, abs($1.0 - $1.1)) }
    #expect(difference < 1e-5 * Float(shape.depth).squareRoot())
  }

  /// A group's result is that of a plain product, to the bit.
  @Test(arguments: InstructionSet.available)
  func isAPlainProduct(set: InstructionSet) throws {
    let shape = Shape(outputs: 48, depth: 300, rows: [30], input: .plain, isGathered: false)
    let work = Work(shape)
    try withContext(set, threads: 2) { context in
      let w = PackedMatrix(rows: 48, columns: 300, context: context) { row, destination in
        for column in 0..<300 { destination[column] = work.weights[0][row * 300 + column] }
      }
      let out = Matrix(rows: 30, columns: 48)
      context.matmul(work.input, w, bias: nil, into: out)
      let grouped = work.run(context)
      for row in 0..<30 {
        #expect((0..<48).allSatisfy { out.row(row)[$0] == grouped[row * 49 + $0] })
      }
    }
  }
}
