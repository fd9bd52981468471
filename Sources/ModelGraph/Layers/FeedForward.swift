import SalanganeKernels
import SalanganeTensors

/// A gated feed-forward network: `down(silu(gate(x)) * up(x))` (SwiGLU; Shazeer, 2020).
package struct FeedForward: Sendable {
  /// The gate's features, then as many of `up`, in one product: `[2 * inner, hidden]`.
  package let gateUp: Linear
  /// Back to the hidden size: `[hidden, inner]`.
  package let down: Linear

  /// Features between both products.
  package var innerSize: Int { down.inputs }
  /// Bytes that the weights take in memory.
  package var byteCount: Int { gateUp.byteCount + down.byteCount }

  /// `out = network(x)`: `x`, of which the rows may be quantised, and `out` are `[rows, hidden]`.
  ///
  /// - Parameter inner: `[rows, 2 * innerSize]` or wider, for temporary values.
  func callAsFunction(_ x: ProductInput, inner: Matrix, into out: Matrix, _ context: ComputeContext) {
    let inner = inner.firstColumns(2 * innerSize)
    context.begin(.feedForward, reading: byteCount)
    gateUp(x, into: inner, context)
    down(gated: inner, into: out, context)
  }
}

/// The activation of a feed-forward network's gate, cut into blocks of rows and columns.
struct GatePhase: ScratchPhase {
  static let rowsPerTask = 8
  static let columnsPerTask = 1024

  let kernels: KernelTable
  let inner: Matrix
  let size: Int

  private var parts: Int { (size + Self.columnsPerTask - 1) / Self.columnsPerTask }
  var tasks: Int { (inner.rows + Self.rowsPerTask - 1) / Self.rowsPerTask * parts }

  func run(task: Int, worker: Int, scratch: UnsafeMutablePointer<Float>) {
    let row = task / parts * Self.rowsPerTask
    let column = task % parts * Self.columnsPerTask
    let gate = inner.row(row) + column
    kernels.swigluRows(
      min(Self.rowsPerTask, inner.rows - row), min(Self.columnsPerTask, size - column), gate, gate + size,
      inner.stride)
  }
}
