import SalanganeFiles
import SalanganeKernels
import SalanganeQuantization

/// The products with quantised weights, run on fixed blocks and activations.
enum QuantizedKernelTest {
  private static let columns = 256

  /// The greatest difference that the rounding of sums may make, relative to the greatest output. Where minimums are
  /// subtracted, results are small differences of larger sums.
  private static func ceiling(_ format: QuantizedFormat) -> Double { format.shape.hasMinimum ? 2e-6 : 1e-6 }

  /// Tests one instruction set.
  static func run(_ table: KernelTable) -> [KernelSelfTest.Result] {
    var results = [activations(table)].compactMap { $0 }
    for (number, reference) in QuantizedReference.all.enumerated() {
      guard let format = QuantizedFormat(reference.type),
        let blocks = Dequantizer.format(of: reference.type) as? any IntegerBlockFormat.Type
      else { preconditionFailure("\(reference.type.name) has a packed form") }
      let matrix = matrix(
        format, BlockRows(type: blocks, reference: reference, number: number, columns: columns))
      let expected = reference.values
      // One row goes through the vector product, twelve through the tile; the first row is the same.
      for rows in [1, 12] {
        let found = product(table, matrix, rows: rows)
        results.append(
          KernelSelfTest.Result(
            instructionSet: table.instructionSet,
            kernel: rows == 1 ? "vector \(reference.type.name)" : "tile \(reference.type.name)",
            oracle: .reference,
            error: KernelSelfTest.difference(Array(found.prefix(16)), expected), ceiling: ceiling(format)))
        if table.instructionSet != .portable {
          results.append(
            KernelSelfTest.Result(
              instructionSet: table.instructionSet,
              kernel: rows == 1 ? "vector \(reference.type.name)" : "tile \(reference.type.name)",
              oracle: .portable,
              error: KernelSelfTest.difference(found, product(.portable, matrix, rows: rows)),
              ceiling: ceiling(format)))
        }
      }
    }
    return results
  }

  /// Codes and scales of activations: the same on every instruction set.
  private static func activations(_ table: KernelTable) -> KernelSelfTest.Result? {
    guard table.instructionSet != .portable else { return nil }
    func quantize(_ table: KernelTable) -> [Double] {
      let x = KernelSelfTest.numbers(columns, seed: 6)
      var codes = [UInt32](repeating: 0, count: columns / 4)
      var scales = [Float](repeating: 0, count: columns / 32)
      var sums = [Int32](repeating: 0, count: columns / 16)
      table.quantizeActivations(1, columns / 32, x, 0, 1, &codes, &scales, &sums)
      return codes.map(Double.init) + scales.map(Double.init) + sums.map(Double.init)
    }
    return KernelSelfTest.Result(
      instructionSet: table.instructionSet, kernel: "8-bit activations", oracle: .portable,
      error: KernelSelfTest.difference(quantize(table), quantize(.portable)), ceiling: 0)
  }

  private static func matrix(_ format: QuantizedFormat, _ rows: BlockRows) -> QuantizedMatrix {
    let context = ComputeContext(team: ThreadTeam(), threads: 1, kernels: .portable)
    return QuantizedMatrix(format, rows: 16, columns: columns, packs: true, source: rows, context: context)
  }

  /// Rows of activations, of which the first is always the same, times the matrix.
  private static func product(_ table: KernelTable, _ w: QuantizedMatrix, rows: Int) -> [Double] {
    let context = ComputeContext(team: ThreadTeam(), threads: 1, kernels: table)
    let x = Matrix(rows: rows, columns: columns)
    let out = Matrix(rows: rows, columns: 16)
    for row in 0..<rows {
      x.row(row).update(from: KernelSelfTest.numbers(columns, seed: 1 + row), count: columns)
    }
    context.matmul(x, w, bias: nil, into: out)
    return (0..<rows).flatMap { row in (0..<16).map { Double(out.row(row)[$0]) } }
  }
}

/// Sixteen rows of blocks of pseudo-random bytes, as `make_kernel_references.py` makes them.
private struct BlockRows: QuantizedRowSource {
  private let type: any IntegerBlockFormat.Type
  private let bytes: [UInt8]
  private let columns: Int

  init(type: any IntegerBlockFormat.Type, reference: QuantizedReference, number: Int, columns: Int) {
    self.type = type
    self.columns = columns
    let length = type.bytesPerBlock
    let count = 16 * columns / type.valuesPerBlock
    var bytes = [UInt8](repeating: 0, count: count * length)
    var state = UInt32(number + 1)
    for index in bytes.indices {
      state = state &* 1_664_525 &+ 1_013_904_223
      bytes[index] = UInt8(state >> 24)
    }
    for block in 0..<count {
      for offset in reference.halves {
        let half = 0x2000 + (block * 37 + offset) % 256
        bytes[block * length + offset] = UInt8(half & 0xFF)
        bytes[block * length + offset + 1] = UInt8(half >> 8)
      }
      if reference.halves.isEmpty { bytes[block * length] = UInt8(118 + block % 5) }
    }
    self.bytes = bytes
  }

  func split(_ row: Int, codes: UnsafeMutablePointer<UInt8>, scales: UnsafeMutableRawPointer) {
    let blocks = columns / type.valuesPerBlock
    bytes.withUnsafeBytes { bytes in
      guard let base = bytes.baseAddress else { return }
      type.split(base + row * blocks * type.bytesPerBlock, count: blocks, codes: codes, scales: scales)
    }
  }
}
