import SalanganeFiles
import SalanganeKernels
import SalanganeQuantization

extension QuantizedFormat {
  /// The packed form of a stored type; nil if it has none.
  package init?(_ type: TensorType) {
    switch type {
    case .q4_0: self = .q4_0
    case .q4_1: self = .q4_1
    case .q5_0: self = .q5_0
    case .q5_1: self = .q5_1
    case .q8_0: self = .q8_0
    case .q2_K: self = .q2_K
    case .q3_K: self = .q3_K
    case .q4_K: self = .q4_K
    case .q5_K: self = .q5_K
    case .q6_K: self = .q6_K
    case .iq4_NL: self = .iq4_NL
    case .iq4_XS: self = .iq4_XS
    case .mxfp4: self = .mxfp4
    case .iq1_S, .iq1_M, .iq2_XXS, .iq2_XS, .iq2_S, .iq3_XXS, .iq3_S, .tq1_0, .tq2_0, .q1_0, .q2_0, .nvfp4:
      self = .int8
    default: return nil
    }
  }
}

/// Where the rows of a quantised matrix come from.
package protocol QuantizedRowSource: Sendable {
  /// Takes a row's blocks apart, as `IntegerBlockFormat.split` does with each.
  ///
  /// - Parameters:
  ///   - row: The row, an output feature.
  ///   - codes: Room for a code for every column.
  ///   - scales: Room for the scales of every block.
  func split(_ row: Int, codes: UnsafeMutablePointer<UInt8>, scales: UnsafeMutableRawPointer)
}

/// The quantised weights of a linear layer, as the kernels of `QuantizedFormat` take them: packed once, or made
/// from the file's blocks each time they are needed.
package struct QuantizedMatrix: Sendable {
  private enum Storage: Sendable {
    case packed(FloatBuffer)
    case mapped(any QuantizedRowSource)
  }

  /// How weights are packed.
  package let format: QuantizedFormat
  /// Output features.
  package let rows: Int
  /// Input features, a multiple of 32.
  package let columns: Int
  private let storage: Storage

  /// Panels of 16 output features.
  package var panels: Int { (rows + 15) / 16 }
  /// Groups of 32 input features, up to a whole record.
  package var groups: Int { Self.groups(columns: columns, format) }
  /// Bytes from one panel to the next.
  package var panelStride: Int { groups / format.shape.groupsPerRecord * format.shape.recordBytes }
  /// Whether the weights are packed in memory of their own.
  package var isPacked: Bool {
    if case .packed = storage { true } else { false }
  }
  /// Bytes that the weights take in memory of their own.
  package var byteCount: Int {
    switch storage {
    case .packed(let buffer): buffer.count * MemoryLayout<Float>.stride
    case .mapped: 0
    }
  }

  /// The bytes that packed weights take in memory of their own.
  package static func byteCount(_ format: QuantizedFormat, rows: Int, columns: Int, packs: Bool) -> Int {
    guard packs else { return 0 }
    let records = groups(columns: columns, format) / format.shape.groupsPerRecord
    return (rows + 15) / 16 * records * format.shape.recordBytes
  }

  private static func groups(columns: Int, _ format: QuantizedFormat) -> Int {
    let whole = format.shape.groupsPerRecord
    return (columns / 32 + whole - 1) / whole * whole
  }

  /// Packs a matrix, several panels at a time, or keeps where its rows come from.
  ///
  /// - Parameters:
  ///   - rows: Output features.
  ///   - columns: Input features, a multiple of 32.
  ///   - packs: Whether the weights are packed now; otherwise whenever they are used, which is slower and takes no
  ///     memory.
  package init(
    _ format: QuantizedFormat, rows: Int, columns: Int, packs: Bool, source: some QuantizedRowSource,
    context: ComputeContext
  ) {
    precondition(rows > 0 && columns > 0 && columns % 32 == 0)
    self.format = format
    self.rows = rows
    self.columns = columns
    guard packs else {
      storage = .mapped(source)
      return
    }
    let groups = Self.groups(columns: columns, format)
    let panels = (rows + 15) / 16
    let stride = groups / format.shape.groupsPerRecord * format.shape.recordBytes
    let buffer = FloatBuffer(count: panels * stride / MemoryLayout<Float>.stride)
    storage = .packed(buffer)
    nonisolated(unsafe) let base = UnsafeMutableRawPointer(buffer.base)
    let packer = PanelPacker(format: format, rows: rows, columns: columns)
    context.parallel(tasks: panels, scratchCount: packer.scratchCount, isAbandoned: true) {
      panel, _, scratch in
      packer.pack(panel, from: source, scratch: scratch, to: base + panel * stride)
    }
  }

  /// Floats of scratch that `panels(_:scratch:)` needs for a number of panels.
  func scratchCount(panels: Int) -> Int {
    switch storage {
    case .packed: 0
    case .mapped:
      panels * panelStride / MemoryLayout<Float>.stride
        + PanelPacker(format: format, rows: rows, columns: columns).scratchCount
    }
  }

  /// Some packed panels, `panelStride` bytes apart, in the matrix's memory or in `scratch`.
  func panels(_ range: Range<Int>, scratch: UnsafeMutablePointer<Float>) -> UnsafeRawPointer {
    switch storage {
    case .packed(let buffer):
      return UnsafeRawPointer(buffer.base) + range.lowerBound * panelStride
    case .mapped(let source):
      let packer = PanelPacker(format: format, rows: rows, columns: columns)
      let out = UnsafeMutableRawPointer(scratch)
      let rest = scratch + range.count * panelStride / MemoryLayout<Float>.stride
      for (index, panel) in range.enumerated() {
        packer.pack(panel, from: source, scratch: rest, to: out + index * panelStride)
      }
      return UnsafeRawPointer(out)
    }
  }
}

