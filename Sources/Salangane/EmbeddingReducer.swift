import SalanganeFiles
import SalanganeTensors

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// Shortens embeddings to their principal components (PCA; Pearson, 1901), fitted on a set of them.
///
/// A reduced vector is `components (v - mean)`: its first features carry the most variance of the fitted
/// set. The numbers are those of scikit-learn's `PCA` and of a singular value decomposition of the centred
/// set, with the sign chosen so that the largest entry of every component is positive.
public struct EmbeddingReducer: Sendable, Equatable {
  /// Features of the vectors that it takes.
  public let inputDimensions: Int
  /// Features of the vectors that it gives.
  public let dimensions: Int
  /// The mean of the fitted set, `[inputDimensions]`.
  public let mean: [Float]
  /// The principal directions, `[dimensions, inputDimensions]`, row-major, each of length 1.
  public let components: [Float]
  /// The variance along each direction, descending, `[dimensions]`, with the divisor `count - 1`.
  public let explainedVariance: [Float]

  // MARK: Fitting

  /// Fits a reducer on a set of embeddings.
  ///
  /// - Parameters:
  ///   - embeddings: At least two vectors.
  ///   - dimensions: How many components to keep: at most the features of a vector and the number of
  ///     vectors.
  /// - Throws: `EmbeddingError.invalidOption` if there are too few vectors or too many dimensions;
  ///   `notFinite` for a vector that isn't finite; `CancellationError`.
  public init(fitting embeddings: Embeddings, dimensions: Int) async throws {
    let most = min(embeddings.count, embeddings.dimensions)
    guard embeddings.count >= 2 else {
      throw EmbeddingError.invalidOption(
        name: "embeddings", expectation: "at least 2 vectors to fit on, found \(embeddings.count)")
    }
    guard (1...max(most, 1)).contains(dimensions) else {
      throw EmbeddingError.invalidOption(
        name: "dimensions",
        expectation: "1 to \(most) for \(embeddings.count) vectors of \(embeddings.dimensions) features, "
          + "found \(dimensions)")
    }
    if let wrong = embeddings.values.firstIndex(where: { !$0.isFinite }) {
      throw EmbeddingError.notFinite(text: wrong / embeddings.dimensions)
    }
    self = try await ComputeQueue.shared.run { _, cancellation in
      try Self.fit(embeddings, dimensions: dimensions, cancellation)
    }
  }

  private static func fit(
    _ embeddings: Embeddings, dimensions: Int, _ cancellation: Cancellation
  ) throws -> EmbeddingReducer {
    let features = embeddings.dimensions
    var mean = [Double](repeating: 0, count: features)
    for row in 0..<embeddings.count {
      for (feature, value) in embeddings[row].enumerated() { mean[feature] += Double(value) }
    }
    for feature in 0..<features { mean[feature] /= Double(embeddings.count) }
    // The covariance is added up in blocks of centred rows: memory stays small whatever the set.
    var covariance = [Double](repeating: 0, count: features * features)
    let blockRows = 256
    for first in stride(from: 0, to: embeddings.count, by: blockRows) {
      try cancellation.check()
      let rows = min(blockRows, embeddings.count - first)
      var block = [Double](repeating: 0, count: rows * features)
      for row in 0..<rows {
        for (feature, value) in embeddings[first + row].enumerated() {
          block[row * features + feature] = Double(value) - mean[feature]
        }
      }
      OpenBLAS.addGram(rows: rows, columns: features, block, to: &covariance)
    }
    for index in covariance.indices { covariance[index] /= Double(embeddings.count - 1) }
    guard let system = OpenBLAS.symmetricEigenvectors(of: covariance, order: features) else {
      throw EmbeddingError.invalidOption(
        name: "embeddings", expectation: "a covariance whose eigenvectors LAPACK finds")
    }
    // LAPACK sorts ascending, and has the vectors in columns.
    var components: [Float] = []
    components.reserveCapacity(dimensions * features)
    var variances: [Float] = []
    for index in 0..<dimensions {
      let column = features - 1 - index
      let vector = (0..<features).map { system.vectors[$0 * features + column] }
      let largest = vector.max { abs($0) < abs($1) } ?? 1
      components.append(contentsOf: vector.map { Float(largest < 0 ? -$0 : $0) })
      variances.append(Float(max(0, system.values[column])))
    }
    return EmbeddingReducer(mean: mean.map { Float($0) }, components: components, variances: variances)
  }

