import SalanganeFiles
import SalanganeKernels
import SalanganeQuantization
import SalanganeTensors
import SalanganeTestSupport
import Testing

/// A stored matrix with random blocks.
struct StoredBlocks: QuantizedRowSource {
  let type: TensorType
  let rows: Int
  let columns: Int
  private let format: any IntegerBlockFormat.Type
  private let bytes: [UInt8]

  private var blocksPerRow: Int { columns / type.valuesPerBlock }

  /// Types with a packed form, and others that share one.
  static let types: [TensorType] = [
    .q4_0, .q4_1, .q5_0, .q5_1, .q8_0, .q2_K, .q3_K, .q4_K, .q5_K, .q6_K, .iq4_NL, .iq4_XS, .mxfp4, .iq1_M,
    .iq2_XXS, .q2_0, .nvfp4,
  ]

  init(_ type: TensorType, rows: Int, columns: Int, seed: UInt64 = 1) throws {
    self.type = type
    self.rows = rows
    self.columns = columns
    format = try #require(Dequantizer.format(of: type) as? any IntegerBlockFormat.Type)
    var random = SplitMix64(seed: seed)
    var bytes: [UInt8] = []
    let format = format
    while bytes.count < rows * columns / type.valuesPerBlock * type.bytesPerBlock {
      let block = (0..<type.bytesPerBlock).map { _ in UInt8.random(in: .min ... .max, using: &random) }
      var values = [Float](repeating: 0, count: type.valuesPerBlock)
      block.withUnsafeBytes { format.decode($0.baseAddress!, into: &values) }
      // Of a size that sums can be compared at.
      let largest = values.reduce(0) { $1.isFinite ? max($0, abs($1)) : .infinity }
      if largest < 1e5 && largest > 1e-5 { bytes += block }
    }
    self.bytes = bytes
  }

  func split(_ row: Int, codes: UnsafeMutablePointer<UInt8>, scales: UnsafeMutableRawPointer) {
    bytes.withUnsafeBytes {
      format.split(
        $0.baseAddress! + row * blocksPerRow * type.bytesPerBlock, count: blocksPerRow, codes: codes,
        scales: scales)
    }
  }

  /// `[rows, columns]` floats.
  func decoded() -> [Float] {
    var values = [Float](repeating: 0, count: rows * columns)
    bytes.withUnsafeBytes {
      format.decode($0.baseAddress!, count: values.count / type.valuesPerBlock, into: &values)
    }
    return values
  }

  /// The matrix as kernels take it.
  func matrix(packs: Bool = true, _ context: ComputeContext) throws -> QuantizedMatrix {
    QuantizedMatrix(
      try #require(QuantizedFormat(type)), rows: rows, columns: columns, packs: packs, source: self,
      context: context)
  }
}

@Suite struct QuantizedMatmulTests {
  /// Rows of different sizes; some groups are zero.
  static func activations(rows: Int, columns: Int, seed: UInt64 = 2) -> [Float] {
    var random = SplitMix64(seed: seed)
    return (0..<rows * columns).map { index in
      let size: Float = index / 32 % 7 == 3 ? 0 : index / columns % 3 == 1 ? 100 : 1
      return Float.random(in: -1...1, using: &random) * size
    }
  }

  private func product(
    _ x: [Float], rows: Int, _ w: QuantizedMatrix, bias: [Float]? = nil, activation: Activation = .none,
    _ context: ComputeContext
  ) -> [Float] {
    let out = Matrix(rows: rows, columns: w.rows)
    let x = matrix(x, rows: rows, columns: w.columns)
    bias.map { $0 + [Float](repeating: .nan, count: 16) }.withUnsafe {
      context.matmul(x, w, bias: $0, activation: activation, into: out)
    }
    return values(out)
  }

  /// Inputs that don't fill the last record, where blocks are small enough.
  private func columns(_ type: TensorType) -> Int {
    type.valuesPerBlock * (type.valuesPerBlock == 256 ? 2 : 3)
  }

  /// Whether a product is that of decoded weights but for the rounding of activations to 8 bits: each is at most half
  /// of its group's scale away. Rounding of sums adds little.
  private func isWithinRounding(
    _ found: [Float], _ x: [Float], _ weights: [Float], bias: [Float]? = nil, rows: Int, outputs: Int
  ) -> Bool {
    let columns = x.count / rows
    let halves = (0..<rows * columns / 32).map { group in
      Double(x[group * 32..<group * 32 + 32].reduce(0) { max($0, abs($1)) }) / 127 * 0.500_01
    }
    for row in 0..<rows {
      for output in 0..<outputs {
        var sum = Double(bias?[output] ?? 0)
        var bound = abs(sum) * 1e-5
        for column in 0..<columns {
          let index = row * columns + column
          let weight = Double(weights[output * columns + column])
          sum += Double(x[index]) * weight
          bound += abs(weight) * (halves[index / 32] + abs(Double(x[index])) * 1e-5)
        }
        guard abs(Double(found[row * outputs + output]) - sum) <= bound else { return false }
      }
    }
    return true
  }

