import SalanganeKernels
import SalanganeTensors

/// Runs a body with a team of its own.
func withContext<Result>(
  _ set: InstructionSet, threads: Int, _ body: (ComputeContext) throws -> Result
) throws -> Result {
  let team = ThreadTeam()
  defer { team.stop() }
  return try body(ComputeContext(team: team, threads: threads, kernels: KernelTable.table(for: set)))
}

/// A matrix of values that lie row by row.
func matrix(_ values: [Float], rows: Int, columns: Int) -> Matrix {
  let matrix = Matrix(rows: rows, columns: columns)
  values.withUnsafeBufferPointer {
    for row in 0..<rows { matrix.row(row).update(from: $0.baseAddress! + row * columns, count: columns) }
  }
  return matrix
}

/// A matrix's values, row by row.
func values(_ matrix: Matrix) -> [Float] {
  var values: [Float] = []
  for row in 0..<matrix.rows {
    values += UnsafeBufferPointer(start: matrix.row(row), count: matrix.columns)
  }
  return values
}
