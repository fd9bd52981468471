/// The vectors of a batch of texts.
public struct Embeddings: Sendable, Equatable {
  /// How many vectors there are.
  public let count: Int
  /// Features of a vector.
  public let dimensions: Int
  /// All vectors, one after the other: `[count, dimensions]`, row-major.
  public let values: [Float]
  /// Tokens that went into each vector, special tokens included.
  public let tokenCounts: [Int]
  /// Whether each text was longer than the model takes, and lost its end.
  public let isTruncated: [Bool]

  /// Creates a batch from its parts.
  ///
  /// - Parameters:
  ///   - values: `[tokenCounts.count, dimensions]`, row-major.
  ///   - dimensions: Features of a vector.
  ///   - tokenCounts: Tokens of each text.
  ///   - isTruncated: Whether each text lost its end; as many as `tokenCounts`.
  public init(values: [Float], dimensions: Int, tokenCounts: [Int], isTruncated: [Bool]) {
    precondition(values.count == dimensions * tokenCounts.count && isTruncated.count == tokenCounts.count)
    self.values = values
    self.dimensions = dimensions
    self.tokenCounts = tokenCounts
    self.isTruncated = isTruncated
    count = tokenCounts.count
  }

  /// The vector of the text at `row`.
  public subscript(row: Int) -> ArraySlice<Float> {
    values[row * dimensions..<(row + 1) * dimensions]
  }
}

extension Sequence<Float> {
  /// The cosine of the angle between two vectors: 1 for the same direction; 0 where one has no length.
  ///
  /// For normalised embeddings this is their dot product.
  public func cosineSimilarity(to other: some Sequence<Float>) -> Float {
    var product: Float = 0
    var left: Float = 0
    var right: Float = 0
    for (a, b) in zip(self, other) {
      product += a * b
      left += a * a
      right += b * b
    }
    let length = (left * right).squareRoot()
    return length > 0 ? product / length : 0
  }
}
