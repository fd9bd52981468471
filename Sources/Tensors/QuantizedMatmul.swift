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
    quantizedRows.reserve(rows: source.rows, columns: source.columns)
    let phase = RowQuantization(kernels: kernels, source: source, rows: quantizedRows)
    // A few rows aren't worth waking anyone.
    let tasks = quantizedRows.blocks
    if source.rows <= QuantizedRows.vectorRows {
      onLeader(tasks: tasks, scratchCount: phase.scratchCount, phase)
    } else {
      parallel(tasks: tasks, scratchCount: phase.scratchCount, phase)
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
    let place = out.base
    if x.rows <= QuantizedRows.vectorRows {
      let plan = VectorPlan(panels: w.panels, threads: threads)
      let phase = QuantizedVectorPhase(
        kernels: kernels, plan: plan, x: x, w: w, bias: bias, activation: activation, out: place,
        stride: out.stride)
      parallel(tasks: plan.tasks, scratchCount: phase.scratchCount, phase)
    } else {
      let plan = TilePlan(x: x, panels: w.panels, threads: threads)
      workerValues.update(repeating: -1, count: threads)
      let phase = QuantizedTilePhase(
        kernels: kernels, plan: plan, x: x, w: w, bias: bias, activation: activation, out: place,
        stride: out.stride, prepared: workerValues)
      parallel(tasks: plan.tasks, scratchCount: phase.scratchCount, phase)
    }
  }
}

/// What the kernels of a form need to know of the sums of a block's activations.
struct Auxiliary {
  let kernels: KernelTable
  let quantized: QuantizedKernels

  private var shape: QuantizedFormat.Shape { quantized.format.shape }

  /// Words for a block.
  func count(_ x: QuantizedRows) -> Int { x.groups * x.step * (shape.hasHalves ? 2 : 1) }

  /// Writes them.
  func fill(_ x: QuantizedRows, _ block: Int, _ out: UnsafeMutablePointer<Float>) {
    if shape.hasMinimum {
      kernels.scaledSums(x.groups, x.step, shape.hasHalves, x.scales(block), x.sums(block), out)
    } else {
      let words = UnsafeMutableRawPointer(out).assumingMemoryBound(to: Int32.self)
      kernels.biasedSums(x.groups, x.step, shape.hasHalves, quantized.bias, x.sums(block), words)
    }
  }
}

/// How panels are cut into tasks for a product with few rows.
struct VectorPlan {
  let panels: Int
  let panelsPerTask: Int
  let tasks: Int

  init(panels: Int, threads: Int) {
    // A few for each thread even out their speeds; long runs let the memory stream.
    self.init(panels: panels, wanted: threads == 1 ? 1 : threads * 4)
  }

  init(panels: Int, wanted: Int) {
    self.panels = panels
    panelsPerTask = (panels + wanted - 1) / wanted
    tasks = (panels + panelsPerTask - 1) / panelsPerTask
  }

  func panels(_ task: Int) -> Range<Int> {
    let first = task * panelsPerTask
    return first..<min(first + panelsPerTask, panels)
  }
}

/// A product of up to three rows, cut into runs of panels.
struct QuantizedVectorPhase: ScratchPhase {
  /// Panels that are brought into form at a time if the weights aren't packed.
  static let panelsPerPass = 4

  let kernels: KernelTable
  let plan: VectorPlan
  let x: QuantizedRows
  let w: QuantizedMatrix
  let bias: UnsafePointer<Float>?
  let activation: Activation
  let out: UnsafeMutablePointer<Float>
  let stride: Int
  let quantized: QuantizedKernels
  private let auxiliary: Auxiliary

  init(
    kernels: KernelTable, plan: VectorPlan, x: QuantizedRows, w: QuantizedMatrix,
    bias: UnsafePointer<Float>?, activation: Activation, out: UnsafeMutablePointer<Float>, stride: Int
  ) {
    self.kernels = kernels
    self.plan = plan
    self.x = x
    self.w = w
    self.bias = bias
    self.activation = activation
    self.out = out
    self.stride = stride
    quantized = kernels.quantized(w.format)
    auxiliary = Auxiliary(kernels: kernels, quantized: quantized)
  }

