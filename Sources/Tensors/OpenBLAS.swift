import COpenBLAS

/// The system's BLAS and LAPACK, each call on one thread: the team divides the work.
package enum OpenBLAS {
  /// OpenBLAS's own pool would fight with the thread team for the processors.
  private static let isSingleThreaded: Bool = {
    openblas_set_num_threads(1)
    return true
  }()

  /// `out = x w^T`, or `out += x w^T`, for row-major operands.
  ///
  /// - Parameters:
  ///   - x: `[rows, depth]`, `xStride` floats from row to row.
  ///   - w: `[columns, depth]`, without gaps.
  ///   - out: `[rows, columns]`, `outStride` floats from row to row.
  static func multiply(
    rows: Int, columns: Int, depth: Int,
    _ x: UnsafePointer<Float>, _ xStride: Int, _ w: UnsafePointer<Float>,
    accumulate: Bool, _ out: UnsafeMutablePointer<Float>, _ outStride: Int
  ) {
    precondition(isSingleThreaded)
    cblas_sgemm(
      CblasRowMajor, CblasNoTrans, CblasTrans, blasint(rows), blasint(columns), blasint(depth), 1, x,
      blasint(xStride), w, blasint(depth), accumulate ? 1 : 0, out, blasint(outStride))
  }

  /// The eigenvalues, ascending, and eigenvectors of a symmetric matrix (LAPACK `dsyevd`).
  ///
  /// - Parameters:
  ///   - matrix: `[order, order]`, row-major; only the upper triangle is read.
  ///   - order: Rows and columns.
  /// - Returns: The values, and the vectors as the columns of `[order, order]`; nil if LAPACK doesn't
  ///   converge.
  package static func symmetricEigenvectors(
    of matrix: [Double], order: Int
  ) -> (values: [Double], vectors: [Double])? {
    precondition(isSingleThreaded && matrix.count == order * order)
    var vectors = matrix
    var values = [Double](repeating: 0, count: order)
    let status = LAPACKE_dsyevd(
      LAPACK_ROW_MAJOR, CChar(UInt8(ascii: "V")), CChar(UInt8(ascii: "U")), Int32(order), &vectors,
      Int32(order), &values)
    return status == 0 ? (values, vectors) : nil
  }

  /// `matrix += x^T x` over rows of doubles: the building block of a covariance.
  ///
  /// - Parameters:
  ///   - x: `[rows, columns]`, row-major, without gaps.
  ///   - matrix: `[columns, columns]`; only the upper triangle is written.
  package static func addGram(rows: Int, columns: Int, _ x: [Double], to matrix: inout [Double]) {
    precondition(isSingleThreaded && x.count == rows * columns && matrix.count == columns * columns)
    cblas_dsyrk(
      CblasRowMajor, CblasUpper, CblasTrans, blasint(columns), blasint(rows), 1, x, blasint(columns), 1,
      &matrix, blasint(columns))
  }
}
