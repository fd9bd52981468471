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
    precondition(x.columns == features && out.columns == x.columns && out.rows == x.rows)
    precondition(addend == nil || addend?.rows == x.rows && addend?.columns == x.columns)
    context.begin(.norm)
    let phase = NormPhase(
      kernels: context.kernels, x: x, addend: addend, weight: weight.base, epsilon: epsilon, out: out)
    context.parallel(tasks: phase.tasks, phase)
  }

  /// Normalises `rows` vectors that follow each other without gaps, in place and on this thread.
  func normalize(_ x: UnsafeMutablePointer<Float>, rows: Int, _ context: ComputeContext) {
    context.kernels.rmsNormRows(rows, features, x, features, nil, 0, weight.base, epsilon, x, features)
  }
}

/// A normalisation, cut into blocks of rows.
private struct NormPhase: ScratchPhase {
  static let rowsPerTask = 16

  let kernels: KernelTable
  let x: Matrix
  let addend: Matrix?
  let weight: UnsafePointer<Float>
  let epsilon: Float
  let out: Matrix

  var tasks: Int { (x.rows + Self.rowsPerTask - 1) / Self.rowsPerTask }

  func run(task: Int, worker: Int, scratch: UnsafeMutablePointer<Float>) {
    let first = task * Self.rowsPerTask
    kernels.rmsNormRows(
      min(Self.rowsPerTask, x.rows - first), x.columns, x.row(first), x.stride,
      addend.map { UnsafePointer($0.row(first)) }, addend?.stride ?? 0, weight, epsilon, out.row(first),
      out.stride)
  }
}
