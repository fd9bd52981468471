import SalanganeKernels

/// One of several products that run together, with weights of one shape each: some rows of the input times one of
/// several matrices.
package struct ProductGroup {
  /// Which of the matrices.
  package var member: Int
  /// Where the group's input begins: its first row, or, if rows are gathered, that of the whole input.
  package var x: UnsafePointer<Float>
  /// Which rows of the input the group takes; nil for `rows` rows from `x` on.
  package var gathered: UnsafePointer<Int32>?
  /// Where the group's result begins.
  package var out: UnsafeMutablePointer<Float>
  /// How many rows the group has.
  package var rows: Int
  /// The number of the group's first task; set by the product.
  var firstTask = 0
  /// Where the group's rows begin among all that are quantised, in words; set by the product.
  var firstWord = 0

  /// Describes a group.
  package init(
    member: Int, x: UnsafePointer<Float>, gathered: UnsafePointer<Int32>? = nil,
    out: UnsafeMutablePointer<Float>, rows: Int
  ) {
    self.member = member
    self.x = x
    self.gathered = gathered
    self.out = out
    self.rows = rows
  }
}

/// What the groups of a product have in common.
package struct GroupedProduct {
  /// What is done to a row of the input on its way into the product.
  package enum Input: Sendable {
    /// Nothing.
    case plain
    /// `silu(first half) * second half`: the middle of a feed-forward network whose two first products lie side
    /// by side (SwiGLU; Shazeer, 2020).
    case gated
  }

  /// Floats from one row of the input to the next.
  package let xStride: Int
  /// What is done to the input's rows.
  package let input: Input
  /// Output features of a group.
  package let outputs: Int
  /// The column of the result with which they begin.
  package let firstColumn: Int
  /// Floats from one row of the result to the next.
  package let outStride: Int

  /// Describes a product.
  package init(xStride: Int, input: Input = .plain, outputs: Int, firstColumn: Int = 0, outStride: Int) {
    self.xStride = xStride
    self.input = input
    self.outputs = outputs
    self.firstColumn = firstColumn
    self.outStride = outStride
  }

  /// Panels of a group's weights, with 16 output features each.
  package var panels: Int { (outputs + 15) / 16 }
}

extension ComputeContext {
  /// `out = x w^T` for several groups, each with rows and panels of its own.
  ///
  /// Every output element is one sum in the order of `matmulPanels`: the same bits whatever the number of rows,
  /// groups, tasks or threads. Nothing is written beyond a group's `outputs` columns.
  ///
  /// - Parameters:
  ///   - product: What the groups have in common.
  ///   - w: The weights of all members, `w.columns` features deep; each member's begin with a panel of their own.
  ///   - groups: The groups; one without rows costs nothing.
  package func groupedMatmul(
    _ product: GroupedProduct, _ w: PackedMatrix, groups: UnsafeMutableBufferPointer<ProductGroup>
  ) {
    let plan = GroupedPlan(product, depth: w.columns, groups: groups, threads: threads)
    workerValues.update(repeating: -1, count: threads)
    parallel(
      tasks: plan.tasks, scratchCount: plan.scratchCount,
      GroupedPhase(
        kernels: kernels, plan: plan, product: product, w: w, groups: UnsafeBufferPointer(groups),
        packed: workerValues))
  }

  /// `out = x w^T` for several groups through OpenBLAS, one after the other.
  package func groupedMatmul(
    _ product: GroupedProduct, _ w: DenseMatrix, groups: UnsafeMutableBufferPointer<ProductGroup>
  ) {
    let gatherer = RowGatherer(kernels: kernels, product: product, depth: w.columns)
    let most = groups.reduce(0) { max($0, $1.rows) }
    parallel(tasks: groups.count, scratchCount: most * w.columns) { task, _, scratch in
      let group = groups[task]
      guard group.rows > 0 else { return }
      let (rows, stride) = gatherer.rows(of: group, from: 0, count: group.rows, scratch: scratch)
      OpenBLAS.multiply(
        rows: group.rows, columns: product.outputs, depth: w.columns, rows, stride,
        w.row(group.member * product.panels * 16), accumulate: false, group.out + product.firstColumn,
        product.outStride)
    }
  }
}

/// How grouped products are cut into tasks: blocks of a group's rows that fit the second-level cache when
/// packed, and parts of its panels where there are too few blocks to keep every thread busy.
private struct GroupedPlan {
  /// Bytes of packed rows that a task may hold.
  static let blockBytes = 384 << 10
  /// Tasks for each thread that even out their different speeds.
  static let tasksPerThread = 4

  let blockRows: Int
  let parts: Int
  let panelsPerPart: Int
  let tasks: Int
  /// Where rows lie before they are packed, and an incomplete panel after it is computed.
  let rawOffset: Int
  let tailOffset: Int
  let scratchCount: Int

