import SalanganeKernels

/// What one request computes with: the thread team, the kernels, and scratch memory of its own.
///
/// Used by one thread at a time, the team's leader.
package final class ComputeContext {
  /// The threads.
  package let team: ThreadTeam
  /// How many of them this request uses.
  package let threads: Int
  /// The kernels of the chosen instruction set.
  package let kernels: KernelTable
  /// The request in whose name is computed: once it is cancelled, products give up where they are, so that their
  /// results are to be thrown away. nil if there is nothing to ask.
  package var cancellation: Cancellation?
  /// Who looks for numbers that aren't finite; nil for nobody.
  package var faultFinder: FaultFinder?
  private var scratch: [FloatBuffer]
  private var partialResults = FloatBuffer(count: 0)
  /// The most floats for results of attention that are merged later; with more, it goes in several waves.
  package var mostPartialFloats = 8 << 20
  /// Where each worker's scratch starts.
  private let bases: UnsafeMutablePointer<UnsafeMutablePointer<Float>>
  /// A number for each worker, for what must outlive a task; not initialised.
  let workerValues: UnsafeMutablePointer<Int>
  /// Memory for activations of products with quantised weights.
  private var activations = FloatBuffer(count: 0)
  /// Memory for those that are quantised while the former are still read.
  private var nextActivations = FloatBuffer(count: 0)
  private var nextShape = (rows: 0, columns: 0)
  /// The rows and columns of activations that were quantised last.
  private var quantizedShape = (rows: 0, columns: 0)
  private var packed: FloatBuffer?

  /// Creates a context without scratch.
  package init(team: ThreadTeam, threads: Int, kernels: KernelTable) {
    self.team = team
    self.threads = max(1, threads)
    self.kernels = kernels
    scratch = []
    bases = .allocate(capacity: self.threads)
    workerValues = .allocate(capacity: self.threads)
  }

  deinit {
    bases.deallocate()
    workerValues.deallocate()
  }

  /// Runs tasks on the team; each gets scratch of at least `scratchCount` floats, which belongs to its
  /// worker and keeps what an earlier task of the same worker left there.
  ///
  /// - Parameter isAbandoned: Whether tasks are left out once the request is cancelled.
  package func parallel(
    tasks: Int, scratchCount: Int = 0, isAbandoned: Bool = false,
    _ body: (_ task: Int, _ worker: Int, _ scratch: UnsafeMutablePointer<Float>) -> Void
  ) {
    let bases = scratch(count: scratchCount)
    let cancellation = isAbandoned ? cancellation : nil
    team.run(tasks: tasks, width: threads) { task, worker in
      if let cancellation, cancellation.isCancelled { return }
      body(task, worker, bases[worker])
    }
  }

  /// Runs tasks on the team as the closure's form does, without an allocation.
  package func parallel(tasks: Int, scratchCount: Int = 0, _ phase: some ScratchPhase) {
    let bases = scratch(count: scratchCount)
    team.run(
      tasks: tasks, width: threads,
      phase: WithScratch(phase: phase, bases: bases, cancellation: cancellation(of: phase)))
  }

  private func cancellation<P: ScratchPhase>(of phase: P) -> Cancellation? {
    P.isAbandoned ? cancellation : nil
  }

  /// Memory for at least `count` floats that outlives a phase; what was there may be lost.
  func partials(count: Int) -> UnsafeMutablePointer<Float> {
    // Doubled, so that a growing sequence doesn't allocate each time.
    if partialResults.count < count { partialResults = FloatBuffer(count: 2 * count) }
    return partialResults.base
  }

  /// Memory for `words` words of quantised activations; what was there is lost.
  func activationWords(_ words: Int) -> UnsafeMutablePointer<Float> {
    quantizedShape = (0, 0)
    if activations.count < words { activations = FloatBuffer(count: words + words / 4) }
    return activations.base
  }

  /// Makes room for activations of that shape.
  func reserveQuantizedRows(_ rows: Int, columns: Int) {
    _ = activationWords(QuantizedRows.wordCount(rows: rows, columns: columns, kernels))
    quantizedShape = (rows, columns)
  }

  /// The activations that were quantised last.
  var quantizedRows: QuantizedRows {
    QuantizedRows(
      base: activations.base, rows: quantizedShape.rows, columns: quantizedShape.columns, kernels)
  }

  /// Room for activations that will be quantised bit by bit, and will be those that were quantised last.
  package func beginQuantizing(rows: Int, columns: Int) -> QuantizedRows {
    reserveQuantizedRows(rows, columns: columns)
    return quantizedRows
  }

  /// Room for activations that will be quantised from a product of those that were quantised last.
  func nextQuantizedRows(_ rows: Int, columns: Int) -> QuantizedRows {
    let words = QuantizedRows.wordCount(rows: rows, columns: columns, kernels)
    if nextActivations.count < words { nextActivations = FloatBuffer(count: words + words / 4) }
    nextShape = (rows, columns)
    return QuantizedRows(base: nextActivations.base, rows: rows, columns: columns, kernels)
  }

  /// Makes the activations of `nextQuantizedRows` those that were quantised last.
  func takeNextQuantizedRows() {
    swap(&activations, &nextActivations)
    quantizedShape = nextShape
  }

  /// Runs tasks on the calling thread, without anyone's help.
  func onLeader(tasks: Int, scratchCount: Int = 0, _ phase: some ScratchPhase) {
    let bases = scratch(count: scratchCount)
    for task in 0..<tasks { phase.run(task: task, worker: 0, scratch: bases[0]) }
  }

  /// Memory for the packed rows of a product, at least `count` floats; valid until the next call.
  func packedRows(count: Int) -> UnsafeMutablePointer<Float> {
    if let packed, packed.count >= count { return packed.base }
    // What there was goes first.
    packed = nil
    let buffer = FloatBuffer(count: count)
    packed = buffer
    return buffer.base
  }

  /// Where each worker's scratch of at least `count` floats starts.
  private func scratch(count: Int) -> UnsafeMutablePointer<UnsafeMutablePointer<Float>> {
    if scratch.count < threads || (scratch.first?.count ?? 0) < count {
      let count = max(count, scratch.first?.count ?? 0)
      scratch = (0..<threads).map { _ in FloatBuffer(count: count) }
      for worker in 0..<threads { bases[worker] = scratch[worker].base }
    }
    return bases
  }
}

/// What the tasks of one phase do with their worker's scratch.
package protocol ScratchPhase {
  /// Whether tasks are left out once the request is cancelled: only where they write nothing but numbers, which
  /// are thrown away then.
  static var isAbandoned: Bool { get }
  /// Runs a task.
  func run(task: Int, worker: Int, scratch: UnsafeMutablePointer<Float>)
}

extension ScratchPhase {
  package static var isAbandoned: Bool { false }
}

private struct WithScratch<P: ScratchPhase>: Phase {
  let phase: P
  let bases: UnsafeMutablePointer<UnsafeMutablePointer<Float>>
  let cancellation: Cancellation?

  func run(task: Int, worker: Int) {
    if P.isAbandoned, let cancellation, cancellation.isCancelled { return }
    phase.run(task: task, worker: worker, scratch: bases[worker])
  }
}
