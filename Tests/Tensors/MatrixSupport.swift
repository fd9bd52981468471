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

/// A matrix of `[rows, columns]` values.
func matrix(_ values: [Float], rows: Int, columns: Int) -> Matrix {
  let matrix = Matrix(rows: rows, columns: columns)
  for row in 0..<rows {
    for column in 0..<columns { matrix.row(row)[column] = values[row * columns + column] }
  }
  return matrix
}

/// The values of a matrix, `[rows, columns]`.
func values(_ matrix: Matrix) -> [Float] {
  (0..<matrix.rows).flatMap { row in (0..<matrix.columns).map { matrix.row(row)[$0] } }
}