  var scratchCount: Int { auxiliary.count(x) + w.scratchCount(panels: Self.panelsPerPass) }

  func run(task: Int, worker: Int, scratch: UnsafeMutablePointer<Float>) {
    // Each task makes its own: it takes less time than to share.
    auxiliary.fill(x, 0, scratch)
    let activations = QuantizedActivations(
      codes: x.codes(0), scales: x.scales(0), auxiliary: scratch, step: x.step)
    let weightScratch = scratch + auxiliary.count(x)
    let range = plan.panels(task)
    let pass = w.byteCount > 0 ? range.count : Self.panelsPerPass
    var first = range.lowerBound
    while first < range.upperBound {
      let end = min(first + pass, range.upperBound)
      let weights = w.panels(first..<end, scratch: weightScratch)
      let output = ProductOutput(
        values: out + first * 16, rowStride: stride, initial: bias.map { $0 + first * 16 })
      quantized.vector(x.rows, end - first, w.groups, weights, w.panelStride, activations, output)
      first = end
    }
    let columns = min(range.upperBound * 16, w.rows) - range.lowerBound * 16
    activation.apply(kernels, x.rows, columns, out + range.lowerBound * 16, stride)
  }
}

/// How a product with many rows is cut into tasks: blocks of rows whose codes fit the second-level cache, and groups
/// of panels where there are too few blocks to keep every thread busy.
struct TilePlan {
  /// Bytes of activation codes that a task may hold.
  static let blockBytes = 512 << 10
  /// Tiles of 12 rows that make unpacking a panel worth it.
  static let fewestTiles = 8
  static let tasksPerThread = 4

  let tiles: Int
  let tilesPerTask: Int
  let panels: Int
  let panelsPerTask: Int
  let panelGroups: Int
  let tasks: Int

  init(x: QuantizedRows, panels: Int, threads: Int) {
    self.init(x: x, panels: panels, wanted: threads == 1 ? 1 : threads * Self.tasksPerThread)
  }

  init(x: QuantizedRows, panels: Int, wanted: Int) {
    tiles = x.blocks
    self.panels = panels
    let most = max(Self.fewestTiles, Self.blockBytes / (x.groups * 32 * x.step))
    let parts = (tiles + most - 1) / most
    tilesPerTask = (tiles + parts - 1) / parts
    let blocks = (tiles + tilesPerTask - 1) / tilesPerTask
    let groups = max(1, min((wanted + blocks - 1) / blocks, (panels + 1) / 2))
    // Whole pairs of panels, the tile of the widest kernels.
    panelsPerTask = ((panels + groups - 1) / groups + 1) & ~1
    panelGroups = (panels + panelsPerTask - 1) / panelsPerTask
    tasks = blocks * panelGroups
  }
}

/// A product of many rows, cut into tasks.
struct QuantizedTilePhase: ScratchPhase {
  /// Groups of 32 inputs that are unpacked at a time: with two panels, 16 KB of codes.
  static let groupsPerPass = 16
  /// Panels that are unpacked together.
  static let panelsPerPass = 2

  let kernels: KernelTable
  let plan: TilePlan
  let x: QuantizedRows
  let w: QuantizedMatrix
  let bias: UnsafePointer<Float>?
  let activation: Activation
  let out: UnsafeMutablePointer<Float>
  let stride: Int
  /// What is added to the number of a block where products share workers.
  var firstBlock = 0
  /// For which block of rows each worker's scratch holds the auxiliary sums.
  let prepared: UnsafeMutablePointer<Int>
  let quantized: QuantizedKernels
  private let auxiliary: Auxiliary