  init(
    _ product: GroupedProduct, depth: Int, groups: UnsafeMutableBufferPointer<ProductGroup>, threads: Int
  ) {
    let width = KernelTable.packedRows
    let most = max(1, Self.blockBytes / (depth * 4 * width)) * width
    var highest = 1
    for group in groups { highest = max(highest, group.rows) }
    blockRows = min(most, (highest + width - 1) / width * width)
    var blocks = 0
    for group in groups { blocks += (group.rows + blockRows - 1) / blockRows }
    let wanted = threads == 1 ? 1 : threads * Self.tasksPerThread
    let groupParts = max(1, min((wanted + blocks - 1) / max(blocks, 1), (product.panels + 1) / 2))
    // Whole pairs of panels, the tile of the widest kernels.
    panelsPerPart = ((product.panels + groupParts - 1) / groupParts + 1) & ~1
    parts = (product.panels + panelsPerPart - 1) / panelsPerPart
    var task = 0
    for index in groups.indices {
      groups[index].firstTask = task
      task += (groups[index].rows + blockRows - 1) / blockRows * parts
    }
    tasks = task
    rawOffset = blockRows * depth
    tailOffset = rawOffset + width * depth
    scratchCount = tailOffset + width * 16
  }
}

/// Brings rows of the input together.
struct RowGatherer {
  let kernels: KernelTable
  let product: GroupedProduct
  let depth: Int

  /// Some rows of a group, where they are or in scratch, which needs `depth` floats for each.
  func rows(
    of group: ProductGroup, from first: Int, count: Int, scratch: UnsafeMutablePointer<Float>
  ) -> (base: UnsafePointer<Float>, stride: Int) {
    func row(_ index: Int) -> UnsafePointer<Float> {
      group.x + (group.gathered.map { Int($0[index]) } ?? index) * product.xStride
    }
    if product.input == .plain, count == 1 || group.gathered == nil { return (row(first), product.xStride) }
    for index in 0..<count {
      let source = row(first + index)
      let destination = scratch + index * depth
      destination.update(from: source, count: depth)
      if product.input == .gated { kernels.swigluRows(1, depth, destination, source + depth, depth) }
    }
    return (UnsafePointer(scratch), depth)
  }
}

/// Grouped products with packed weights, cut into tasks.
private struct GroupedPhase: ScratchPhase {
  static let isAbandoned = true

  let kernels: KernelTable
  let plan: GroupedPlan
  let product: GroupedProduct
  let w: PackedMatrix
  let groups: UnsafeBufferPointer<ProductGroup>
  /// Which block of rows lies packed in each worker's scratch, by its first task: neighbours share it.
  let packed: UnsafeMutablePointer<Int>

  func run(task: Int, worker: Int, scratch: UnsafeMutablePointer<Float>) {
    let group = groups.group(ofTask: task)
    let block = (task - group.firstTask) / plan.parts
    let part = (task - group.firstTask) % plan.parts
    let firstRow = block * plan.blockRows
    let rows = min(plan.blockRows, group.rows - firstRow)
    if packed[worker] != task - part {
      packed[worker] = task - part
      pack(group, firstRow, rows, scratch)
    }
    let width = KernelTable.packedRows
    let end = min((part + 1) * plan.panelsPerPart, product.panels)
    let wholePanels = product.outputs / 16
    var panel = part * plan.panelsPerPart
    while panel < end {
      // A few panels stay in the first-level cache while all rows of the block pass by.
      let count = panel + 2 <= min(end, wholePanels) ? 2 : 1
      var row = 0
      while row < rows {
        let tile = min(width, rows - row)
        let out = group.out + (firstRow + row) * product.outStride + product.firstColumn + panel * 16
        let weights = group.member * product.panels + panel
        if panel < wholePanels {
          multiply(
            tile, panels: count, scratch + row * w.columns, weights, out, product.outStride)
        } else {
          let tail = scratch + plan.tailOffset
          multiply(tile, panels: 1, scratch + row * w.columns, weights, tail, 16)
          for index in 0..<tile {
            (out + index * product.outStride).update(from: tail + index * 16, count: product.outputs % 16)
          }
        }
        row += width
      }
      panel += count
    }
  }

  private func multiply(
    _ rows: Int, panels: Int, _ packed: UnsafePointer<Float>, _ panel: Int,
    _ out: UnsafeMutablePointer<Float>, _ stride: Int
  ) {
    kernels.matmulPanels(
      rows, panels, w.columns, packed, KernelTable.packedRows, w.floats(panel: panel), 16, w.panelStride, out,
      stride,
      nil, 0)
  }

  private func pack(
    _ group: ProductGroup, _ firstRow: Int, _ rows: Int, _ scratch: UnsafeMutablePointer<Float>
  ) {
    let width = KernelTable.packedRows
    let gatherer = RowGatherer(kernels: kernels, product: product, depth: w.columns)
    var row = 0
    while row < rows {
      let count = min(width, rows - row)
      let (raw, stride) = gatherer.rows(
        of: group, from: firstRow + row, count: count, scratch: scratch + plan.rawOffset)
      kernels.packRows(count, width, w.columns, raw, stride, scratch + row * w.columns)
      row += width
    }
  }
}

extension UnsafeBufferPointer<ProductGroup> {
  /// The group that a task belongs to: the last that begins with it or before it, and isn't empty.
  func group(ofTask task: Int) -> ProductGroup {
    var low = 0
    var high = count
    while high - low > 1 {
      let middle = (low + high) / 2
      if self[middle].firstTask <= task { low = middle } else { high = middle }
    }
    return self[low]
  }
}