/// Brings the rows of a quantised matrix into panels.
private struct PanelPacker {
  let format: QuantizedFormat
  let rows: Int
  let columns: Int

  private var shape: QuantizedFormat.Shape { format.shape }
  private var records: Int { (columns / 32 + shape.groupsPerRecord - 1) / shape.groupsPerRecord }
  private var paddedColumns: Int { records * shape.groupsPerRecord * 32 }
  private var scaleStride: Int { records * format.scaleSizes.total }

  /// Floats that `pack` needs: codes and scales of sixteen rows.
  var scratchCount: Int { (16 * (paddedColumns + scaleStride) + 3) / 4 }

  func pack(
    _ panel: Int, from source: some QuantizedRowSource, scratch: UnsafeMutablePointer<Float>,
    to destination: UnsafeMutableRawPointer
  ) {
    let raw = UnsafeMutableRawPointer(scratch)
    let codes = raw.assumingMemoryBound(to: UInt8.self)
    let scales = raw + 16 * paddedColumns
    // Rows and columns beyond the matrix have zeros for scales.
    raw.initializeMemory(as: UInt8.self, repeating: 0, count: 16 * (paddedColumns + scaleStride))
    let first = panel * 16
    for row in 0..<min(16, rows - first) {
      source.split(first + row, codes: codes + row * paddedColumns, scales: scales + row * scaleStride)
    }
    let format = format
    let shape = shape
    let scaleBytes = format.scaleSizes.total
    for record in 0..<records {
      let out = destination + record * shape.recordBytes
      out.initializeMemory(as: UInt8.self, repeating: 0, count: shape.scaleBytes)
      for output in 0..<16 {
        format.packScales(scales + (output * scaleStride + record * scaleBytes), output: output, to: out)
      }
      for part in 0..<shape.groupsPerRecord {
        let group = record * shape.groupsPerRecord + part
        format.packCodes(
          codes + group * 32, stride: paddedColumns, to: out + (shape.scaleBytes + part * shape.codeBytes))
      }
    }
  }
}
