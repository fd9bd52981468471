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
  private var scratch: [FloatBuffer]
  /// Where each worker's scratch starts.
  private let bases: UnsafeMutablePointer<UnsafeMutablePointer<Float>>
  private var packed: FloatBuffer?

  /// Creates a context without scratch.
  package init(team: ThreadTeam, threads: Int, kernels: KernelTable) {
    self.team = team
    self.threads = max(1, threads)
    self.kernels = kernels
    scratch = []
    bases = .allocate(capacity: self.threads)
  }

  deinit { bases.deallocate() }

  /// Runs tasks on the team; each gets scratch of at least `scratchCount` floats, which belongs to its
  /// worker and keeps what an earlier task of the same worker left there.
  package func parallel(
    tasks: Int, scratchCount: Int = 0,
    _ body: (_ task: Int, _ worker: Int, _ scratch: UnsafeMutablePointer<Float>) -> Void
  ) {
    let bases = scratch(count: scratchCount)
    team.run(tasks: tasks, width: threads) { task, worker in
      body(task, worker, bases[worker])
    }
  }

  /// Runs tasks on the team as the closure's form does, without an allocation.
  package func parallel(tasks: Int, scratchCount: Int = 0, _ phase: some ScratchPhase) {
    let bases = scratch(count: scratchCount)
    team.run(tasks: tasks, width: threads, phase: WithScratch(phase: phase, bases: bases))
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
  /// Runs a task.
  func run(task: Int, worker: Int, scratch: UnsafeMutablePointer<Float>)
}

private struct WithScratch<P: ScratchPhase>: Phase {
  let phase: P
  let bases: UnsafeMutablePointer<UnsafeMutablePointer<Float>>

  func run(task: Int, worker: Int) { phase.run(task: task, worker: worker, scratch: bases[worker]) }
}
