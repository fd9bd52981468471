import SalanganeKernels
import SalanganeTensors

/// What is done to a row's latent: it is normalised, rotated and stored, and what queries are made of is normalised;
/// cut into blocks of rows.
struct LatentPhase: ScratchPhase {
  /// The rows of a task: few, so that a batch of generated tokens keeps several threads busy.
  static let rowsPerTask = 4

  let attention: LatentAttention
  let layer: Int
  let spans: UnsafeBufferPointer<SequenceSpan>
  let rotary: RotaryEmbedding
  let table: Matrix
  let projected: Matrix
  let context: ComputeContext

  var tasks: Int { (projected.rows + Self.rowsPerTask - 1) / Self.rowsPerTask }

  func run(task: Int, worker: Int, scratch: UnsafeMutablePointer<Float>) {
    let first = task * Self.rowsPerTask
    spans.forEachRow(in: first..<min(first + Self.rowsPerTask, projected.rows)) { store($0, $1, scratch) }
  }

  private func store(_ row: Int, _ span: SequenceSpan, _ scratch: UnsafeMutablePointer<Float>) {
    let configuration = attention.configuration
    let line = projected.row(row)
    let latent = line + (projected.columns - configuration.latentDimension)
    attention.query?.norm.normalize(line, rows: 1, context)
    attention.latentNorm.normalize(latent, rows: 1, context)
    let cosines = table.row(row)
    context.kernels.rotateRows(
      1, rotary.dimension / 2, latent + configuration.rank, rotary.dimension, cosines,
      cosines + rotary.sineOffset)
    span.cache.store(
      layer: layer, position: span.start + row - span.firstRow, latent: latent, scratch: scratch,
      kernels: context.kernels)
  }
}

/// The rotation of queries, cut into blocks of rows.
struct QueryRotation: ScratchPhase {
  static let rowsPerTask = 4

  let kernels: KernelTable
  let configuration: LatentConfiguration
  let rotary: RotaryEmbedding
  let table: Matrix
  let queries: Matrix

  var tasks: Int { (queries.rows + Self.rowsPerTask - 1) / Self.rowsPerTask }

  func run(task: Int, worker: Int, scratch: UnsafeMutablePointer<Float>) {
    for row in task * Self.rowsPerTask..<min((task + 1) * Self.rowsPerTask, queries.rows) {
      let cosines = table.row(row)
      kernels.rotateRows(
        configuration.heads, rotary.dimension / 2, queries.row(row) + configuration.ownDimension,
        configuration.queryDimension, cosines, cosines + rotary.sineOffset)
    }
  }
}

/// The copy of the rotated part of queries behind their absorbed part, cut into blocks of rows.
struct RotaryPartCopy: ScratchPhase {
  static let rowsPerTask = 8

  let configuration: LatentConfiguration
  /// `[rows, heads * queryDimension]`.
  let queries: Matrix
  /// `[rows, heads * latentDimension]`.
  let absorbed: Matrix

  var tasks: Int { (absorbed.rows + Self.rowsPerTask - 1) / Self.rowsPerTask }

  func run(task: Int, worker: Int, scratch: UnsafeMutablePointer<Float>) {
    let width = configuration.latentDimension
    for row in task * Self.rowsPerTask..<min((task + 1) * Self.rowsPerTask, absorbed.rows) {
      let source = queries.row(row) + configuration.ownDimension
      let destination = absorbed.row(row) + configuration.rank
      for head in 0..<configuration.heads {
        (destination + head * width).update(
          from: source + head * configuration.queryDimension, count: configuration.rotaryDimension)
      }
    }
  }
}

/// Spans that are collected and used up, again and again, in the same memory.
///
/// `@unchecked Sendable`: it belongs to one request, and its leader alone uses it.
final class SpanList: @unchecked Sendable {
  private var all: [SequenceSpan] = []

  /// Adds a span.
  func append(_ span: SequenceSpan) { all.append(span) }

  /// Counts the rows of all spans from the first one's first row.
  ///
  /// - Returns: That row.
  func moveToRowZero() -> Int {
    guard let firstRow = all.first?.firstRow else { return 0 }
    var rows = 0
    for index in all.indices {
      let span = all[index]
      precondition(span.firstRow == firstRow + rows, "the rows of spans follow each other")
      all[index] = SequenceSpan(
        cache: span.cache, firstRow: rows, count: span.count, start: span.start)
      rows += span.count
    }
    return firstRow
  }

  /// Calls a body with all spans.
  func withAll(_ body: (UnsafeBufferPointer<SequenceSpan>) -> Void) { all.withUnsafeBufferPointer(body) }

  /// Forgets all spans, and lets go of their caches.
  func removeAll() { all.removeAll(keepingCapacity: true) }
}
