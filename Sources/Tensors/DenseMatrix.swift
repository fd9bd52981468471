import SalanganeKernels

/// The float weights of a linear layer as OpenBLAS takes them: `[rows, columns]`, row-major, without gaps.
package struct DenseMatrix: Sendable {
  /// Output features.
  package let rows: Int
  /// Input features.
  package let columns: Int
  private let buffer: FloatBuffer

  /// Bytes that the weights take.
  package var byteCount: Int { buffer.count * MemoryLayout<Float>.stride }

  /// Copies `[rows, columns]` weights, several rows at a time.
  ///
  /// - Parameter decodeRow: Writes the `columns` weights of one row; called from the team's threads.
  package init(
    rows: Int, columns: Int, context: ComputeContext,
    decodeRow: (_ row: Int, _ destination: UnsafeMutablePointer<Float>) -> Void
  ) {
    precondition(rows > 0 && columns > 0)
    self.rows = rows
    self.columns = columns
    let buffer = FloatBuffer(count: rows * columns)
    self.buffer = buffer
    context.parallel(tasks: rows, isAbandoned: true) { row, _, _ in
      decodeRow(row, buffer.base + row * columns)
    }
  }

  /// The weights of a row.
  package func row(_ index: Int) -> UnsafePointer<Float> { UnsafePointer(buffer.base + index * columns) }
}

extension ComputeContext {
  /// `out = activation(x w^T + bias)` through OpenBLAS.
  ///
  /// The order of OpenBLAS's sums depends on the shape of the call, so results may differ in the last bits
  /// from batch to batch: this is the cross-check and the fast path of the portable instruction set.
  ///
  /// - Parameters:
  ///   - x: `[rows, w.columns]`.
  ///   - w: The weights, `[w.rows, w.columns]`.
  ///   - bias: `w.rows` floats, or nil.
  ///   - out: `[rows, w.rows]`.
  package func matmul(
    _ x: Matrix, _ w: DenseMatrix, bias: UnsafePointer<Float>?, activation: Activation = .none,
    into out: Matrix
  ) {
    precondition(x.columns == w.columns && out.columns == w.rows && out.rows == x.rows)
    // Tall products are divided by rows, flat ones by output features.
    let byRows = x.rows >= 16 * threads
    let extent = byRows ? x.rows : w.rows
    let share = (extent + threads - 1) / threads
    let kernels = kernels
    parallel(tasks: (extent + share - 1) / max(share, 1), isAbandoned: true) { task, _, _ in
      let start = task * share
      let count = min(share, extent - start)
      let rows = byRows ? start..<start + count : 0..<x.rows
      let columns = byRows ? 0..<w.rows : start..<start + count
      if let bias {
        for row in rows {
          (out.row(row) + columns.lowerBound).update(from: bias + columns.lowerBound, count: columns.count)
        }
      }
      let destination = out.row(rows.lowerBound) + columns.lowerBound
      OpenBLAS.multiply(
        rows: rows.count, columns: columns.count, depth: w.columns, x.row(rows.lowerBound), x.stride,
        w.row(columns.lowerBound), accumulate: bias != nil, destination, out.stride)
      activation.apply(kernels, rows.count, columns.count, destination, out.stride)
    }
  }
}