  init(
    kernels: KernelTable, plan: TilePlan, x: QuantizedRows, w: QuantizedMatrix, bias: UnsafePointer<Float>?,
    activation: Activation, out: UnsafeMutablePointer<Float>, stride: Int,
    prepared: UnsafeMutablePointer<Int>
  ) {
    self.kernels = kernels
    self.plan = plan
    self.x = x
    self.w = w
    self.bias = bias
    self.activation = activation
    self.out = out
    self.stride = stride
    self.prepared = prepared
    quantized = kernels.quantized(w.format)
    auxiliary = Auxiliary(kernels: kernels, quantized: quantized)
  }

  private static var tileFloats: Int { panelsPerPass * groupsPerPass * (512 / 4 + 32 + 32) }
  private var auxiliaryCount: Int { plan.tilesPerTask * auxiliary.count(x) }

  var scratchCount: Int {
    Self.tileFloats + auxiliaryCount + w.scratchCount(panels: Self.panelsPerPass)
  }

  func run(task: Int, worker: Int, scratch: UnsafeMutablePointer<Float>) {
    let block = task / plan.panelGroups
    let firstTile = block * plan.tilesPerTask
    let tiles = firstTile..<min(firstTile + plan.tilesPerTask, plan.tiles)
    let codeFloats = Self.panelsPerPass * Self.groupsPerPass * 512 / 4
    let tile = UnpackedTile(
      codes: scratch, scales: scratch + codeFloats,
      minimums: scratch + (codeFloats + Self.panelsPerPass * Self.groupsPerPass * 32))
    let sums = scratch + Self.tileFloats
    if prepared[worker] != firstBlock + block {
      prepared[worker] = firstBlock + block
      for tile in tiles {
        auxiliary.fill(x, tile, sums + (tile - firstTile) * auxiliary.count(x))
      }
    }
    let firstPanel = task % plan.panelGroups * plan.panelsPerTask
    let endPanel = min(firstPanel + plan.panelsPerTask, plan.panels)
    var panel = firstPanel
    while panel < endPanel {
      let end = min(panel + Self.panelsPerPass, endPanel)
      multiply(panel..<end, tiles, tile, sums, scratch + (Self.tileFloats + auxiliaryCount))
      panel = end
    }
    let rows = min(tiles.upperBound * x.step, x.rows) - firstTile * x.step
    let columns = min(endPanel * 16, w.rows) - firstPanel * 16
    activation.apply(kernels, rows, columns, out + (firstTile * x.step * stride + firstPanel * 16), stride)
  }

  /// All rows of a task by one or two panels: a part of the depth is unpacked, and every row passes by.
  private func multiply(
    _ panels: Range<Int>, _ tiles: Range<Int>, _ tile: UnpackedTile, _ sums: UnsafeMutablePointer<Float>,
    _ weightScratch: UnsafeMutablePointer<Float>
  ) {
    let shape = w.format.shape
    let halves = shape.hasHalves ? 2 : 1
    let weights = w.panels(panels, scratch: weightScratch)
    var group = 0
    while group < w.groups {
      let groups = min(Self.groupsPerPass, w.groups - group)
      let offset = group / shape.groupsPerRecord * shape.recordBytes
      for index in 0..<panels.count {
        quantized.unpack(
          groups, weights + (index * w.panelStride + offset),
          UnpackedTile(
            codes: tile.codes + index * groups * 512, scales: tile.scales + index * groups * 16 * halves,
            minimums: tile.minimums + index * groups * 16 * halves))
      }
      for block in tiles {
        let values = out + (block * x.step * stride + panels.lowerBound * 16)
        let auxiliarySums = sums + (block - tiles.lowerBound) * auxiliary.count(x)
        quantized.tile(
          x.rowCount(block), panels.count, groups, tile,
          QuantizedActivations(
            codes: x.codes(block) + group * 8 * x.step, scales: x.scales(block) + group * x.step,
            auxiliary: auxiliarySums + group * halves * x.step, step: x.step),
          ProductOutput(
            values: values, rowStride: stride,
            initial: group > 0 ? UnsafePointer(values) : bias.map { $0 + panels.lowerBound * 16 },
            initialRowStride: group > 0 ? stride : 0))
      }
      group += groups
    }
  }
}
