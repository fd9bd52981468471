import SalanganeKernels

/// Where a product goes: whole panels are written.
struct ProductPlace {
  /// The first row's first output.
  var values: UnsafeMutablePointer<Float>
  /// Floats from one row to the next.
  var stride: Int
  /// What sums start from, for the outputs of all panels; nil for zero.
  var bias: UnsafePointer<Float>?
}

/// What one task computes of a product with quantised weights.
struct QuantizedProduct {
  /// Bytes of activation codes that a task may hold: of 1 MB of second-level cache, what the weights leave.
  static let blockBytes = 640 << 10
  /// Groups of 32 inputs of all rows of a task that are multiplied with all its panels before the next are begun:
  /// with deep products, rows of the whole depth would be too few to make unpacking a panel worth it.
  static let groupsPerRange = 64
  /// Groups of 32 inputs that are unpacked at a time: with two panels, 16 KB of codes.
  static let groupsPerPass = 16
  /// Panels that are unpacked together.
  static let panelsPerPass = 2
  /// Panels that are brought into form together for few rows if the weights aren't packed.
  static let vectorPanelsPerPass = 4

  let kernels: KernelTable
  let w: QuantizedMatrix
  private let quantized: QuantizedKernels
  private let shape: QuantizedFormat.Shape

  init(kernels: KernelTable, w: QuantizedMatrix) {
    self.kernels = kernels
    self.w = w
    quantized = kernels.quantized(w.format)
    shape = w.format.shape
  }

  /// How many of some tiles of 12 rows a task takes.
  static func tilesPerTask(_ tiles: Int, columns: Int) -> Int {
    let depth = min(columns, groupsPerRange * 32)
    let most = max(1, blockBytes / (depth * KernelTable.packedRows))
    let parts = max(1, (tiles + most - 1) / most)
    return (tiles + parts - 1) / parts
  }

  private var halves: Int { shape.hasHalves ? 2 : 1 }

  /// Words for what the kernels need to know of the sums of a block's activations.
  private func auxiliaryCount(_ x: QuantizedRows) -> Int { x.groups * x.step * halves }

  private func fillAuxiliary(_ x: QuantizedRows, _ block: Int, _ out: UnsafeMutablePointer<Float>) {
    if shape.hasMinimum {
      kernels.scaledSums(x.groups, x.step, shape.hasHalves, x.scales(block), x.sums(block), out)
    } else {
      let words = UnsafeMutableRawPointer(out).assumingMemoryBound(to: Int32.self)
      kernels.biasedSums(x.groups, x.step, shape.hasHalves, quantized.bias, x.sums(block), words)
    }
  }

  // MARK: Few rows

  /// Floats of scratch for few rows.
  func vectorScratch(_ x: QuantizedRows) -> Int {
    auxiliaryCount(x) + w.scratchCount(panels: Self.vectorPanelsPerPass)
  }

  /// Few rows by some panels.
  ///
  /// - Parameter firstPanel: The panel whose outputs are the first of `place`.
  func multiply(
    _ x: QuantizedRows, panels: Range<Int>, firstPanel: Int = 0, into place: ProductPlace,
    scratch: UnsafeMutablePointer<Float>
  ) {
    // Each task makes its own: it takes less time than to share.
    fillAuxiliary(x, 0, scratch)
    let activations = QuantizedActivations(
      codes: x.codes(0), scales: x.scales(0), auxiliary: scratch, step: x.step)
    let pass = w.isPacked ? panels.count : Self.vectorPanelsPerPass
    var first = panels.lowerBound
    while first < panels.upperBound {
      let end = min(first + pass, panels.upperBound)
      let weights = w.panels(first..<end, scratch: scratch + auxiliaryCount(x))
      let column = (first - firstPanel) * 16
      quantized.vector(
        x.rows, end - first, w.groups, weights, w.panelStride, activations,
        ProductOutput(
          values: place.values + column, rowStride: place.stride, initial: place.bias.map { $0 + column }))
      first = end
    }
  }

  // MARK: Many rows

