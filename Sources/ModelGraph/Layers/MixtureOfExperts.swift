import SalanganeKernels
import SalanganeTensors

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// A feed-forward network of which each token uses some parts only: `sum of weight * expert(x)` over the experts
/// that a router chooses, plus what an expert gives that all tokens share (Shazeer et al., 2017; DeepSeekMoE,
/// 2024).
///
/// The rows of a batch are sorted by expert, and each expert multiplies its own together. A row's result is
/// summed in the order of the router's choice, on top of the shared expert's: the same bits whatever the rows
/// beside it.
package struct MixtureOfExperts: Sendable {
  /// Chooses the experts.
  package let router: Router
  /// What the router judges: `[experts, hidden]`.
  package let routerWeights: Linear
  /// The experts' gates' features, then as many of `up`: `[2 * inner, hidden]` each.
  package let gateUp: LinearBank
  /// Back to the hidden size: `[hidden, inner]` each.
  package let down: LinearBank
  /// The expert of all tokens; nil for none.
  package let shared: FeedForward?
  /// What the sigmoid of a product with the input scales the shared expert by, `[hidden]`; nil for 1.
  package let sharedGate: FloatBuffer?

  /// Bytes that the weights take in memory.
  package var byteCount: Int {
    routerWeights.byteCount + gateUp.byteCount + down.byteCount + (shared?.byteCount ?? 0)
  }

  /// `out = network(x)`: `x` and `out` are `[rows, hidden]`.
  ///
  /// - Parameters:
  ///   - workspace: Temporary values, with room for as many rows.
  ///   - inner: `[rows, 2 * shared.innerSize]` or wider, for temporary values.
  package func callAsFunction(
    _ x: Matrix, workspace: inout MixtureWorkspace, inner: Matrix, into out: Matrix,
    _ context: ComputeContext
  ) {
    workspace.setRows(x.rows)
    let assignment = workspace.assignment
    context.begin(.router, reading: routerWeights.byteCount)
    routerWeights(x, into: workspace.logits, context)
    let routing = RoutingPhase(router: router, logits: workspace.logits, assignment: assignment)
    context.parallel(tasks: routing.tasks, scratchCount: router.scratchCount, routing)
    assignment.sort(rows: x.rows)
    context.begin(
      .expert, reading: assignment.expertsInUse * (gateUp.byteCount + down.byteCount) / gateUp.count)
    gateUp(
      xStride: x.stride, outStride: workspace.inner.stride,
      assignment.groups(input: x, gathers: true, out: workspace.inner), context)
    down(
      .gated, xStride: workspace.inner.stride, outStride: workspace.results.stride,
      assignment.groups(input: workspace.inner, gathers: false, out: workspace.results), context)
    shared?(ProductInput(x), inner: inner, into: out, context)
    context.begin(.expert)
    let combination = CombinationPhase(
      kernels: context.kernels, assignment: assignment, results: workspace.results, x: x,
      hasShared: shared != nil, sharedGate: sharedGate, out: out)
    context.parallel(tasks: combination.tasks, combination)
  }
}

/// The temporary values of mixtures of experts, reused from layer to layer.
package struct MixtureWorkspace: Sendable {
  let assignment: ExpertAssignment
  /// `[rows, experts]`.
  private(set) var logits: Matrix
  /// A row for each slot, `[rows * used, 2 * inner]`.
  private(set) var inner: Matrix
  /// `[rows * used, hidden]`.
  private(set) var results: Matrix

  /// Creates a workspace for some layers, whose mixtures have one shape, without room for rows yet.
  init(for layers: [FeedForwardLayer]) {
    let mixture = layers.lazy.compactMap { layer in
      if case .mixture(let mixture) = layer { mixture } else { nil }
    }.first
    assignment = ExpertAssignment(experts: mixture?.router.experts ?? 0, used: mixture?.router.used ?? 0)
    logits = Matrix(rows: 0, columns: mixture?.router.experts ?? 1)
    inner = Matrix(rows: 0, columns: mixture?.gateUp.outputs ?? 1)
    results = Matrix(rows: 0, columns: mixture?.down.outputs ?? 1)
  }

  /// Bytes that the workspace takes for `rows` rows.
  func byteCount(rows: Int) -> Int {
    logits.byteCount(rows: rows) + inner.byteCount(rows: rows * assignment.used)
      + results.byteCount(rows: rows * assignment.used)
  }

  /// Makes room for `rows` rows.
  mutating func reserve(rows: Int) {
    guard logits.capacity < rows, assignment.used > 0 else { return }
    logits = Matrix(rows: rows, columns: logits.columns)
    inner = Matrix(rows: rows * assignment.used, columns: inner.columns)
    results = Matrix(rows: rows * assignment.used, columns: results.columns)
    assignment.reserve(rows: rows)
  }

  /// Uses just `rows` rows.
  fileprivate mutating func setRows(_ rows: Int) {
    logits.setRows(rows)
    inner.setRows(rows * assignment.used)
    results.setRows(rows * assignment.used)
  }
}

/// The choice of experts, cut into blocks of rows.
private struct RoutingPhase: ScratchPhase {
  static let rowsPerTask = 16

  let router: Router
  let logits: Matrix
  let assignment: ExpertAssignment

  var tasks: Int { (logits.rows + Self.rowsPerTask - 1) / Self.rowsPerTask }

  func run(task: Int, worker: Int, scratch: UnsafeMutablePointer<Float>) {
    let first = task * Self.rowsPerTask
    for row in first..<min(first + Self.rowsPerTask, logits.rows) {
      router.route(
        logits.row(row), chosen: assignment.chosen + row * router.used,
        weights: assignment.weights + row * router.used, scratch: scratch)
    }
  }
}

/// The weighted sum of what experts gave, cut into blocks of rows.
private struct CombinationPhase: ScratchPhase {
  static let rowsPerTask = 8

  let kernels: KernelTable
  let assignment: ExpertAssignment
  let results: Matrix
  let x: Matrix
  /// Whether `out` holds the shared expert's results.
  let hasShared: Bool
  let sharedGate: FloatBuffer?
  let out: Matrix

  var tasks: Int { (out.rows + Self.rowsPerTask - 1) / Self.rowsPerTask }

  func run(task: Int, worker: Int, scratch: UnsafeMutablePointer<Float>) {
    let first = task * Self.rowsPerTask
    for row in first..<min(first + Self.rowsPerTask, out.rows) { combine(row) }
  }

  private func combine(_ row: Int) {
    let sum = out.row(row)
    if let sharedGate {
      let logit = kernels.dotProduct(x.columns, x.row(row), sharedGate.base)
      // An infinity would become 0 or 1 and go unnoticed.
      var share = logit.isFinite ? 1 / (1 + expf(-logit)) : .nan
      kernels.scaleRows(1, out.columns, &share, sum, out.stride, sum, out.stride)
    }
    for rank in 0..<assignment.used {
      let slot = Int(assignment.slots[row * assignment.used + rank])
      // A product one step deep adds a multiple of a row.
      kernels.matmulPanels(
        1, (out.columns + 15) / 16, 1, assignment.weights + row * assignment.used + rank, 1,
        results.row(slot), 16, 16, sum, out.stride, rank > 0 || hasShared ? UnsafePointer(sum) : nil,
        out.stride)
    }
  }
}
