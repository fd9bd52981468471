import SalanganeTensors

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// What turns the hidden state of a pair's first token into one score, in BERT cross-encoders:
/// `weight tanh(pooler h) + bias`.
package struct ScoreHead: Sendable {
  let pooler: Linear
  /// `[hidden]`.
  let weight: [Float]
  let bias: Float

  /// The scores of packed sequences.
  ///
  /// - Parameters:
  ///   - hidden: `[tokens, hidden]`.
  ///   - offsets: Where each sequence starts, and the end of the last; no sequence is empty.
  /// - Returns: A score a sequence, before any sigmoid.
  package func scores(_ hidden: Matrix, offsets: [Int], _ context: ComputeContext) -> [Float] {
    let sequences = offsets.count - 1
    let first = Matrix(rows: sequences, columns: hidden.columns)
    let pooled = Matrix(rows: sequences, columns: hidden.columns)
    for sequence in 0..<sequences {
      first.row(sequence).update(from: hidden.row(offsets[sequence]), count: hidden.columns)
    }
    pooler(first, into: pooled, context)
    return (0..<sequences).map { sequence in
      let row = pooled.row(sequence)
      for feature in 0..<hidden.columns { row[feature] = tanhf(row[feature]) }
      return context.kernels.dotProduct(hidden.columns, row, weight) + bias
    }
  }
}