  private init(mean: [Float], components: [Float], variances: [Float]) {
    inputDimensions = mean.count
    dimensions = variances.count
    self.mean = mean
    self.components = components
    explainedVariance = variances
  }

  // MARK: Reducing

  /// Shortens a batch; token counts and truncation flags stay.
  ///
  /// - Throws: `EmbeddingError.invalidOption` if the vectors haven't `inputDimensions` features.
  public func reduce(_ embeddings: Embeddings) throws(EmbeddingError) -> Embeddings {
    guard embeddings.dimensions == inputDimensions else {
      throw .invalidOption(
        name: "embeddings",
        expectation: "vectors of \(inputDimensions) features, found \(embeddings.dimensions)")
    }
    var values: [Float] = []
    values.reserveCapacity(embeddings.count * dimensions)
    var centred = [Double](repeating: 0, count: inputDimensions)
    for row in 0..<embeddings.count {
      for (feature, value) in embeddings[row].enumerated() {
        centred[feature] = Double(value) - Double(mean[feature])
      }
      for component in 0..<dimensions {
        var sum = 0.0
        let start = component * inputDimensions
        for feature in 0..<inputDimensions { sum += centred[feature] * Double(components[start + feature]) }
        values.append(Float(sum))
      }
    }
    return Embeddings(
      values: values, dimensions: dimensions, tokenCounts: embeddings.tokenCounts,
      isTruncated: embeddings.isTruncated)
  }

  // MARK: Files

  private static let format = "salangane-pca-1"

  /// Writes the reducer as a safetensors file with the tensors `mean`, `components` and
  /// `explained_variance`.
  ///
  /// - Throws: `ModelFileError` if the file can't be written; nothing half-written is left.
  public func write(to url: URL) throws {
    var writer = SafetensorsWriter()
    writer.metadata = [("format", Self.format)]
    writer.tensors = [
      TensorDescription(name: "mean", type: .f32, shape: [inputDimensions]),
      TensorDescription(name: "components", type: .f32, shape: [dimensions, inputDimensions]),
      TensorDescription(name: "explained_variance", type: .f32, shape: [dimensions]),
    ]
    try writer.write(to: url.path) { tensor, sink in
      let values =
        switch tensor.name {
        case "mean": mean
        case "components": components
        default: explainedVariance
        }
      try values.withUnsafeBytes { try sink.write($0) }
    }
  }

  /// Reads a reducer that `write(to:)` wrote.
  ///
  /// - Throws: `ModelFileError` for a file that is missing or isn't a reducer.
  public init(contentsOf url: URL) throws(ModelFileError) {
    let file = try SafetensorsFile(path: url.path)
    guard file.metadata.contains(where: { $0.key == "format" && $0.value == Self.format }) else {
      throw ModelFileError(
        .malformed, file: url.path, subject: "__metadata__.format",
        expectation: "expected \"\(Self.format)\", as --reduce-fit writes it")
    }
    let mean = try Self.values("mean", in: file, rank: 1)
    let variances = try Self.values("explained_variance", in: file, rank: 1)
    let components = try Self.values("components", in: file, rank: 2)
    guard !mean.isEmpty, !variances.isEmpty, components.count == mean.count * variances.count else {
      throw ModelFileError(
        .malformed, file: url.path, subject: "components",
        expectation: "expected shape [\(variances.count), \(mean.count)]")
    }
    self.init(mean: mean, components: components, variances: variances)
  }

  private static func values(
    _ name: String, in file: SafetensorsFile, rank: Int
  ) throws(ModelFileError) -> [Float] {
    guard let tensor = file.tensor(name), tensor.type == .f32, tensor.shape.count == rank else {
      throw ModelFileError(
        .malformed, file: file.path, subject: name, expectation: "expected an F32 tensor of rank \(rank)")
    }
    let values = tensor.withUnsafeBytes { bytes in
      (0..<tensor.elementCount).map { bytes.loadUnaligned(fromByteOffset: $0 * 4, as: Float.self) }
    }
    guard values.allSatisfy(\.isFinite) else {
      throw ModelFileError(.malformed, file: file.path, subject: name, expectation: "expected finite values")
    }
    return values
  }
}
