import SalanganeKernels
import SalanganeTensors

/// RMS normalisation with a weight (Zhang and Sennrich, 2019).
package struct RMSNorm: Sendable {
  private let weight: FloatBuffer
  private let epsilon: Float

  /// How many features are normalised together.
  package var features: Int { weight.count }

  /// Creates a norm over `weight.count` features.
  package init(weight: [Float], epsilon: Float) {
    precondition(!weight.isEmpty)
    self.weight = FloatBuffer(count: weight.count)
    self.weight.base.update(from: weight, count: weight.count)
    self.epsilon = epsilon
  }

  /// `x += addend`, then `out = norm(x)`, row by row.
  ///
  /// All are `[rows, features]`; `out` may be `x` or `addend`.
  package func callAsFunction(
    _ x: Matrix, adding addend: Matrix? = nil, into out: Matrix, _ context: ComputeContext
  ) {
    context.begin(.norm)
    let phase = NormPhase(norm: normalization(of: x, adding: addend, into: out, context))
    context.parallel(tasks: phase.tasks, phase)
  }

  /// `x += addend`, then `out = norm(x)`, row by row; and the rows of `out` are quantised in the same pass if the
  /// product that takes them has quantised weights.
  func callAsFunction(
    _ x: Matrix, adding addend: Matrix?, into out: Matrix, for product: Linear, _ context: ComputeContext
  ) -> ProductInput {
    guard product.isQuantized else {
      self(x, adding: addend, into: out, context)
      return ProductInput(out)
    }
    context.begin(.norm)
    context.quantize(.normalized(normalization(of: x, adding: addend, into: out, context)))
    return ProductInput(out, isQuantized: true)
  }

  private func normalization(
    of x: Matrix, adding addend: Matrix?, into out: Matrix, _ context: ComputeContext
  ) -> RowNormalization {
    precondition(x.columns == features)
    return RowNormalization(
      kernels: context.kernels, x: x, addend: addend, weight: weight.base, epsilon: epsilon, out: out)
  }

  /// Normalises `rows` vectors that follow each other without gaps, in place and on this thread.
  func normalize(_ x: UnsafeMutablePointer<Float>, rows: Int, _ context: ComputeContext) {
    context.kernels.rmsNormRows(rows, features, x, features, nil, 0, weight.base, epsilon, x, features)
  }
}

/// A normalisation, cut into blocks of rows.
private struct NormPhase: ScratchPhase {
  static let rowsPerTask = 16

  let norm: RowNormalization

  var tasks: Int { (norm.rows + Self.rowsPerTask - 1) / Self.rowsPerTask }

  func run(task: Int, worker: Int, scratch: UnsafeMutablePointer<Float>) {
    let first = task * Self.rowsPerTask
    norm.run(first..<min(first + Self.rowsPerTask, norm.rows))
  }
}
