import SalanganeKernels

/// What is done to a linear layer's output while it is still in the cache.
package enum Activation: Sendable {
  /// Nothing.
  case none
  /// GELU in its exact form.
  case gelu

  /// Applies the activation to a part of an output.
  func apply(
    _ kernels: KernelTable, _ rows: Int, _ columns: Int, _ x: UnsafeMutablePointer<Float>, _ stride: Int
  ) {
    switch self {
    case .none: break
    case .gelu: kernels.geluRows(rows, columns, x, stride)
    }
  }
}

extension ComputeContext {
  /// `out = activation(x w^T + bias)`.
  ///
  /// Every output element is summed up in the order that `KernelTable.matmulPanels` names, starting from the
  /// bias: the same bits whatever the number of rows, tasks or threads.
  ///
  /// - Parameters:
  ///   - x: `[rows, w.columns]`.
  ///   - w: The weights, `[w.rows, w.columns]`.
  ///   - bias: At least `w.panels * 16` floats, or nil.
  ///   - out: `[rows, w.rows]`.
  package func matmul(
    _ x: Matrix, _ w: PackedMatrix, bias: UnsafePointer<Float>?, activation: Activation = .none,
    into out: Matrix
  ) {
    precondition(x.columns == w.columns && out.columns == w.rows && out.rows == x.rows)
    let plan = MatmulPlan(rows: x.rows, depth: w.columns, panels: w.panels, threads: threads)
    workerValues.update(repeating: -1, count: threads)
    parallel(
      tasks: plan.tasks, scratchCount: plan.blockRows * w.columns,
      PackedProduct(
        kernels: kernels, plan: plan, x: x, w: w, bias: bias, activation: activation, out: out,
        packed: workerValues))
  }
}

/// A product with packed weights, cut into tasks.
private struct PackedProduct: ScratchPhase {
  let kernels: KernelTable
  let plan: MatmulPlan
  let x: Matrix
  let w: PackedMatrix
  let bias: UnsafePointer<Float>?
  let activation: Activation
  let out: Matrix
  /// Which block of rows lies packed in each worker's scratch: neighbouring tasks share it.
  let packed: UnsafeMutablePointer<Int>

  func run(task: Int, worker: Int, scratch: UnsafeMutablePointer<Float>) {
    let width = KernelTable.packedRows
    let block = task / plan.panelGroups
    let firstRow = block * plan.blockRows
    let rows = min(plan.blockRows, x.rows - firstRow)
    if packed[worker] != block {
      packed[worker] = block
      var row = 0
      while row < rows {
        let count = min(width, rows - row)
        kernels.packRows(
          count, width, w.columns, x.row(firstRow + row), x.stride, scratch + row * w.columns)
        row += width
      }
    }
    let panels = plan.panelRange(task % plan.panelGroups)
    var panel = panels.lowerBound
    while panel < panels.upperBound {
      // A few panels stay in the first-level cache while all rows of the block pass by.
      let count = min(plan.panelsPerPass, panels.upperBound - panel)
      var row = 0
      while row < rows {
        let tile = min(width, rows - row)
        var start = bias
        if let bias { start = bias + panel * 16 }
        kernels.matmulPanels(
          tile, count, w.columns, scratch + row * w.columns, width,
          w.panel(panel), 16, w.panelStride,
          out.row(firstRow + row) + panel * 16, out.stride, start, 0)
        row += width
      }
      panel += count
    }
    let firstColumn = panels.lowerBound * 16
    let columns = min(panels.upperBound * 16, out.columns) - firstColumn
    activation.apply(kernels, rows, columns, out.row(firstRow) + firstColumn, out.stride)
  }
}

/// How a matrix product is cut into tasks: blocks of rows that fit the second-level cache when packed, and
/// groups of panels where there are too few blocks to keep every thread busy.
private struct MatmulPlan {
  /// Bytes of packed rows that a task may hold; half of the second-level cache of common server CPUs.
  static let blockBytes = 384 << 10
  /// Tasks for each thread that even out their different speeds.
  static let tasksPerThread = 4

  let blockRows: Int
  let panelGroups: Int
  let panelsPerGroup: Int
  let panels: Int
  let panelsPerPass = 2
  let tasks: Int

  init(rows: Int, depth: Int, panels: Int, threads: Int) {
    let width = KernelTable.packedRows
    let most = max(1, Self.blockBytes / (depth * 4 * width))
    let tiles = (rows + width - 1) / width
    // Blocks of equal height, as few as the cache allows.
    let fewest = max(1, (tiles + most - 1) / most)
    let blockTiles = max(1, (tiles + fewest - 1) / fewest)
    blockRows = blockTiles * width
    let blocks = max(1, (rows + blockRows - 1) / blockRows)
    let wanted = threads == 1 ? 1 : threads * Self.tasksPerThread
    let groups = max(1, min((wanted + blocks - 1) / blocks, (panels + 1) / 2))
    // Whole pairs of panels, the tile of the widest kernels.
    panelsPerGroup = ((panels + groups - 1) / groups + 1) & ~1
    panelGroups = (panels + panelsPerGroup - 1) / panelsPerGroup
    self.panels = panels
    tasks = rows == 0 ? 0 : blocks * panelGroups
  }

  func panelRange(_ group: Int) -> Range<Int> {
    let first = group * panelsPerGroup
    return first..<min(first + panelsPerGroup, panels)
  }
}
