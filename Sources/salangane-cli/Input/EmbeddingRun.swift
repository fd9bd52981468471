import Salangane
import SalanganeFiles

/// Embeds what a source has to give, batch by batch, so that memory doesn't depend on how much that is.
struct EmbeddingRun {
  private let embedder: Embedder
  private let model: String
  private let role: EmbeddingRole
  private let options: EmbeddingOptions
  private let bar: ProgressBar
  private var reducer: EmbeddingReducer?
  private var keptDimensions: Int?
  /// The first batch is small, so that the first rows come soon.
  private var limit = 32
  private var count = 0
  private var failures = 0

  private static let largestBatch = 1024
  /// Only so many lines are reported one by one.
  private static let mostReports = 20

  /// Prepares a run.
  ///
  /// - Parameters:
  ///   - embedder: The model.
  ///   - model: What messages call it.
  ///   - role: What the texts are for.
  ///   - options: What is made of the model's output.
  ///   - showsProgress: Whether a bar may show how far the run is.
  init(
    _ embedder: Embedder, model: String, role: EmbeddingRole, options: EmbeddingOptions, showsProgress: Bool
  ) {
    self.embedder = embedder
    self.model = model
    self.role = role
    self.options = options
    bar = ProgressBar("embedding", isShown: showsProgress)
  }

  /// Features of the vectors that the model gives.
  var dimensions: Int { options.dimensions ?? embedder.dimensions }

  /// Shortens the vectors of what follows by a PCA.
  ///
  /// - Parameters:
  ///   - reducer: The PCA; nil for none.
  ///   - dimensions: How many of its components are kept; nil for all.
  mutating func reduce(by reducer: EmbeddingReducer?, keeping dimensions: Int?) {
    self.reducer = reducer
    keptDimensions = dimensions
  }

  /// The rows of the source's next texts, in their order; nil at its end.
  ///
  /// - Throws: What `Embedder` throws, and `ModelFileError` if the source can't be read or the model gives
  ///   no finite vectors.
  mutating func next(from source: inout TextSource) async throws -> [EmbeddingRow]? {
    let batch = try source.nextBatch(limit: limit)
    limit = min(limit * 2, Self.largestBatch)
    guard !batch.isEmpty else { return nil }
    let embeddings = try await embed(batch)
    count += batch.count
    bar.update(source.progress, note: "\(count) texts")
    return try reduced(rows(batch, embeddings, source))
  }

  /// Puts vectors and failures in the order of the input.
  private mutating func rows(
    _ batch: [InputText], _ embeddings: Embeddings, _ source: TextSource
  ) -> [EmbeddingRow] {
    var row = 0
    var rows: [EmbeddingRow] = []
    rows.reserveCapacity(batch.count)
    for input in batch {
      switch input.content {
      case .success:
        let vector = EmbeddingRow.Vector(
          values: embeddings[row], tokenCount: embeddings.tokenCounts[row],
          isTruncated: embeddings.isTruncated[row])
        rows.append(EmbeddingRow(input: input, result: .success(vector)))
        row += 1
      case .failure(let problem):
        failures += 1
        if failures <= Self.mostReports {
          bar.finish()
          StandardError.line("error: \(source.name): line \(input.line): \(problem.message)")
        }
        rows.append(EmbeddingRow(input: input, result: .failure(problem)))
      }
    }
    return rows
  }

  /// The rows with their vectors shortened, if a PCA was set.
  ///
  /// - Throws: `EmbeddingError` if the PCA doesn't fit.
  func reduced(_ rows: [EmbeddingRow]) throws -> [EmbeddingRow] {
    guard let reducer else { return rows }
    return try rows.map { row in
      guard case .success(let vector) = row.result else { return row }
      let reduced = try reducer.reduce(
        Embeddings(
          values: Array(vector.values), dimensions: dimensions, tokenCounts: [vector.tokenCount],
          isTruncated: [vector.isTruncated]))
      let short = EmbeddingRow.Vector(
        values: reduced[0].prefix(keptDimensions ?? reducer.dimensions), tokenCount: vector.tokenCount,
        isTruncated: vector.isTruncated)
      return EmbeddingRow(input: row.input, result: .success(short))
    }
  }

  private func embed(_ batch: [InputText]) async throws -> Embeddings {
    var texts: [String] = []
    var tokens: [[Int32]] = []
    for input in batch {
      switch input.content {
      case .success(.text(let text)): texts.append(text)
      case .success(.tokens(let ids)): tokens.append(ids)
      case .failure: break
      }
    }
    do {
      // A source has texts or tokens, not both.
      return tokens.isEmpty
        ? try await embedder.embed(texts, as: role, options: options)
        : try await embedder.embed(tokens: tokens, options: options)
    } catch EmbeddingError.notFinite(let text, let fault) {
      // The model counts the texts that it got, we those of the input.
      let usable = batch.indices.filter { (try? batch[$0].content.get()) != nil }
      throw ModelFileError(
        .malformed, file: model,
        subject: fault?.tensor,
        expectation: "expected finite vectors, found NaN or infinity in that of text \(count + usable[text])"
          + (fault.map { ": \($0)" } ?? ""))
    }
  }

  /// Takes the bar away.
  func finish() { bar.finish() }

  /// Fails if a text failed.
  ///
  /// - Throws: `InputError`.
  func report(_ source: TextSource) throws {
    guard failures > 0 else { return }
    throw InputError("\(source.name): \(failures) of \(count) texts can't be embedded")
  }
}