  /// Results that are quantised where they are computed have the same codes as those that are written first.
  @Test(arguments: InstructionSet.available, [TensorType.q8_0, .q4_1, .q5_K, .q3_K])
  func resultsAreQuantizedInPlace(set: InstructionSet, type: TensorType) throws {
    let inputs = columns(type)
    let inner = type.valuesPerBlock == 256 ? 512 : 96
    let first = try StoredBlocks(type, rows: inner, columns: inputs)
    let second = try StoredBlocks(type, rows: 21, columns: inner, seed: 4)
    var random = SplitMix64(seed: 3)
    let bias = random.floats(inner + 16)
    for threads in [1, 3] {
      try withContext(set, threads: threads) { context in
        let w = try first.matrix(context)
        let next = try second.matrix(context)
        for rows in [1, 3, 16, 17, 40] {
          let x = Self.activations(rows: rows, columns: inputs)
          let between = Matrix(rows: rows, columns: inner)
          let expected = Matrix(rows: rows, columns: 21)
          let found = Matrix(rows: rows, columns: 21)
          bias.withUnsafeBufferPointer { bias in
            let x = matrix(x, rows: rows, columns: inputs)
            context.matmul(x, w, bias: bias.baseAddress, activation: .gelu, into: between)
            context.matmul(between, next, bias: nil, into: expected)
            context.quantize(x)
            context.multiplyQuantizedInPlace(w, bias: bias.baseAddress, activation: .gelu)
            context.multiplyQuantized(next, bias: nil, into: found)
          }
          #expect(values(found).map(\.bitPattern) == values(expected).map(\.bitPattern), "\(rows) rows")
        }
      }
    }
  }

  @Test(arguments: InstructionSet.available, StoredBlocks.types)
  func errorsAreThoseOfActivations(set: InstructionSet, type: TensorType) throws {
    let columns = columns(type)
    let outputs = 37
    let rows = 14
    let blocks = try StoredBlocks(type, rows: outputs, columns: columns)
    let x = Self.activations(rows: rows, columns: columns)
    var random = SplitMix64(seed: 3)
    let bias = random.floats(outputs)
    try withContext(set, threads: 2) { context in
      let w = try blocks.matrix(context)
      for count in [2, rows] {
        let part = Array(x.prefix(count * columns))
        let found = product(part, rows: count, w, bias: bias, context)
        #expect(isWithinRounding(found, part, blocks.decoded(), bias: bias, rows: count, outputs: outputs))
        let other = try StoredBlocks(type, rows: outputs, columns: columns, seed: 9).decoded()
        #expect(!isWithinRounding(found, part, other, bias: bias, rows: count, outputs: outputs))
      }
    }
  }

  /// Weights whose products with activations are whole give exact results: nothing is lost but by rounding to 8 bits.
  @Test(arguments: InstructionSet.available)
  func wholeActivationsAreExact(set: InstructionSet) throws {
    let blocks = try StoredBlocks(.q8_0, rows: 20, columns: 64)
    let weights = blocks.decoded()
    var random = SplitMix64(seed: 4)
    let x = (0..<5 * 64).map { $0 % 32 == 0 ? Float(127) : Float(Int.random(in: -127...127, using: &random)) }
    let found = try withContext(set, threads: 1) { product(x, rows: 5, try blocks.matrix($0), $0) }
    for row in 0..<5 {
      for output in 0..<20 {
        let terms = (0..<64).map { Double(x[row * 64 + $0]) * Double(weights[output * 64 + $0]) }
        let sum = terms.reduce(0, +)
        let magnitude = terms.reduce(0) { $0 + abs($1) }
        #expect(abs(Double(found[row * 20 + output]) - sum) <= magnitude * 0x1p-22)
      }
    }
  }

  /// No bit of a row depends on the rows beside it, the threads, or on when weights are packed.
  @Test(arguments: InstructionSet.available, StoredBlocks.types)
  func bitsAreTheRowsOwn(set: InstructionSet, type: TensorType) throws {
    let columns = columns(type)
    let outputs = 83
    let most = 40
    let blocks = try StoredBlocks(type, rows: outputs, columns: columns)
    let x = Self.activations(rows: most, columns: columns)
    var random = SplitMix64(seed: 5)
    let bias = random.floats(outputs)
    let whole = try withContext(set, threads: 1) { context in
      product(x, rows: most, try blocks.matrix(context), bias: bias, activation: .gelu, context)
    }
    #expect(whole.allSatisfy { $0.isFinite })
    for threads in [1, 2, 3, 5] {
      try withContext(set, threads: threads) { context in
        for packs in [true, false] {
          let w = try blocks.matrix(packs: packs, context)
          #expect(w.isPacked == packs && (w.byteCount > 0) == packs)
          for rows in threads == 2 ? Array(1...most) : [1, 2, 3, 4, 12, 13, 25, most] {
            // Others each time.
            let first = most - rows
            let found = product(
              Array(x[(first * columns)...]), rows: rows, w, bias: bias, activation: .gelu, context)
            #expect(
              found == Array(whole[(first * outputs)...]),
              "\(rows) rows, \(threads) threads, packed: \(packs)")
          }
        }
      }
    }
  }

  /// Outputs that don't fill a panel, and inputs that don't fill a record.
  @Test(arguments: InstructionSet.available, StoredBlocks.types)
  func tails(set: InstructionSet, type: TensorType) throws {
    for outputs in [1, 15, 16, 17, 33] {
      for count in type.valuesPerBlock == 32 ? [1, 2, 4, 5, 9] : [1, 3] {
        let columns = count * type.valuesPerBlock
        let blocks = try StoredBlocks(type, rows: outputs, columns: columns)
        let x = Self.activations(rows: 5, columns: columns)
        try withContext(set, threads: 2) { context in
          let few = product(Array(x.prefix(2 * columns)), rows: 2, try blocks.matrix(context), context)
          let many = product(x, rows: 5, try blocks.matrix(packs: false, context), context)
          #expect(few == Array(many.prefix(2 * outputs)))
          #expect(isWithinRounding(many, x, blocks.decoded(), rows: 5, outputs: outputs))
        }
      }
    }
  }
}

extension [Float]? {
  /// The array's memory, or nil.
  fileprivate func withUnsafe<Result>(_ body: (UnsafePointer<Float>?) throws -> Result) rethrows -> Result {
    guard let self else { return try body(nil) }
    return try self.withUnsafeBufferPointer { try body($0.baseAddress) }
  }
}
