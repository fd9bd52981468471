import SalanganeKernels

extension ComputeContext {
  /// `out = activation(x w^T + bias)` with quantised weights: activations are quantised to signed bytes, 32 with a
  /// scale.
  ///
  /// Every output element is the sum over groups of 32 inputs in order, starting from the bias: the same bits
  /// whatever the number of rows, tasks or threads.
  ///
  /// - Parameters:
  ///   - x: `[rows, w.columns]`.
  ///   - w: The weights, `[w.rows, w.columns]`.
  ///   - bias: At least `w.panels * 16` floats, or nil.
  ///   - out: `[rows, w.rows]`.
  package func matmul(
    _ x: Matrix, _ w: QuantizedMatrix, bias: UnsafePointer<Float>?, activation: Activation = .none,
    into out: Matrix
  ) {
    precondition(x.columns == w.columns && out.columns == w.rows && out.rows == x.rows)
    quantize(x)
    multiplyQuantized(w, bias: bias, activation: activation, into: out)
  }

  /// Quantises rows, for the products that follow.
  package func quantize(_ x: Matrix) { quantize(.rows(x)) }

  /// Quantises rows, for the products that follow.
  package func quantize(_ source: QuantizationSource) {
    reserveQuantizedRows(source.rows, columns: source.columns)
    let phase = RowQuantization(kernels: kernels, source: source, rows: quantizedRows)
    // A few rows aren't worth waking anyone.
    let tasks = phase.rows.blocks
    if phase.rows.areFew {
      onLeader(tasks: tasks, phase)
    } else {
      parallel(tasks: tasks, phase)
    }
  }

  /// What is left over of rows that were just quantised, `[rows, columns]`: it can be quantised in its turn.
  package func copyResiduals(of x: Matrix, to out: Matrix) {
    precondition(x.rows == quantizedRows.rows && out.rows == x.rows && out.columns == x.columns)
    for row in 0..<x.rows {
      quantizedRows.copyResidual(ofRow: row, x.row(row), columns: x.columns, to: out.row(row))
    }
  }

  /// The product of the rows that were quantised last; `out` is `[rows, w.rows]`, and whole panels are written.
  package func multiplyQuantized(
    _ w: QuantizedMatrix, bias: UnsafePointer<Float>?, activation: Activation = .none, into out: Matrix
  ) {
    let x = quantizedRows
    precondition(x.rows == out.rows && out.columns == w.rows)
    let product = QuantizedProduct(kernels: kernels, w: w)
    let place = ProductPlace(values: out.base, stride: out.stride, bias: bias)
    if x.areFew {
      let plan = VectorPlan(panels: w.panels, threads: threads)
      let phase = QuantizedVectorPhase(
        product: product, plan: plan, x: x, place: place, activation: activation)
      parallel(tasks: plan.tasks, scratchCount: product.vectorScratch(x), phase)
    } else {
      let plan = TilePlan(x: x, panels: w.panels, threads: threads)
      workerValues.update(repeating: -1, count: threads)
      let phase = QuantizedTilePhase(
        product: product, plan: plan, x: x, place: place, activation: activation, prepared: workerValues)
      parallel(tasks: plan.tasks, scratchCount: product.tileScratch(x, tiles: plan.tilesPerTask), phase)
    }
  }
}

/// How panels are cut into tasks for a product with few rows.
struct VectorPlan {
  let panels: Int
  let panelsPerTask: Int
  let tasks: Int

  /// Cuts panels into runs of a multiple of some number, but for the last.
  init(panels: Int, threads: Int, multiple: Int = 1) {
    self.panels = panels
    // Two for each thread even out their speeds a little; long runs let the memory stream.
    let wanted = (threads == 1 ? 1 : threads * 2) * multiple
    panelsPerTask = (panels + wanted - 1) / wanted * multiple
    tasks = (panels + panelsPerTask - 1) / panelsPerTask
  }

  func panels(_ task: Int) -> Range<Int> {
    let first = task * panelsPerTask
    return first..<min(first + panelsPerTask, panels)
  }
}

/// A product of few rows, cut into runs of panels.
private struct QuantizedVectorPhase: ScratchPhase {
  static let isAbandoned = true

  let product: QuantizedProduct
  let plan: VectorPlan
  let x: QuantizedRows
  let place: ProductPlace
  let activation: Activation

  func run(task: Int, worker: Int, scratch: UnsafeMutablePointer<Float>) {
    let range = plan.panels(task)
    product.multiply(x, panels: range, into: place, scratch: scratch)
    let columns = min(range.upperBound * 16, product.w.rows) - range.lowerBound * 16
    activation.apply(
      product.kernels, x.rows, columns, place.values + range.lowerBound * 16, place.stride)
  }
}

/// How a product with many rows is cut into tasks: blocks of rows whose codes fit the second-level cache, and groups
/// of panels where there are too few blocks to keep every thread busy.
struct TilePlan {
  static let tasksPerThread = 4

  let tiles: Int
  let tilesPerTask: Int
  let panels: Int
  let panelsPerTask: Int
  let panelGroups: Int
  let tasks: Int

  init(x: QuantizedRows, panels: Int, threads: Int) {
    tiles = x.blocks
    self.panels = panels
    tilesPerTask = QuantizedProduct.tilesPerTask(tiles, columns: x.groups * 32)
    let blocks = (tiles + tilesPerTask - 1) / tilesPerTask
    let wanted = threads == 1 ? 1 : threads * Self.tasksPerThread
    let groups = max(1, min((wanted + blocks - 1) / blocks, (panels + 1) / 2))
    // Whole pairs of panels, the tile of the widest kernels.
    panelsPerTask = ((panels + groups - 1) / groups + 1) & ~1
    panelGroups = (panels + panelsPerTask - 1) / panelsPerTask
    tasks = blocks * panelGroups
  }

  /// The tiles and panels of a task, and the number of its block of rows.
  func part(_ task: Int) -> (block: Int, tiles: Range<Int>, panels: Range<Int>) {
    let block = task / panelGroups
    let tile = block * tilesPerTask
    let panel = task % panelGroups * panelsPerTask
    return (
      block, tile..<min(tile + tilesPerTask, tiles), panel..<min(panel + panelsPerTask, panels)
    )
  }
}

/// A product of many rows, cut into tasks.
private struct QuantizedTilePhase: ScratchPhase {
  static let isAbandoned = true

  let product: QuantizedProduct
  let plan: TilePlan
  let x: QuantizedRows
  let place: ProductPlace
  let activation: Activation
  /// For which block of rows each worker's scratch holds the auxiliary sums.
  let prepared: UnsafeMutablePointer<Int>

  func run(task: Int, worker: Int, scratch: UnsafeMutablePointer<Float>) {
    let (block, tiles, panels) = plan.part(task)
    if prepared[worker] != block {
      prepared[worker] = block
      product.prepare(x, tiles: tiles, scratch: scratch)
    }
    product.multiply(x, tiles: tiles, panels: panels, into: place, scratch: scratch)
    let firstRow = tiles.lowerBound * x.step
    let rows = min(tiles.upperBound * x.step, x.rows) - firstRow
    let columns = min(panels.upperBound * 16, product.w.rows) - panels.lowerBound * 16
    activation.apply(
      product.kernels, rows, columns,
      place.values + (firstRow * place.stride + panels.lowerBound * 16), place.stride)
  }
}
