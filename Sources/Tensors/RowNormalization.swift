import SalanganeKernels

/// RMS normalisation of some rows (Zhang and Sennrich, 2019): `x += addend`, then `out = norm(x)`.
///
/// All are `[rows, features]`; `out` may be `x` or `addend`.
package struct RowNormalization: Sendable {
  private let kernels: KernelTable
  let x: Matrix
  private let addend: Matrix?
  // As many floats as there are features; whoever asks for a normalisation keeps them until it is done.
  nonisolated(unsafe) private let weight: UnsafePointer<Float>
  private let epsilon: Float
  let out: Matrix

  /// How many rows there are.
  package var rows: Int { x.rows }

  /// Puts together what is normalised.
  ///
  /// - Parameter weight: As many floats as `x` has columns, which must stay where they are.
  package init(
    kernels: KernelTable, x: Matrix, addend: Matrix?, weight: UnsafePointer<Float>, epsilon: Float,
    out: Matrix
  ) {
    precondition(out.columns == x.columns && out.rows == x.rows)
    precondition(addend == nil || addend?.rows == x.rows && addend?.columns == x.columns)
    self.kernels = kernels
    self.x = x
    self.addend = addend
    self.weight = weight
    self.epsilon = epsilon
    self.out = out
  }

  /// Normalises some of the rows.
  package func run(_ rows: Range<Int>) {
    let first = rows.lowerBound
    kernels.rmsNormRows(
      rows.count, x.columns, x.row(first), x.stride, addend.map { UnsafePointer($0.row(first)) },
      addend?.stride ?? 0, weight, epsilon, out.row(first), out.stride)
  }
}
