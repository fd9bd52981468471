/// Which rows of a batch go to which experts, and where the results lie.
///
/// Every row is sent to `used` experts. A slot is one row at one expert; slots are sorted by expert, and those of
/// an expert by row. `@unchecked Sendable`: it belongs to one request, whose leader sorts and whose tasks write
/// what belongs to disjoint rows.
package final class ExpertAssignment: @unchecked Sendable {
  /// How many experts there are.
  package let experts: Int
  /// How many of them a row uses.
  package let used: Int
  /// The experts of each row, the best first, `[rows, used]`.
  package private(set) var chosen: UnsafeMutablePointer<Int32>
  /// Their weights, `[rows, used]`.
  package private(set) var weights: UnsafeMutablePointer<Float>
  /// The slots of each row, in the order of `chosen`, `[rows, used]`; set by `sort`.
  package private(set) var slots: UnsafeMutablePointer<Int32>

  /// The row of each slot.
  private var slotRows: UnsafeMutablePointer<Int32>
  private var capacity = 0
  /// For each expert, its first slot; at the end, that of a further one.
  private let firstSlots: UnsafeMutablePointer<Int>
  private let products: UnsafeMutablePointer<ProductGroup>

  /// Creates an assignment without room for rows yet.
  package init(experts: Int, used: Int) {
    self.experts = experts
    self.used = used
    chosen = .allocate(capacity: 0)
    weights = .allocate(capacity: 0)
    slots = .allocate(capacity: 0)
    slotRows = .allocate(capacity: 0)
    firstSlots = .allocate(capacity: experts + 1)
    firstSlots.update(repeating: 0, count: experts + 1)
    products = .allocate(capacity: experts)
  }

  deinit {
    free()
    firstSlots.deallocate()
    products.deallocate()
  }

  private func free() {
    chosen.deallocate()
    weights.deallocate()
    slots.deallocate()
    slotRows.deallocate()
  }

  /// Makes room for `rows` rows; what was there is lost.
  package func reserve(rows: Int) {
    guard rows * used > capacity else { return }
    free()
    capacity = rows * used
    chosen = .allocate(capacity: capacity)
    weights = .allocate(capacity: capacity)
    slots = .allocate(capacity: capacity)
    slotRows = .allocate(capacity: capacity)
  }

  /// Sorts the choices of `rows` rows by expert.
  package func sort(rows: Int) {
    precondition(rows * used <= capacity)
    firstSlots.update(repeating: 0, count: experts + 1)
    for index in 0..<rows * used { firstSlots[Int(chosen[index]) + 1] += 1 }
    for expert in 0..<experts { firstSlots[expert + 1] += firstSlots[expert] }
    // Each expert's first slot moves on to the next expert's, and back in the end.
    for row in 0..<rows {
      for rank in 0..<used {
        let expert = Int(chosen[row * used + rank])
        let slot = firstSlots[expert]
        slots[row * used + rank] = Int32(slot)
        slotRows[slot] = Int32(row)
        firstSlots[expert] = slot + 1
      }
    }
    for expert in stride(from: experts, to: 0, by: -1) { firstSlots[expert] = firstSlots[expert - 1] }
    firstSlots[0] = 0
  }

  /// How many experts have rows.
  package var expertsInUse: Int {
    (0..<experts).reduce(0) { $0 + (firstSlots[$1] < firstSlots[$1 + 1] ? 1 : 0) }
  }

  /// The products of all experts that have rows, from row to slot or from slot to slot.
  ///
  /// - Parameters:
  ///   - input: A row for each row of the batch if `gathers`, or else for each slot.
  ///   - gathers: Whether the rows of the batch are brought together.
  ///   - out: A row for each slot.
  /// - Returns: The groups, in memory that the next call uses again.
  package func groups(
    input: Matrix, gathers: Bool, out: Matrix
  ) -> UnsafeMutableBufferPointer<ProductGroup> {
    var count = 0
    for expert in 0..<experts {
      let first = firstSlots[expert]
      let rows = firstSlots[expert + 1] - first
      guard rows > 0 else { continue }
      let group = ProductGroup(
        member: expert, x: input.row(gathers ? 0 : first),
        gathered: gathers ? UnsafePointer(slotRows + first) : nil, out: out.row(first), rows: rows)
      (products + count).initialize(to: group)
      count += 1
    }
    return UnsafeMutableBufferPointer(start: products, count: count)
  }
}
