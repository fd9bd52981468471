import SalanganeTensors

/// How the hidden states of a sequence become one vector (the names of sentence-transformers).
public enum Pooling: String, CaseIterable, Sendable {
  /// The mean over all tokens.
  case mean
  /// The first token's, `[CLS]` in BERT models.
  case cls
  /// The last token's.
  case last
}

extension ComputeContext {
  /// Pools each sequence's hidden states into one vector.
  ///
  /// - Parameters:
  ///   - hidden: `[tokens, features]`.
  ///   - offsets: Where each sequence starts, and the end of the last; no sequence is empty.
  ///   - dimensions: How many leading features to keep.
  ///   - normalizes: Whether to scale vectors to length 1; a vector shorter than 1e-12 is divided by that.
  ///   - values: `[sequences, dimensions]`, without gaps.
  package func pool(
    _ hidden: Matrix, offsets: [Int], _ pooling: Pooling, dimensions: Int, normalizes: Bool,
    into values: UnsafeMutablePointer<Float>
  ) {
    precondition(dimensions <= hidden.columns)
    let kernels = kernels
    nonisolated(unsafe) let values = values
    parallel(tasks: offsets.count - 1) { task, _, _ in
      let vector = values + task * dimensions
      let start = offsets[task]
      let end = offsets[task + 1]
      precondition(start < end)
      switch pooling {
      case .cls: vector.update(from: hidden.row(start), count: dimensions)
      case .last: vector.update(from: hidden.row(end - 1), count: dimensions)
      case .mean:
        vector.update(from: hidden.row(start), count: dimensions)
        for row in start + 1..<max(end, start + 1) { kernels.addInPlace(dimensions, hidden.row(row), vector) }
        kernels.scaleRows(1, dimensions, [1 / Float(end - start)], vector, dimensions, vector, dimensions)
      }
      if normalizes {
        let length = kernels.dotProduct(dimensions, vector, vector).squareRoot()
        kernels.scaleRows(1, dimensions, [1 / max(length, 1e-12)], vector, dimensions, vector, dimensions)
      }
    }
  }
}
