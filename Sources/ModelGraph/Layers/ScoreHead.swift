import SalanganeTensors

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// What turns the hidden state of a pair's first token into one score, in BERT cross-encoders:
/// `weight tanh(pooler h) + bias`.
package struct ScoreHead: Sendable {
  /// nil for a score that is a direct projection of the hidden state.
  let pooler: Linear?
  /// `[hidden]`.
  let weight: [Float]
  let bias: Float

  /// The scores of pairs.
  ///
  /// - Parameter first: The hidden states of their first tokens, `[pairs, hidden]`.
  /// - Returns: A score a pair, before any sigmoid.
  package func scores(_ first: Matrix, _ context: ComputeContext) -> [Float] {
    guard let pooler else {
      return (0..<first.rows).map { context.kernels.dotProduct(first.columns, first.row($0), weight) + bias }
    }
    let pooled = Matrix(rows: first.rows, columns: first.columns)
    pooler(first, into: pooled, context)
    return (0..<pooled.rows).map { pair in
      let row = pooled.row(pair)
      for feature in 0..<pooled.columns {
        // An infinity would become 1 and go unnoticed.
        row[feature] = row[feature].isFinite ? tanhf(row[feature]) : .nan
      }
      return context.kernels.dotProduct(pooled.columns, row, weight) + bias
    }
  }
}
