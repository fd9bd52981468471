import SalanganeKernels

/// The float weights of a linear layer, packed for `KernelTable.matmulPanels`: panels of 16 output
/// features, and in a panel the 16 weights of one input feature side by side.
///
/// Rows beyond the last output feature are zero. The layout is the same for every instruction set.
package struct PackedMatrix: Sendable {
  /// Output features.
  package let rows: Int
  /// Input features.
  package let columns: Int
  private let buffer: FloatBuffer

  /// Panels of 16 output features.
  package var panels: Int { (rows + 15) / 16 }
  /// Floats from one panel to the next.
  package var panelStride: Int { columns * 16 }
  /// Bytes that the packed weights take.
  package var byteCount: Int { buffer.count * MemoryLayout<Float>.stride }

  /// A panel's first weight.
  package func panel(_ index: Int) -> UnsafePointer<Float> {
    UnsafePointer(buffer.base + index * panelStride)
  }

  /// Writes the 16 rows of a panel as they were before they were packed.
  ///
  /// - Parameter destination: Room for `16 * columns` floats.
  package func copyRows(
    ofPanel index: Int, to destination: UnsafeMutablePointer<Float>, kernels: KernelTable
  ) {
    // A panel is a matrix with a row for each column: to be transposed once more.
    kernels.packRows(columns, columns, 16, panel(index), 16, destination)
  }

  /// The bytes that packed weights take.
  package static func byteCount(rows: Int, columns: Int) -> Int {
    (rows + 15) / 16 * 16 * columns * MemoryLayout<Float>.stride
  }

  /// A matrix without weights, which has a shape and can't be multiplied with.
  package init(placeholderOfRows rows: Int, columns: Int) {
    self.rows = rows
    self.columns = columns
    buffer = FloatBuffer(count: 0)
  }

  /// Packs `[rows, columns]` weights, several panels at a time.
  ///
  /// - Parameter decodeRow: Writes the `columns` weights of one row; called from the team's threads.
  package init(
    rows: Int, columns: Int, context: ComputeContext,
    decodeRow: (_ row: Int, _ destination: UnsafeMutablePointer<Float>) -> Void
  ) {
    precondition(rows > 0 && columns > 0)
    self.rows = rows
    self.columns = columns
    let stride = columns * 16
    let panels = (rows + 15) / 16
    let buffer = FloatBuffer(count: panels * stride)
    self.buffer = buffer
    let kernels = context.kernels
    context.parallel(tasks: panels, scratchCount: stride) { panel, _, scratch in
      let first = panel * 16
      let count = min(16, rows - first)
      for row in 0..<count { decodeRow(first + row, scratch + row * columns) }
      kernels.packRows(count, 16, columns, scratch, columns, buffer.base + panel * stride)
    }
  }
}
