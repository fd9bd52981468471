import SalanganeKernels

/// How the product of packed weights with some rows is cut into phases, tasks and tiles.
///
/// Where the weights are few and the rows many, each task packs a block of rows and multiplies it with all
/// weights. Otherwise rows go in batches. A batch goes through the depth in phases: a part of the depth of all its
/// rows is packed, and then multiplied. The tasks of a phase are blocks of rows times groups of panels. In both
/// cases a task passes its rows by two panels at a time. None of this shows in the results: an element's sum has
/// one order.
struct MatmulPlan {
  /// The most steps of depth that two panels pass the rows with: as floats, they stay in the second-level cache
  /// (192 KB).
  static let passDepth = 1536
  /// Rows that they pass: weights that come from memory are waited for once in that many rows, and the packed
  /// rows of a phase take 2.3 MB.
  static let passRows = 384
  /// Panels of a task: with the rows of a pass, its outputs stay in the cache from one phase to the next.
  static let mostPanels = 32
  /// Tasks for each thread that even out their different speeds.
  static let tasksPerThread = 4

  /// Bytes of rows that a task packs by itself: they stay in the second-level cache.
  static let blockBytes = 384 << 10
  /// Bytes of weights that are taken to come from the cache when they are read for the second time.
  static let cachedBytes = 8 << 20

  /// How many rows of that depth make a batch.
  static func batchRows(rows: Int, depth: Int) -> Int {
    let most = max(passRows, passRows * passDepth / depth)
    // Batches of equal height.
    let batches = (rows + most - 1) / most
    return (rows + batches - 1) / batches
  }

  let rows: Int
  let panels: Int
  /// Row tiles, of at most `KernelTable.packedRows` rows.
  let tiles: Int
  /// Rows of a packed step of depth.
  let tileWidth: Int
  /// The steps of depth that a task's panels pass its rows with, but for the last; a multiple of
  /// `KernelTable.blockDepth` where there are several.
  let passDepth: Int
  /// The steps of depth of a phase: one or several passes.
  let phaseDepth: Int
  /// Blocks of row tiles.
  let blocks: Int
  let panelGroups: Int
  let panelsPerGroup: Int

  /// Divides rows for tasks that pack them; nil where that wouldn't keep all threads busy, or would read many
  /// weights again and again.
  init?(rows: Int, times w: PackedMatrix, threads: Int) {
    let width = KernelTable.packedRows
    let blockRows = Self.blockBytes / (w.columns * 4) / width * width
    let wanted = threads == 1 ? 1 : threads * Self.tasksPerThread
    guard rows > width, blockRows >= 2 * width, w.byteCount <= Self.cachedBytes,
      rows >= wanted * min(blockRows, rows)
    else { return nil }
    self.rows = rows
    panels = w.panels
    tiles = (rows + width - 1) / width
    tileWidth = width
    passDepth = w.columns
    phaseDepth = w.columns
    blocks = (rows + blockRows - 1) / blockRows
    panelsPerGroup = w.panels
    panelGroups = 1
  }

  /// Divides a batch of rows.
  init(rows: Int, depth: Int, panels: Int, threads: Int) {
    self.rows = rows
    self.panels = panels
    let most = KernelTable.packedRows
    tiles = (rows + most - 1) / most
    let tallest = (rows + tiles - 1) / tiles
    // A single row lies as it is; packed steps are multiples of 4.
    tileWidth = rows == 1 ? 1 : (tallest + 3) & ~3
    // A single tile reads its weights from front to back. Others go by passes, few rows by several in a phase.
    passDepth = tiles == 1 ? depth : Self.part(of: depth, most: Self.passDepth)
    let passes = tiles == 1 ? 1 : max(1, Self.passRows / rows)
    phaseDepth = min(depth, passes * passDepth)

    let wanted = threads == 1 ? 1 : threads * Self.tasksPerThread
    let pairs = (panels + 1) / 2
    let groups = min(pairs, max(wanted, (panels + Self.mostPanels - 1) / Self.mostPanels))
    // Whole pairs of panels, the tile of the widest kernels.
    panelsPerGroup = (pairs + groups - 1) / groups * 2
    panelGroups = (panels + panelsPerGroup - 1) / panelsPerGroup
    let passBlocks = (rows + Self.passRows - 1) / Self.passRows
    blocks = min(tiles, max(passBlocks, (wanted + panelGroups - 1) / panelGroups))
  }

  /// How many tasks a phase has.
  var tasks: Int { blocks * panelGroups }

  /// The rows of a tile.
  func rows(ofTile tile: Int) -> Range<Int> { share(tile, of: tiles, total: rows) }

  /// The tiles and panels of a task. Tasks that follow each other share their panels.
  func task(_ index: Int) -> (tiles: Range<Int>, panels: Range<Int>) {
    let first = index / blocks * panelsPerGroup
    return (
      share(index % blocks, of: blocks, total: tiles), first..<min(first + panelsPerGroup, panels)
    )
  }

  /// Floats that a block of rows takes when it is packed.
  var packedBlockCount: Int { (tiles + blocks - 1) / blocks * tileWidth * phaseDepth }

  /// A depth in the fewest parts of at most `most` steps that end with a block, as even as can be.
  private static func part(of depth: Int, most: Int) -> Int {
    let block = KernelTable.blockDepth
    let parts = (depth + most - 1) / most
    return ((depth + parts - 1) / parts + block - 1) / block * block
  }

  /// Part `index` of `total` things that are divided as evenly as can be.
  private func share(_ index: Int, of parts: Int, total: Int) -> Range<Int> {
    total * index / parts..<total * (index + 1) / parts
  }
}
