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
  package func callAsFunction(
    _ x: Matrix, residual: Matrix? = nil, into out: Matrix, _ context: ComputeContext
  ) {
    precondition(x.columns == weight.count && out.columns == x.columns && out.rows == x.rows)
    context.begin(.norm)
    let kernels = context.kernels
    let rowsPerTask = 32
    let tasks = (x.rows + rowsPerTask - 1) / rowsPerTask
    weight.withUnsafeBufferPointer { weight in
      bias.withUnsafeBufferPointer { bias in
        guard let weight = weight.baseAddress, let bias = bias.baseAddress else { return }
        nonisolated(unsafe) let parameters = (weight: weight, bias: bias)
        context.parallel(tasks: tasks) { task, _, _ in
          let first = task * rowsPerTask
          kernels.layerNormRows(
            min(rowsPerTask, x.rows - first), x.columns, x.row(first), x.stride,
            residual.map { UnsafePointer($0.row(first)) }, residual?.stride ?? 0,
            parameters.weight, parameters.bias, epsilon, out.row(first), out.stride)
        }
      }
    }
  }
}
