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
  /// - Returns: `[sequences, features]`.
  package func pool(_ hidden: Matrix, offsets: [Int], _ pooling: Pooling) -> Matrix {
    let kernels = kernels
    let pooled = Matrix(rows: offsets.count - 1, columns: hidden.columns)
    let features = hidden.columns
    parallel(tasks: pooled.rows) { task, _, _ in
      let vector = pooled.row(task)
      let start = offsets[task]
      let end = offsets[task + 1]
      precondition(start < end)
      switch pooling {
      case .cls: vector.update(from: hidden.row(start), count: features)
      case .last: vector.update(from: hidden.row(end - 1), count: features)
      case .mean:
        vector.update(from: hidden.row(start), count: features)
        for row in start + 1..<max(end, start + 1) { kernels.addInPlace(features, hidden.row(row), vector) }
        kernels.scaleRows(1, features, [1 / Float(end - start)], vector, features, vector, features)
      }
    }
    return pooled
  }

  /// Copies vectors as embeddings.
  ///
  /// - Parameters:
  ///   - pooled: `[sequences, features]`.
  ///   - dimensions: How many leading features to keep.
  ///   - normalizes: Whether to scale vectors to length 1; a vector shorter than 1e-12 is divided by that.
  /// - Returns: `[sequences, dimensions]`, without gaps.
  package func embeddings(_ pooled: Matrix, dimensions: Int, normalizes: Bool) -> [Float] {
    precondition(dimensions <= pooled.columns)
    let count = pooled.rows * dimensions
    return [Float](unsafeUninitializedCapacity: count) { buffer, initialized in
      initialized = count
      guard let values = buffer.baseAddress else { return }
      for row in 0..<pooled.rows {
        let vector = values + row * dimensions
        vector.update(from: pooled.row(row), count: dimensions)
        guard normalizes else { continue }
        let length = kernels.dotProduct(dimensions, vector, vector).squareRoot()
        // A vector whose squares are too great would become zeros and go unnoticed.
        let scale = length < .infinity ? 1 / max(length, 1e-12) : .nan
        kernels.scaleRows(1, dimensions, [scale], vector, dimensions, vector, dimensions)
      }
    }
  }
}