  private static var tileFloats: Int { panelsPerPass * groupsPerPass * (512 / 4 + 32 + 32) }

  /// Floats of scratch for a task with that many tiles of 12 rows.
  func tileScratch(_ x: QuantizedRows, tiles: Int) -> Int {
    Self.tileFloats + w.scratchCount(panels: Self.panelsPerPass) + tiles * auxiliaryCount(x)
  }

  private func sums(_ scratch: UnsafeMutablePointer<Float>) -> UnsafeMutablePointer<Float> {
    scratch + (Self.tileFloats + w.scratchCount(panels: Self.panelsPerPass))
  }

  /// Prepares scratch for products of some tiles of rows.
  func prepare(_ x: QuantizedRows, tiles: Range<Int>, scratch: UnsafeMutablePointer<Float>) {
    for (index, tile) in tiles.enumerated() {
      fillAuxiliary(x, tile, sums(scratch) + index * auxiliaryCount(x))
    }
  }

  /// Some tiles of rows by some panels, in scratch that was prepared for the same tiles.
  ///
  /// - Parameters:
  ///   - place: Where the first row's outputs of panel `firstPanel` go.
  ///   - firstPanel: The panel whose outputs are the first of `place`.
  func multiply(
    _ x: QuantizedRows, tiles: Range<Int>, panels: Range<Int>, firstPanel: Int = 0, into place: ProductPlace,
    scratch: UnsafeMutablePointer<Float>
  ) {
    // Weights that aren't packed would be brought into form for every range.
    let step = w.isPacked ? Self.groupsPerRange : w.groups
    var group = 0
    while group < w.groups {
      let groups = group..<min(group + step, w.groups)
      var panel = panels.lowerBound
      while panel < panels.upperBound {
        let end = min(panel + Self.panelsPerPass, panels.upperBound)
        let column = (panel - firstPanel) * 16
        let part = ProductPlace(
          values: place.values + column, stride: place.stride, bias: place.bias.map { $0 + column })
        multiplyPair(x, tiles, panel..<end, groups, part, scratch)
        panel = end
      }
      group = groups.upperBound
    }
  }

  /// All rows of a task by one or two panels, for a range of the depth: a part of it is unpacked, and every row passes
  /// by.
  private func multiplyPair(
    _ x: QuantizedRows, _ tiles: Range<Int>, _ panels: Range<Int>, _ range: Range<Int>, _ place: ProductPlace,
    _ scratch: UnsafeMutablePointer<Float>
  ) {
    let codeFloats = Self.panelsPerPass * Self.groupsPerPass * 512 / 4
    let tile = UnpackedTile(
      codes: scratch, scales: scratch + codeFloats,
      minimums: scratch + (codeFloats + Self.panelsPerPass * Self.groupsPerPass * 32))
    let weights = w.panels(panels, scratch: scratch + Self.tileFloats)
    let sums = sums(scratch)
    let count = auxiliaryCount(x)
    // Taken out of the table once, not for every tile.
    let multiply = quantized.tile
    var group = range.lowerBound
    while group < range.upperBound {
      let groups = min(Self.groupsPerPass, range.upperBound - group)
      let offset = group / shape.groupsPerRecord * shape.recordBytes
      for index in 0..<panels.count {
        quantized.unpack(
          groups, weights + (index * w.panelStride + offset),
          UnpackedTile(
            codes: tile.codes + index * groups * 512, scales: tile.scales + index * groups * 16 * halves,
            minimums: tile.minimums + index * groups * 16 * halves))
      }
      for (index, block) in tiles.enumerated() {
        let values = place.values + block * x.step * place.stride
        multiply(
          x.rowCount(block), panels.count, groups, tile,
          QuantizedActivations(
            codes: x.codes(block) + group * 8 * x.step, scales: x.scales(block) + group * x.step,
            auxiliary: sums + (index * count + group * halves * x.step), step: x.step),
          ProductOutput(
            values: values, rowStride: place.stride, initial: group > 0 ? UnsafePointer(values) : place.bias,
            initialRowStride: group > 0 ? place.stride : 0))
      }
      group += groups
    }
  }
}
