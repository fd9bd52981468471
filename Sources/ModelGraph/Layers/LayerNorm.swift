import SalanganeKernels
import SalanganeTensors

/// Layer normalisation with weight and bias (Ba et al., 2016).
package struct LayerNorm: Sendable {
  private let weight: [Float]
  private let bias: [Float]
  private let epsilon: Float

  /// Creates a norm over `weight.count` features.
  package init(weight: [Float], bias: [Float], epsilon: Float) {
    precondition(weight.count == bias.count)
    self.weight = weight
    self.bias = bias
    self.epsilon = epsilon
  }

  /// `out = norm(x + residual)`, row by row; all are `[rows, features]`, and `out` may be either input.
  ///
  /// - Parameter quantizes: Whether the result is quantised too, for the products that follow.
  package func callAsFunction(
    _ x: Matrix, residual: Matrix? = nil, into out: Matrix, quantizes: Bool = false,
    _ context: ComputeContext
  ) {
    precondition(x.columns == weight.count && out.columns == x.columns && out.rows == x.rows)
    context.begin(.norm)
    let kernels = context.kernels
    let codes = quantizes ? context.beginQuantizing(rows: out.rows, columns: out.columns) : nil
    // A few blocks of the rows that are quantised together.
    let rowsPerTask = 3 * KernelTable.packedRows
    let tasks = (x.rows + rowsPerTask - 1) / rowsPerTask
    weight.withUnsafeBufferPointer { weight in
      bias.withUnsafeBufferPointer { bias in
        guard let weight = weight.baseAddress, let bias = bias.baseAddress else { return }
        nonisolated(unsafe) let parameters = (weight: weight, bias: bias)
        context.parallel(tasks: tasks) { task, _, _ in
          let first = task * rowsPerTask
          let count = min(rowsPerTask, x.rows - first)
          kernels.layerNormRows(
            count, x.columns, x.row(first), x.stride,
            residual.map { UnsafePointer($0.row(first)) }, residual?.stride ?? 0,
            parameters.weight, parameters.bias, epsilon, out.row(first), out.stride)
          codes?.fill(
            first..<first + count, columns: 0..<out.columns, out.row(first), stride: out.stride, kernels)
        }
      }
    }
  }
}
