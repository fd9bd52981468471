import SalanganeKernels

/// Activations as signed bytes, packed for products with quantised weights, in memory that someone else owns.
///
/// Rows go in blocks of 12, or all in one if they are few. Inputs are padded with zeros to a multiple of 256.
package struct QuantizedRows {
  /// Rows that are best quantised together: as many as `quantizeActivations` takes at once.
  static let rowsPerStep = 4

  private let base: UnsafeMutablePointer<Float>
  /// How many rows there are.
  let rows: Int
  /// Inputs of a row.
  let columns: Int
  /// Groups of 32 inputs, padding included.
  let groups: Int
  /// Whether the rows are multiplied with weights as they are packed.
  let areFew: Bool

  /// Describes rows from `base` on, where there is room for `wordCount` words.
  init(base: UnsafeMutablePointer<Float>, rows: Int, columns: Int, _ kernels: KernelTable) {
    self.base = base
    self.rows = rows
    self.columns = columns
    groups = Self.groups(columns: columns)
    areFew = rows <= kernels.vectorRows
  }

  private static func groups(columns: Int) -> Int { (columns + 255) / 256 * 8 }

  /// Words that rows take: codes, scales, and the sums of each half of a group.
  static func wordCount(rows: Int, columns: Int, _ kernels: KernelTable) -> Int {
    let width = KernelTable.packedRows
    let room = rows <= kernels.vectorRows ? rows : (rows + width - 1) / width * width
    return room * groups(columns: columns) * 11
  }

  /// Rows that stand side by side in a block.
  var step: Int { areFew ? rows : KernelTable.packedRows }
  /// How many blocks there are.
  var blocks: Int { (rows + step - 1) / max(step, 1) }

  private var blockWords: Int { step * groups * 11 }

  /// The codes of a block, `[8 * groups, step]`.
  func codes(_ block: Int) -> UnsafeMutablePointer<UInt32> {
    UnsafeMutableRawPointer(base + block * blockWords).assumingMemoryBound(to: UInt32.self)
  }

  /// The scales of a block, `[groups, step]`.
  func scales(_ block: Int) -> UnsafeMutablePointer<Float> {
    base + (block * blockWords + 8 * groups * step)
  }

  /// The sums of a block's codes, `[2 * groups, step]`.
  func sums(_ block: Int) -> UnsafeMutablePointer<Int32> {
    UnsafeMutableRawPointer(base + (block * blockWords + 9 * groups * step))
      .assumingMemoryBound(to: Int32.self)
  }

  /// The rows of a block that are in use.
  func rowCount(_ block: Int) -> Int { min(step, rows - block * step) }

  /// Quantises some inputs of some rows; with the last inputs of a row, what lies behind them becomes zero.
  ///
  /// - Parameters:
  ///   - range: The rows.
  ///   - columns: The inputs, from a multiple of 32 to a multiple of 32.
  ///   - x: These inputs, `stride` floats from row to row.
  package func fill(
    _ range: Range<Int>, columns: Range<Int>, _ x: UnsafePointer<Float>, stride: Int, _ kernels: KernelTable
  ) {
    let groups = columns.lowerBound / 32..<columns.upperBound / 32
    var row = range.lowerBound
    while row < range.upperBound {
      let block = row / step
      let end = min((block + 1) * step, range.upperBound)
      let rows = row - block * step..<end - block * step
      let source = x + (row - range.lowerBound) * stride
      kernels.quantizeActivations(
        rows.count, groups.count, source, stride, step,
        codes(block) + (8 * groups.lowerBound * step + rows.lowerBound),
        scales(block) + (groups.lowerBound * step + rows.lowerBound),
        sums(block) + (2 * groups.lowerBound * step + rows.lowerBound))
      if columns.upperBound == self.columns { pad(block, rows: rows) }
      row = end
    }
  }

  /// Sets what lies behind the inputs of some rows of a block to zero.
  private func pad(_ block: Int, rows: Range<Int>) {
    let codes = codes(block) + rows.lowerBound
    let scales = scales(block) + rows.lowerBound
    let sums = sums(block) + rows.lowerBound
    for group in columns / 32..<groups {
      for word in 0..<8 { (codes + (group * 8 + word) * step).update(repeating: 0, count: rows.count) }
      (scales + group * step).update(repeating: 0, count: rows.count)
      (sums + 2 * group * step).update(repeating: 0, count: rows.count)
      (sums + (2 * group + 1) * step).update(repeating: 0, count: rows.count)
    }
  }

  /// What the codes of a row leave over: `x - scale * code`.
  ///
  /// - Parameters:
  ///   - x: The row as it was before it was quantised.
  ///   - columns: A multiple of 32.
  func copyResidual(
    ofRow row: Int, _ x: UnsafePointer<Float>, columns: Int, to out: UnsafeMutablePointer<Float>
  ) {
    let codes = codes(row / step) + row % step
    let scales = scales(row / step) + row % step
    for word in 0..<columns / 4 {
      let bytes = unsafeBitCast(codes[word * step], to: SIMD4<Int8>.self)
      let scale = scales[word / 8 * step]
      for index in 0..<4 { out[word * 4 + index] = x[word * 4 + index] - scale * Float(bytes[index]) }
    }
  }
}

/// What rows are quantised, and what is done to them before.
package enum QuantizationSource {
  /// Rows as they are, `[rows, columns]`.
  case rows(Matrix)
  /// `silu(first half) * second half` of rows `[rows, 2 * columns]`, which takes the place of the first half: the
  /// middle of a feed-forward network whose two first products lie side by side (SwiGLU; Shazeer, 2020).
  case gated(Matrix)
  /// Rows that are normalised first.
  case normalized(RowNormalization)

  var rows: Int {
    switch self {
    case .rows(let x), .gated(let x): x.rows
    case .normalized(let norm): norm.x.rows
    }
  }

  var columns: Int {
    switch self {
    case .rows(let x): x.columns
    case .gated(let x): x.columns / 2
    case .normalized(let norm): norm.x.columns
    }
  }
}

/// The quantisation of rows, cut into blocks.
struct RowQuantization: ScratchPhase {
  let kernels: KernelTable
  let source: QuantizationSource
  let rows: QuantizedRows

  func run(task: Int, worker: Int, scratch: UnsafeMutablePointer<Float>) {
    let columns = source.columns
    let first = task * rows.step
    let end = first + rows.rowCount(task)
    // A few at a time: they are still in the cache when they are quantised.
    for row in stride(from: first, to: end, by: QuantizedRows.rowsPerStep) {
      let range = row..<min(row + QuantizedRows.rowsPerStep, end)
      let x: Matrix
      switch source {
      case .rows(let rows): x = rows
      case .gated(let inner):
        kernels.swigluRows(range.count, columns, inner.row(row), inner.row(row) + columns, inner.stride)
        x = inner
      case .normalized(let norm):
        norm.run(range)
        x = norm.out
      }
      rows.fill(range, columns: 0..<columns, x.row(row), stride: x.stride, kernels)
    }
  }
}
