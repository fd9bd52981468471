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
  /// bias: the same bits whatever the number of rows, tasks or threads, and whatever the weights are kept as.
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
    guard x.rows > 0 else { return }
    if let plan = MatmulPlan(rows: x.rows, times: w, threads: threads) {
      let product = PackedProduct(
        kernels: kernels, plan: plan, depth: 0..<w.columns, x: x, w: w, bias: bias, activation: activation,
        out: out)
      return parallel(tasks: plan.tasks, scratchCount: plan.packedBlockCount, product)
    }
    let height = MatmulPlan.batchRows(rows: x.rows, depth: w.columns)
    var first = 0
    while first < x.rows {
      let rows = first..<min(first + height, x.rows)
      let plan = MatmulPlan(rows: rows.count, depth: w.columns, panels: w.panels, threads: threads)
      var depth = 0..<plan.phaseDepth
      while !depth.isEmpty {
        let product = PackedProduct(
          kernels: kernels, plan: plan, depth: depth, x: x.rows(rows), w: w, bias: bias,
          activation: activation, out: out.rows(rows))
        let packed = packedRows(product)
        team.run(
          tasks: plan.tasks, width: threads,
          phase: WithPackedRows(product: product, packed: packed, cancellation: cancellation))
        depth = depth.upperBound..<min(depth.upperBound + plan.phaseDepth, w.columns)
      }
      first += height
    }
  }

  /// A product's part of the depth of all rows in packed tiles, one after the other: of a single row where it is,
  /// of others in memory of the context that is overwritten by the next call.
  private func packedRows(_ product: PackedProduct) -> UnsafePointer<Float> {
    let plan = product.plan
    if plan.tileWidth == 1 { return UnsafePointer(product.x.base + product.depth.lowerBound) }
    let packed = packedRows(count: plan.tiles * plan.tileWidth * product.depth.count)
    if plan.tiles == 1 {
      product.pack(0..<1, into: packed)
    } else {
      team.run(tasks: plan.tiles, width: threads, phase: RowPacking(product: product, packed: packed))
    }
    return UnsafePointer(packed)
  }
}

/// The packing of a product's rows, a tile a task.
private struct RowPacking: Phase {
  let product: PackedProduct
  let packed: UnsafeMutablePointer<Float>

  func run(task: Int, worker: Int) {
    product.pack(task..<task + 1, into: packed + task * product.tileCount)
  }
}

/// A product whose rows are packed, all tiles one after the other.
private struct WithPackedRows: Phase {
  let product: PackedProduct
  let packed: UnsafePointer<Float>
  let cancellation: Cancellation?

  func run(task: Int, worker: Int) {
    if let cancellation, cancellation.isCancelled { return }
    let (tiles, panels) = product.plan.task(task)
    product.multiply(tiles, panels, packed + tiles.lowerBound * product.tileCount)
  }
}

/// The product of some rows with packed weights over a part of the depth, cut into tasks.
private struct PackedProduct: ScratchPhase {
  static let isAbandoned = true
  /// Panels that go together, the tile of the widest kernels.
  static let panelsPerPass = 2

  let kernels: KernelTable
  let plan: MatmulPlan
  /// The part of the depth.
  let depth: Range<Int>
  let x: Matrix
  let w: PackedMatrix
  let bias: UnsafePointer<Float>?
  let activation: Activation
  let out: Matrix

  /// Floats of a packed tile of rows.
  var tileCount: Int { plan.tileWidth * depth.count }

  /// A task that packs its rows itself.
  func run(task: Int, worker: Int, scratch: UnsafeMutablePointer<Float>) {
    let (tiles, panels) = plan.task(task)
    pack(tiles, into: scratch)
    multiply(tiles, panels, scratch)
  }

  /// Packs some tiles one after the other.
  func pack(_ tiles: Range<Int>, into packed: UnsafeMutablePointer<Float>) {
    for tile in tiles {
      let rows = plan.rows(ofTile: tile)
      kernels.packRows(
        rows.count, plan.tileWidth, depth.count, x.row(rows.lowerBound) + depth.lowerBound, x.stride,
        packed + (tile - tiles.lowerBound) * tileCount)
    }
  }

  /// Multiplies some tiles, packed one after the other, with some panels.
  func multiply(_ tiles: Range<Int>, _ panels: Range<Int>, _ packed: UnsafePointer<Float>) {
    var pass = depth.lowerBound..<min(depth.lowerBound + plan.passDepth, depth.upperBound)
    while !pass.isEmpty {
      var panel = panels.lowerBound
      while panel < panels.upperBound {
        // A few panels stay in the cache while all rows of the task pass by.
        let group = panel..<min(panel + Self.panelsPerPass, panels.upperBound)
        for tile in tiles {
          let a =
            packed
            + ((tile - tiles.lowerBound) * tileCount + (pass.lowerBound - depth.lowerBound) * plan.tileWidth)
          multiply(tile, a, group, pass)
        }
        panel = group.upperBound
      }
      pass = pass.upperBound..<min(pass.upperBound + plan.passDepth, depth.upperBound)
    }
    guard depth.upperBound == w.columns else { return }
    let rows =
      plan.rows(ofTile: tiles.lowerBound).lowerBound..<plan.rows(ofTile: tiles.upperBound - 1).upperBound
    let columns = panels.lowerBound * 16..<min(panels.upperBound * 16, out.columns)
    activation.apply(
      kernels, rows.count, columns.count, out.row(rows.lowerBound) + columns.lowerBound, out.stride)
  }

  /// One tile of rows with some panels over a pass, added to what the passes before it gave.
  private func multiply(
    _ tile: Int, _ a: UnsafePointer<Float>, _ panels: Range<Int>, _ pass: Range<Int>
  ) {
    let rows = plan.rows(ofTile: tile)
    let column = panels.lowerBound * 16
    let c = out.row(rows.lowerBound) + column
    let isFirst = pass.lowerBound == 0
    let initial = isFirst ? bias.map { $0 + column } : UnsafePointer(c)
    let initialStride = isFirst ? 0 : out.stride
    let panel = panels.lowerBound
    // Weights of 16 bits become floats in the registers of every tile. (Widening them once for many tiles was
    // slower at any number of rows: the floats take more time to come back from the cache.)
    switch w.element {
    case .f32:
      kernels.matmulPanels(
        rows.count, panels.count, pass.count, a, plan.tileWidth,
        w.floats(panel: panel, from: pass.lowerBound), 16, w.panelStride, c, out.stride, initial,
        initialStride)
    case .f16:
      kernels.matmulHalfPanels(
        rows.count, panels.count, pass.count, a, plan.tileWidth,
        w.halves(panel: panel, from: pass.lowerBound), 16, w.panelStride, c, out.stride, initial,
        initialStride)
    case .bf16:
      kernels.matmulBFloat16Panels(
        rows.count, panels.count, pass.count, a, plan.tileWidth,
        w.halves(panel: panel, from: pass.lowerBound), 16, w.panelStride, c, out.stride, initial,
        initialStride)
    }
  }
}
