import SalanganeKernels

/// Activations as signed bytes, packed for products with quantised weights: memory that is reused from product to
/// product.
///
/// Rows go in blocks of 12, or all in one if there are no more than three. Inputs are padded with zeros to a multiple
/// of 256.
package struct QuantizedRows: Sendable {
  /// Rows that are multiplied with weights as they are packed.
  static let vectorRows = 3

  private var buffer = FloatBuffer(count: 0)
  /// Where the first block begins, in words.
  private var offset = 0
  /// How many rows there are.
  private(set) var rows = 0
  /// Groups of 32 inputs, padding included.
  private(set) var groups = 0

  init() {}

  /// Rows that stand side by side in a block.
  var step: Int { rows <= Self.vectorRows ? rows : KernelTable.packedRows }
  /// How many blocks there are.
  var blocks: Int { (rows + step - 1) / max(step, 1) }

  /// Words of a block: codes, scales, and the sums of each half of a group.
  private var blockWords: Int { step * groups * 11 }

  /// Makes room for `rows` rows of `columns` columns.
  mutating func reserve(rows: Int, columns: Int) {
    self.rows = rows
    groups = Self.groups(columns: columns)
    reserve(words: words)
  }

  /// Makes room for some words, which `part` then divides.
  mutating func reserve(words: Int) {
    if buffer.count < words { buffer = FloatBuffer(count: words + words / 4) }
  }

  private static func groups(columns: Int) -> Int { (columns + 255) / 256 * 8 }

  /// Words that the rows take.
  var words: Int { blocks * blockWords }

  /// Rows of their own in a part of the memory, from word `offset` on.
  func part(from offset: Int, rows: Int, columns: Int) -> QuantizedRows {
    var part = self
    part.offset = offset
    part.rows = rows
    part.groups = Self.groups(columns: columns)
    return part
  }

  /// The codes of a block, `[8 * groups, step]`.
  func codes(_ block: Int) -> UnsafeMutablePointer<UInt32> {
    UnsafeMutableRawPointer(buffer.base + (offset + block * blockWords)).assumingMemoryBound(to: UInt32.self)
  }

  /// The scales of a block, `[groups, step]`.
  func scales(_ block: Int) -> UnsafeMutablePointer<Float> {
    buffer.base + (offset + block * blockWords + 8 * groups * step)
  }

  /// The sums of a block's codes, `[2 * groups, step]`.
  func sums(_ block: Int) -> UnsafeMutablePointer<Int32> {
    UnsafeMutableRawPointer(buffer.base + (offset + block * blockWords + 9 * groups * step))
      .assumingMemoryBound(to: Int32.self)
  }

  /// The rows of a block that are in use.
  func rowCount(_ block: Int) -> Int { min(step, rows - block * step) }

  /// Quantises the rows of a block.
  ///
  /// - Parameters:
  ///   - x: The first of them, `[rowCount, columns]`.
  ///   - columns: A multiple of 32.
  func fill(
    _ block: Int, _ x: UnsafePointer<Float>, stride: Int, columns: Int, _ kernels: KernelTable
  ) {
    let used = columns / 32
    let codes = codes(block)
    let scales = scales(block)
    let sums = sums(block)
    kernels.quantizeActivations(rowCount(block), used, x, stride, step, codes, scales, sums)
    let padding = groups - used
    guard padding > 0 else { return }
    (codes + 8 * used * step).update(repeating: 0, count: 8 * padding * step)
    (scales + used * step).update(repeating: 0, count: padding * step)
    (sums + 2 * used * step).update(repeating: 0, count: 2 * padding * step)
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
  /// `silu(first half) * second half` of rows `[rows, 2 * columns]`: the middle of a feed-forward network whose two
  /// first products lie side by side (SwiGLU; Shazeer, 2020).
  case gated(Matrix)

  var rows: Int {
    switch self {
    case .rows(let x), .gated(let x): x.rows
    }
  }

  var columns: Int {
    switch self {
    case .rows(let x): x.columns
    case .gated(let x): x.columns / 2
    }
  }
}

/// The quantisation of rows, cut into blocks.
struct RowQuantization: ScratchPhase {
  let kernels: KernelTable
  let source: QuantizationSource
  let rows: QuantizedRows

  /// Floats of scratch that a task needs.
  var scratchCount: Int {
    switch source {
    case .rows: 0
    case .gated: rows.step * source.columns
    }
  }

  func run(task: Int, worker: Int, scratch: UnsafeMutablePointer<Float>) {
    let columns = source.columns
    let first = task * rows.step
    switch source {
    case .rows(let x): rows.fill(task, x.row(first), stride: x.stride, columns: columns, kernels)
    case .gated(let x):
      let count = rows.rowCount(task)
      for row in 0..<count {
        let gate = scratch + row * columns
        gate.update(from: x.row(first + row), count: columns)
        kernels.swigluRows(1, columns, gate, x.row(first + row) + columns, columns)
      }
      rows.fill(task, scratch, stride: columns, columns: columns, kernels)
    }
  }
}
