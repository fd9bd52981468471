import SalanganeKernels

extension ComputeContext {
  /// `out = x w^T` for several groups with quantised weights, each with rows and panels of its own.
  ///
  /// Every output element is summed as in `matmul` with one matrix: the same bits whatever the number of rows, groups,
  /// tasks or threads. Nothing is written beyond a group's `outputs` columns.
  ///
  /// - Parameters:
  ///   - product: What the groups have in common.
  ///   - w: The weights of all members, `w.columns` features deep; each member's begin with a panel of their own.
  ///   - groups: The groups; one without rows costs nothing.
  package func groupedMatmul(
    _ product: GroupedProduct, _ w: QuantizedMatrix, groups: UnsafeMutableBufferPointer<ProductGroup>
  ) {
    let plan = QuantizedGroupPlan(
      product, columns: w.columns, groups: groups, threads: threads, kernels: kernels)
    let words = activationWords(plan.words)
    let all = UnsafeBufferPointer(groups)
    let quantization = GroupQuantization(
      gatherer: RowGatherer(kernels: kernels, product: product, depth: w.columns), groups: all, words: words)
    if plan.rows <= 16 {
      onLeader(tasks: groups.count, scratchCount: quantization.scratchCount, quantization)
    } else {
      parallel(tasks: groups.count, scratchCount: quantization.scratchCount, quantization)
    }
    let multiplier = QuantizedProduct(kernels: kernels, w: w)
    workerValues.update(repeating: -1, count: threads)
    let phase = QuantizedGroupPhase(
      multiplier: multiplier, plan: plan, product: product, groups: all, words: words, prepared: workerValues)
    parallel(tasks: plan.tasks, scratchCount: phase.scratchCount, phase)
  }
}

/// How grouped products with quantised weights are cut into tasks: blocks of a group's rows, and parts of its panels
/// where there are too few blocks to keep every thread busy.
private struct QuantizedGroupPlan {
  static let tasksPerThread = 4

  /// Rows of all groups.
  let rows: Int
  /// Words of all quantised rows.
  let words: Int
  /// Tiles of 12 rows that a task takes.
  let tilesPerTask: Int
  let parts: Int
  let panelsPerPart: Int
  let tasks: Int

  init(
    _ product: GroupedProduct, columns: Int, groups: UnsafeMutableBufferPointer<ProductGroup>, threads: Int,
    kernels: KernelTable
  ) {
    var rows = 0
    var words = 0
    var highest = 1
    for index in groups.indices {
      let count = groups[index].rows
      groups[index].firstWord = words
      words += QuantizedRows.wordCount(rows: count, columns: columns, kernels)
      rows += count
      highest = max(highest, count)
    }
    self.rows = rows
    self.words = words
    let width = KernelTable.packedRows
    let tilesPerTask = QuantizedProduct.tilesPerTask((highest + width - 1) / width, columns: columns)
    let blockRows = tilesPerTask * width
    precondition(blockRows >= min(highest, kernels.vectorRows), "few rows go together")
    var blocks = 0
    for group in groups { blocks += (group.rows + blockRows - 1) / blockRows }
    let wanted = threads == 1 ? 1 : threads * Self.tasksPerThread
    let most = max(1, min((wanted + blocks - 1) / max(blocks, 1), (product.panels + 1) / 2))
    // Whole pairs of panels, the tile of the widest kernels.
    panelsPerPart = ((product.panels + most - 1) / most + 1) & ~1
    let parts = (product.panels + panelsPerPart - 1) / panelsPerPart
    var task = 0
    for index in groups.indices {
      groups[index].firstTask = task
      task += (groups[index].rows + blockRows - 1) / blockRows * parts
    }
    self.tilesPerTask = tilesPerTask
    self.parts = parts
    tasks = task
  }
}

/// The quantisation of the rows of groups, one group a task.
private struct GroupQuantization: ScratchPhase {
  let gatherer: RowGatherer
  let groups: UnsafeBufferPointer<ProductGroup>
  let words: UnsafeMutablePointer<Float>

  var scratchCount: Int { QuantizedRows.rowsPerStep * gatherer.depth }

