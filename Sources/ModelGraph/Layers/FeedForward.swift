import SalanganeTensors

/// A gated feed-forward network: `down(silu(gate(x)) * up(x))` (SwiGLU; Shazeer, 2020).
package struct FeedForward: Sendable {
  /// The gate's features, then as many of `up`, in one product: `[2 * inner, hidden]`.
  package let gateUp: Linear
  /// Back to the hidden size: `[hidden, inner]`.
  package let down: Linear

  /// Features between both products.
  package var innerSize: Int { down.inputs }

  /// `out = network(x)`: `x` and `out` are `[rows, hidden]`.
  ///
  /// - Parameter inner: `[rows, 2 * innerSize]`, for temporary values.
  package func callAsFunction(_ x: Matrix, inner: Matrix, into out: Matrix, _ context: ComputeContext) {
    gateUp(x, into: inner, context)
    let kernels = context.kernels
    let size = innerSize
    let rowsPerTask = 8
    let columnsPerTask = 1024
    let parts = (size + columnsPerTask - 1) / columnsPerTask
    context.parallel(tasks: (inner.rows + rowsPerTask - 1) / rowsPerTask * parts) { task, _, _ in
      let row = task / parts * rowsPerTask
      let column = task % parts * columnsPerTask
      let gate = inner.row(row) + column
      kernels.swigluRows(
        min(rowsPerTask, inner.rows - row), min(columnsPerTask, size - column), gate, gate + size,
        inner.stride)
    }
    down(inner.firstColumns(size), into: out, context)
  }
}
