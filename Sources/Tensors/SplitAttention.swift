import SalanganeKernels

extension ComputeContext {
  /// Causal attention with tasks for some blocks of the cache of each part, for fewer parts than threads.
  ///
  /// What each block gives is merged afterwards, in the order of the keys and by the same formula: the bits are
  /// those of one task after the other.
  func splitAttention(_ work: CausalWork) {
    let stateCount = AttentionState.count(lanes: work.lanes, columns: work.layout.paddedDimension)
    let parts = work.count
    let blocks = work.mostBlocks
    let wave = min(blocks, max(1, mostPartialFloats / (parts * stateCount) - 1))
    let split = SplitAttention(
      work: work, wave: wave, stateCount: stateCount, memory: partials(count: parts * (wave + 1) * stateCount)
    )
    var first = 0
    while first < blocks {
      let range = first..<min(first + wave, blocks)
      let phase = BlockPhase(split: split, blocks: range, tasksOfPart: min(range.count, 4 * threads))
      parallel(tasks: parts * phase.tasksOfPart, scratchCount: work.layout.count, phase)
      let merging = MergePhase(
        split: split, blocks: range, isFirst: first == 0, isLast: range.upperBound == blocks)
      parallel(tasks: parts * merging.groups, scratchCount: 0, merging)
      first = range.upperBound
    }
  }
}

/// Where the results of parts and blocks lie.
private struct SplitAttention {
  let work: CausalWork
  /// The most blocks of a wave.
  let wave: Int
  let stateCount: Int
  let memory: UnsafeMutablePointer<Float>

  /// The result of a part over the wave's block `index`; the one at `wave` is that of all waves so far.
  func state(_ part: Int, _ index: Int) -> AttentionState {
    AttentionState(
      memory + (part * (wave + 1) + index) * stateCount, lanes: work.lanes,
      columns: work.layout.paddedDimension)
  }
}

/// Every part over every block of a wave.
private struct BlockPhase: ScratchPhase {
  static let isAbandoned = true

  let split: SplitAttention
  let blocks: Range<Int>
  /// Tasks for each part, which share the blocks.
  let tasksOfPart: Int

  func run(task: Int, worker: Int, scratch: UnsafeMutablePointer<Float>) {
    let part = task / tasksOfPart
    let index = task % tasksOfPart
    let first = blocks.lowerBound + blocks.count * index / tasksOfPart
    let end = blocks.lowerBound + blocks.count * (index + 1) / tasksOfPart
    let head = split.work.head(part, scratch: scratch)
    let seen = (first..<end).clamped(to: head.blocks)
    guard !seen.isEmpty else { return }
    head.prepare()
    for block in seen where !head.isCancelled {
      head.run(blocks: block..<block + 1, split.state(part, block - blocks.lowerBound))
    }
  }
}

/// The blocks of a wave merged with those before, for some lanes of a part.
private struct MergePhase: ScratchPhase {
  static let isAbandoned = true

  let split: SplitAttention
  let blocks: Range<Int>
  let isFirst: Bool
  let isLast: Bool

  /// Tasks for each part.
  var groups: Int { (split.work.lanes + 15) / 16 }

  func run(task: Int, worker: Int, scratch: UnsafeMutablePointer<Float>) {
    let part = task / groups
    let head = split.work.head(part, scratch: scratch)
    let first = task % groups * 16
    guard first < head.count else { return }
    let lanes = first..<min(first + 16, head.count)
    let columns = split.work.layout.paddedDimension
    let all = split.state(part, split.wave)
    if isFirst {
      for lane in first..<first + 16 {
        all.maximum[lane] = -.infinity
        all.total[lane] = 0
      }
      (all.output + first * columns).update(repeating: 0, count: lanes.count * columns)
    }
    for block in blocks.clamped(to: head.blocks) {
      let state = split.state(part, block - blocks.lowerBound)
      head.kernels.mergeAttention(
        lanes.count, columns, state.maximum + first, state.total + first, state.output + first * columns,
        columns,
        all.maximum + first, all.total + first, all.output + first * columns, columns)
    }
    if isLast { head.finish(all, lanes: lanes) }
  }
}