  func run(task: Int, worker: Int, scratch: UnsafeMutablePointer<Float>) {
    let group = groups[task]
    let columns = gatherer.depth
    let rows = QuantizedRows(
      base: words + group.firstWord, rows: group.rows, columns: columns, gatherer.kernels)
    for first in stride(from: 0, to: group.rows, by: QuantizedRows.rowsPerStep) {
      let range = first..<min(first + QuantizedRows.rowsPerStep, group.rows)
      let (x, stride) = gatherer.rows(of: group, from: first, count: range.count, scratch: scratch)
      rows.fill(range, columns: 0..<columns, x, stride: stride, gatherer.kernels)
    }
  }
}

/// Grouped products with quantised weights, cut into tasks.
private struct QuantizedGroupPhase: ScratchPhase {
  static let isAbandoned = true

  let multiplier: QuantizedProduct
  let plan: QuantizedGroupPlan
  let product: GroupedProduct
  let groups: UnsafeBufferPointer<ProductGroup>
  let words: UnsafeMutablePointer<Float>
  /// For which block of rows each worker's scratch is prepared, by its first task.
  let prepared: UnsafeMutablePointer<Int>

  private func rows(of group: ProductGroup) -> QuantizedRows {
    QuantizedRows(
      base: words + group.firstWord, rows: group.rows, columns: multiplier.w.columns, multiplier.kernels)
  }

  /// Floats of scratch that a task needs: at the end, room for a panel with less than 16 outputs.
  var scratchCount: Int { tailOffset + plan.tilesPerTask * KernelTable.packedRows * 16 }

  private var tailOffset: Int {
    let columns = multiplier.w.columns
    let kernels = multiplier.kernels
    let few = QuantizedRows(base: words, rows: kernels.vectorRows, columns: columns, kernels)
    let many = QuantizedRows(base: words, rows: kernels.vectorRows + 1, columns: columns, kernels)
    return max(multiplier.vectorScratch(few), multiplier.tileScratch(many, tiles: plan.tilesPerTask))
  }

  func run(task: Int, worker: Int, scratch: UnsafeMutablePointer<Float>) {
    let group = groups.group(ofTask: task)
    let block = (task - group.firstTask) / plan.parts
    let part = (task - group.firstTask) % plan.parts
    let x = rows(of: group)
    let firstTile = block * plan.tilesPerTask
    let tiles = firstTile..<min(firstTile + plan.tilesPerTask, x.blocks)
    if x.areFew {
      // What was prepared is written over.
      prepared[worker] = -1
    } else if prepared[worker] != task - part {
      prepared[worker] = task - part
      multiplier.prepare(x, tiles: tiles, scratch: scratch)
    }
    let out = group.out + product.firstColumn
    let firstPanel = group.member * product.panels
    let end = min((part + 1) * plan.panelsPerPart, product.panels)
    let whole = min(end, product.outputs / 16)
    let first = part * plan.panelsPerPart
    if first < whole {
      multiply(
        x, tiles, firstPanel + first..<firstPanel + whole,
        ProductPlace(values: out + first * 16, stride: product.outStride), scratch)
    }
    guard whole < end else { return }
    // The last panel has less than 16 outputs, and what lies behind them in the result belongs to someone else.
    let tail = scratch + tailOffset
    let firstRow = firstTile * x.step
    let last = firstPanel + whole
    multiply(
      x, tiles, last..<last + 1, ProductPlace(values: tail - firstRow * 16, stride: 16), scratch)
    for row in 0..<min(tiles.count * x.step, x.rows - firstRow) {
      (out + (firstRow + row) * product.outStride + whole * 16)
        .update(from: tail + row * 16, count: product.outputs % 16)
    }
  }

  private func multiply(
    _ x: QuantizedRows, _ tiles: Range<Int>, _ panels: Range<Int>, _ place: ProductPlace,
    _ scratch: UnsafeMutablePointer<Float>
  ) {
    if x.areFew {
      multiplier.multiply(x, panels: panels, firstPanel: panels.lowerBound, into: place, scratch: scratch)
    } else {
      multiplier.multiply(
        x, tiles: tiles, panels: panels, firstPanel: panels.lowerBound, into: place, scratch: scratch)
    }
  }
}
