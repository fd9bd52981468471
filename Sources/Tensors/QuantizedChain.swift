import SalanganeKernels

// Products whose results are needed as codes only, because a product with quantised weights follows: every task
// quantises what it computed while it is in the cache, and the floats are written nowhere else.

extension ComputeContext {
  /// Whether the results of a product with such weights can be quantised on the way.
  package static func canQuantizeResults(of w: QuantizedMatrix) -> Bool { w.rows % 32 == 0 }

  /// `activation(x w^T + bias)` of the rows that were quantised last; the result takes their place as the rows that
  /// were quantised last. The same codes as if the result were written, and quantised after that.
  ///
  /// - Parameters:
  ///   - w: The weights; `canQuantizeResults(of:)` must hold.
  ///   - bias: At least `w.panels * 16` floats, or nil.
  package func multiplyQuantizedInPlace(
    _ w: QuantizedMatrix, bias: UnsafePointer<Float>?, activation: Activation = .none
  ) {
    precondition(Self.canQuantizeResults(of: w))
    let x = quantizedRows
    let out = QuantizedResult(
      rows: nextQuantizedRows(x.rows, columns: w.rows), activation: activation, bias: bias, kernels: kernels)
    let product = QuantizedProduct(kernels: kernels, w: w)
    if x.areFew {
      let plan = VectorPlan(panels: w.panels, threads: threads, multiple: 2)
      let phase = FewRowsToCodes(product: product, plan: plan, x: x, out: out)
      parallel(tasks: plan.tasks, scratchCount: phase.scratchCount, phase)
    } else {
      let plan = TilePlan(x: x, panels: w.panels, threads: threads)
      workerValues.update(repeating: -1, count: threads)
      let phase = TilesToCodes(product: product, plan: plan, x: x, out: out, prepared: workerValues)
      parallel(tasks: plan.tasks, scratchCount: phase.scratchCount, phase)
    }
    takeNextQuantizedRows()
  }
}

/// Where the codes of results go, and what is done to the results before.
private struct QuantizedResult {
  let rows: QuantizedRows
  let activation: Activation
  let bias: UnsafePointer<Float>?
  let kernels: KernelTable

  /// Quantises some results.
  ///
  /// - Parameters:
  ///   - values: `[range.count, panels * 16]` without gaps; replaced.
  ///   - range: The rows.
  ///   - panels: From an even one on, an even number of panels.
  func store(_ values: UnsafeMutablePointer<Float>, _ range: Range<Int>, panels: Range<Int>) {
    let width = panels.count * 16
    activation.apply(kernels, range.count, width, values, width)
    rows.fill(
      range, columns: panels.lowerBound * 16..<panels.upperBound * 16, values, stride: width, kernels)
  }
}

/// A product of few rows, cut into runs of pairs of panels.
private struct FewRowsToCodes: ScratchPhase {
  static let isAbandoned = true

  let product: QuantizedProduct
  let plan: VectorPlan
  let x: QuantizedRows
  let out: QuantizedResult

  var scratchCount: Int { product.vectorScratch(x) + x.rows * plan.panelsPerTask * 16 }

  func run(task: Int, worker: Int, scratch: UnsafeMutablePointer<Float>) {
    let range = plan.panels(task)
    let stride = range.count * 16
    let values = scratch + product.vectorScratch(x)
    product.multiply(
      x, panels: range, firstPanel: range.lowerBound,
      into: ProductPlace(
        values: values, stride: stride, bias: out.bias.map { $0 + range.lowerBound * 16 }),
      scratch: scratch)
    out.store(values, 0..<x.rows, panels: range)
  }
}

/// A product of many rows, cut into tasks.
private struct TilesToCodes: ScratchPhase {
  static let isAbandoned = true

  let product: QuantizedProduct
  let plan: TilePlan
  let x: QuantizedRows
  let out: QuantizedResult
  /// For which block of rows each worker's scratch holds the auxiliary sums.
  let prepared: UnsafeMutablePointer<Int>

  private var productScratch: Int { product.tileScratch(x, tiles: plan.tilesPerTask) }

  var scratchCount: Int { productScratch + plan.tilesPerTask * x.step * 32 }

  func run(task: Int, worker: Int, scratch: UnsafeMutablePointer<Float>) {
    let part = plan.part(task)
    if prepared[worker] != part.block {
      prepared[worker] = part.block
      product.prepare(x, tiles: part.tiles, scratch: scratch)
    }
    let values = scratch + productScratch
    // Results are placed by their row's number in the whole product.
    let rows = part.tiles.lowerBound * x.step..<min(part.tiles.upperBound * x.step, x.rows)
    let origin = values - rows.lowerBound * 32
    for first in stride(from: part.panels.lowerBound, to: part.panels.upperBound, by: 2) {
      product.multiply(
        x, tiles: part.tiles, panels: first..<first + 2, firstPanel: first,
        into: ProductPlace(values: origin, stride: 32, bias: out.bias.map { $0 + first * 16 }),
        scratch: scratch)
      out.store(values, rows, panels: first..<first + 2)
    }
  }
}
