import SalanganeKernels

extension ComputeContext {
  /// Quantises the rows of groups, for the products that follow.
  ///
  /// - Parameters:
  ///   - product: What the groups have in common.
  ///   - columns: Input features of the products, a multiple of 32.
  ///   - groups: The groups.
  package func quantize(
    _ product: GroupedProduct, columns: Int, groups: UnsafeMutableBufferPointer<ProductGroup>
  ) {
    let isShared = product.input == .plain && Self.shareRow(groups, stride: product.xStride)
    var words = 0
    var tasks = 0
    var rows = 0
    for index in groups.indices {
      let part = groupRows.part(from: 0, rows: groups[index].rows, columns: columns)
      groups[index].firstTask = tasks
      groups[index].firstWord = words
      if isShared, index > 0 {
        groups[index].firstWord = 0
        continue
      }
      words += part.words
      tasks += part.blocks
      rows += groups[index].rows
    }
    groupRows.reserve(words: words)
    let phase = GroupQuantization(
      kernels: kernels, product: product, columns: columns,
      groups: UnsafeBufferPointer(rebasing: UnsafeBufferPointer(groups)[..<(isShared ? 1 : groups.count)]),
      rows: groupRows)
    // A few rows aren't worth waking anyone.
    if rows <= QuantizedRows.vectorRows {
      onLeader(tasks: tasks, scratchCount: phase.scratchCount, phase)
    } else {
      parallel(tasks: tasks, scratchCount: phase.scratchCount, phase)
    }
  }

  /// Whether all groups have the same row and no other, as when one token goes to several experts.
  private static func shareRow(_ groups: UnsafeMutableBufferPointer<ProductGroup>, stride: Int) -> Bool {
    func row(_ group: ProductGroup) -> UnsafePointer<Float> {
      group.x + (group.gathered.map { Int($0[0]) } ?? 0) * stride
    }
    guard let first = groups.first, first.rows == 1 else { return false }
    return groups.allSatisfy { $0.rows == 1 && row($0) == row(first) }
  }

  /// `out = x w^T` for several groups whose rows were quantised last.
  ///
  /// Every output element is summed as in a plain product: the same bits whatever the number of rows, groups, tasks
  /// or threads.
  ///
  /// - Parameters:
  ///   - product: What the groups have in common; `outputs` is a multiple of 16.
  ///   - w: The weights of all members, of `product.outputs` rows each.
  ///   - groups: The groups.
  package func multiplyQuantized(
    _ product: GroupedProduct, _ w: QuantizedMatrix, groups: UnsafeMutableBufferPointer<ProductGroup>
  ) {
    precondition(product.outputs % 16 == 0)
    workerValues.update(repeating: -1, count: threads)
    let wanted = threads == 1 ? 1 : (threads * 4 + groups.count - 1) / max(groups.count, 1)
    let phase = GroupedQuantizedPhase(
      kernels: kernels, product: product, w: w, groups: UnsafeBufferPointer(groups), rows: groupRows,
      wanted: wanted, prepared: workerValues)
    var tasks = 0
    var scratchCount = 0
    for index in groups.indices {
      groups[index].firstTask = tasks
      let size = phase.size(of: groups[index])
      tasks += size.tasks
      scratchCount = max(scratchCount, size.scratchCount)
    }
    parallel(tasks: tasks, scratchCount: scratchCount, phase)
  }
}

/// The quantisation of groups' rows, cut into blocks.
private struct GroupQuantization: ScratchPhase {
  let kernels: KernelTable
  let product: GroupedProduct
  let columns: Int
  let groups: UnsafeBufferPointer<ProductGroup>
  let rows: QuantizedRows

  var scratchCount: Int { KernelTable.packedRows * columns * (product.input == .gated ? 2 : 1) }

  func run(task: Int, worker: Int, scratch: UnsafeMutablePointer<Float>) {
    let group = groups.group(of: task)
    let part = rows.part(from: group.firstWord, rows: group.rows, columns: columns)
    let block = task - group.firstTask
    let gatherer = RowGatherer(kernels: kernels, product: product, depth: columns)
    let (x, stride) = gatherer.rows(
      of: group, from: block * part.step, count: part.rowCount(block), scratch: scratch)
    part.fill(block, x, stride: stride, columns: columns, kernels)
  }
}

/// The products of groups with quantised weights, each cut into tasks as a plain product is.
private struct GroupedQuantizedPhase: ScratchPhase {
  let kernels: KernelTable
  let product: GroupedProduct
  let w: QuantizedMatrix
  let groups: UnsafeBufferPointer<ProductGroup>
  let rows: QuantizedRows
  /// Tasks that each group should have.
  let wanted: Int
  let prepared: UnsafeMutablePointer<Int>

  /// How many tasks a group has, and how much scratch they need.
  func size(of group: ProductGroup) -> (tasks: Int, scratchCount: Int) {
    guard group.rows > 0 else { return (0, 0) }
    if group.rows <= QuantizedRows.vectorRows {
      let phase = vector(group)
      return (phase.plan.tasks, phase.scratchCount)
    }
    let phase = tile(group)
    return (phase.plan.tasks, phase.scratchCount)
  }

  func run(task: Int, worker: Int, scratch: UnsafeMutablePointer<Float>) {
    let group = groups.group(of: task)
    let part = task - group.firstTask
    if group.rows <= QuantizedRows.vectorRows {
      vector(group).run(task: part, worker: worker, scratch: scratch)
    } else {
      tile(group).run(task: part, worker: worker, scratch: scratch)
    }
  }

  private func vector(_ group: ProductGroup) -> QuantizedVectorPhase {
    QuantizedVectorPhase(
      kernels: kernels, plan: VectorPlan(panels: product.panels, wanted: wanted), x: x(group),
      w: weights(group), bias: nil, activation: .none, out: group.out + product.firstColumn,
      stride: product.outStride)
  }

  private func tile(_ group: ProductGroup) -> QuantizedTilePhase {
    let x = x(group)
    var phase = QuantizedTilePhase(
      kernels: kernels, plan: TilePlan(x: x, panels: product.panels, wanted: wanted), x: x, w: weights(group),
      bias: nil, activation: .none, out: group.out + product.firstColumn, stride: product.outStride,
      prepared: prepared)
    // Blocks of different groups are told apart by where tasks begin.
    phase.firstBlock = group.firstTask
    return phase
  }

  private func x(_ group: ProductGroup) -> QuantizedRows {
    rows.part(from: group.firstWord, rows: group.rows, columns: w.columns)
  }

  private func weights(_ group: ProductGroup) -> QuantizedMatrix {
    w.rows(fromPanel: group.member * product.panels, count: product.outputs)
  }
}
