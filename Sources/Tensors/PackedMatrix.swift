import SalanganeKernels

/// The weights of a linear layer, packed for `KernelTable.matmulPanels`: panels of 16 output features, and in a
/// panel the 16 weights of one input feature side by side.
///
/// Rows beyond the last output feature are zero. The layout is the same for every instruction set.
package struct PackedMatrix: Sendable {
  /// What a weight is kept as. Products have the same bits whichever it is, as long as it holds the weights
  /// exactly.
  package enum Element: Sendable, CaseIterable {
    /// IEEE single precision.
    case f32
    /// IEEE half precision.
    case f16
    /// bfloat16.
    case bf16

    /// Bytes that a weight takes.
    package var byteCount: Int { self == .f32 ? 4 : 2 }
  }

  /// Output features.
  package let rows: Int
  /// Input features.
  package let columns: Int
  /// What the weights are kept as.
  package let element: Element
  private let buffer: FloatBuffer

  /// Panels of 16 output features.
  package var panels: Int { (rows + 15) / 16 }
  /// Weights from one panel to the next.
  package var panelStride: Int { columns * 16 }
  /// Bytes that the packed weights take.
  package var byteCount: Int { buffer.count * MemoryLayout<Float>.stride }

  /// The bytes that packed weights take.
  package static func byteCount(rows: Int, columns: Int, element: Element = .f32) -> Int {
    (rows + 15) / 16 * 16 * columns * element.byteCount
  }

  /// A matrix without weights, which has a shape and can't be multiplied with.
  package init(placeholderOfRows rows: Int, columns: Int) {
    self.rows = rows
    self.columns = columns
    element = .f32
    buffer = FloatBuffer(count: 0)
  }

  /// Packs `[rows, columns]` weights as floats, several panels at a time.
  ///
  /// - Parameter decodeRow: Writes the `columns` weights of one row; called from the team's threads.
  package init(
    rows: Int, columns: Int, context: ComputeContext,
    decodeRow: (_ row: Int, _ destination: UnsafeMutablePointer<Float>) -> Void
  ) {
    self.init(rows: rows, columns: columns, element: .f32, context: context) { row, destination in
      decodeRow(row, destination.assumingMemoryBound(to: Float.self))
    }
  }

  /// Packs `[rows, columns]` weights as what they are stored as, several panels at a time.
  ///
  /// Beside the packed weights it takes 16 rows of memory a thread.
  ///
  /// - Parameter copyRow: Writes the `columns` weights of one row, each an `element`; called from the team's
  ///   threads.
  package init(
    rows: Int, columns: Int, element: Element, context: ComputeContext,
    copyRow: (_ row: Int, _ destination: UnsafeMutableRawPointer) -> Void
  ) {
    precondition(rows > 0 && columns > 0)
    self.rows = rows
    self.columns = columns
    self.element = element
    let stride = columns * 16
    let panels = (rows + 15) / 16
    let buffer = FloatBuffer(count: (panels * stride * element.byteCount + 3) / 4)
    self.buffer = buffer
    if element != .f32 {
      UnsafeMutableRawPointer(buffer.base).bindMemory(to: UInt16.self, capacity: panels * stride)
    }
    let kernels = context.kernels
    let rowBytes = columns * element.byteCount
    context.parallel(tasks: panels, scratchCount: (16 * rowBytes + 3) / 4, isAbandoned: true) {
      panel, _, scratch in
      let first = panel * 16
      let count = min(16, rows - first)
      let source = UnsafeMutableRawPointer(scratch)
      for row in 0..<count { copyRow(first + row, source + row * rowBytes) }
      let destination = UnsafeMutableRawPointer(buffer.base) + panel * 16 * rowBytes
      switch element {
      case .f32:
        kernels.packRows(
          count, 16, columns, scratch, columns, destination.assumingMemoryBound(to: Float.self))
      case .f16, .bf16:
        kernels.packHalfRows(
          count, 16, columns, source.assumingMemoryBound(to: UInt16.self), columns,
          destination.assumingMemoryBound(to: UInt16.self))
      }
    }
  }

  /// The weights of a panel from an input feature on, where they are floats.
  func floats(panel: Int, from column: Int = 0) -> UnsafePointer<Float> {
    precondition(element == .f32)
    return UnsafePointer(buffer.base + (panel * panelStride + column * 16))
  }

  /// The weights of a panel from an input feature on, where they are of 16 bits.
  func halves(panel: Int, from column: Int = 0) -> UnsafePointer<UInt16> {
    precondition(element != .f32)
    return UnsafeRawPointer(buffer.base).assumingMemoryBound(to: UInt16.self)
      + (panel * panelStride + column * 16)
  }
}
