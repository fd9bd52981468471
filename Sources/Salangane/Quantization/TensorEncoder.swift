import SalanganeFiles
import SalanganeQuantization
import SalanganeTensors

/// Writes tensors in another type, on all threads and some rows at a time.
///
/// Memory is bounded: a few pieces of `valuesPerTask` values for each thread, or of one row where that is longer.
struct TensorEncoder {
  let team: ThreadTeam
  let threads: Int
  let cancellation: Cancellation

  private static let valuesPerTask = 1 << 15
  private static let tasksPerThread = 8
  /// Longer rows than any model has would need as much memory for each thread.
  private static let greatestRow = 1 << 24

  /// Writes the values of a tensor.
  ///
  /// - Parameters:
  ///   - rows: The values.
  ///   - type: The type to write them in, whose blocks fill whole rows.
  ///   - origin: The file and the tensor that errors are about.
  ///   - sink: Takes the bytes.
  ///   - progress: Told how many values were written.
  /// - Throws: `ModelFileError` for values that aren't finite or too great for the type, or that can't be
  ///   written; `CancellationError`.
  func encode(
    _ rows: any TensorRows, as type: TensorType, origin: (file: String, tensor: String), to sink: TensorSink,
    progress: (Int) -> Void
  ) throws {
    let columns = rows.columns
    guard columns > 0, columns <= Self.greatestRow, let rowBytes = type.byteCount(ofValues: columns) else {
      throw ModelFileError(
        .unsupported, file: origin.file, subject: origin.tensor,
        expectation: "expected rows of up to \(Self.greatestRow) values, found \(columns)")
    }
    let rowsPerTask = max(1, Self.valuesPerTask / columns)
    let tasksPerChunk = threads * Self.tasksPerThread
    let rowsPerChunk = min(rows.count, rowsPerTask * tasksPerChunk)
    let scratch = (0..<threads).map { _ in FloatBuffer(count: min(rowsPerTask, rows.count) * columns) }
    let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: rowsPerChunk * rowBytes, alignment: 64)
    let failures = UnsafeMutableBufferPointer<Int>.allocate(capacity: tasksPerChunk)
    defer {
      bytes.deallocate()
      failures.deallocate()
    }
    for start in stride(from: 0, to: rows.count, by: rowsPerChunk) {
      try cancellation.check()
      let end = min(rows.count, start + rowsPerChunk)
      let tasks = (end - start + rowsPerTask - 1) / rowsPerTask
      team.run(tasks: tasks, width: threads) { task, worker in
        let first = start + task * rowsPerTask
        let range = first..<min(end, first + rowsPerTask)
        let values = UnsafeMutableBufferPointer(start: scratch[worker].base, count: range.count * columns)
        rows.decode(range, into: scratch[worker].base)
        let begin = (first - start) * rowBytes
        failures[task] = Self.encode(
          UnsafeBufferPointer(values), type,
          into: .init(rebasing: bytes[begin..<begin + range.count * rowBytes]))
      }
      if let task = failures[..<tasks].firstIndex(where: { $0 >= 0 }) {
        throw Self.failure(type, origin, index: (start + task * rowsPerTask) * columns + failures[task])
      }
      try sink.write(UnsafeRawBufferPointer(rebasing: bytes[..<((end - start) * rowBytes)]))
      progress((end - start) * columns)
    }
  }

  /// Writes the bytes of a tensor as they are.
  ///
  /// - Parameters:
  ///   - tensor: The tensor.
  ///   - sink: Takes the bytes.
  ///   - progress: Told how many values were written.
  /// - Throws: `ModelFileError` for floats that aren't finite, or bytes that can't be written;
  ///   `CancellationError`.
  func copy(_ tensor: StoredTensor, to sink: TensorSink, progress: (Int) -> Void) throws {
    let valuesPerPiece = Self.valuesPerTask * 8
    let values = FloatBuffer(count: min(valuesPerPiece, tensor.elementCount))
    let format = Self.isFloat(tensor.type) ? Dequantizer.format(of: tensor.type) : nil
    let type = tensor.type
    for start in stride(from: 0, to: tensor.elementCount, by: valuesPerPiece) {
      try cancellation.check()
      let count = min(valuesPerPiece, tensor.elementCount - start)
      let begin = start / type.valuesPerBlock * type.bytesPerBlock
      let size = count / type.valuesPerBlock * type.bytesPerBlock
      try tensor.withUnsafeBytes { bytes in
        let piece = UnsafeRawBufferPointer(rebasing: bytes[begin..<begin + size])
        if let format, let base = piece.baseAddress {
          format.decode(base, count: count / type.valuesPerBlock, into: values.base)
          let decoded = UnsafeBufferPointer(start: values.base, count: count)
          if let index = decoded.firstIndex(where: { !$0.isFinite }) {
            throw Self.failure(type, (tensor.file.path, tensor.name), index: start + index)
          }
        }
        try sink.write(piece)
      }
      progress(count)
    }
  }

  /// Whether values of a type are weights, and not counts or ids.
  static func isFloat(_ type: TensorType) -> Bool {
    switch type {
    case .i8, .i16, .i32, .i64, .u8, .u16, .u32, .u64, .bool, .c64: false
    default: true
    }
  }

  /// The greatest magnitude that doesn't become infinite in a type of plain floats.
  private static func limit(of type: TensorType) -> Float {
    switch type {
    // The midpoints to the next power of two round up.
    case .f16: (65520 as Float).nextDown
    case .bf16: (0x1.FFp127 as Float).nextDown
    default: .greatestFiniteMagnitude
    }
  }

  /// Encodes values, and returns the index of the first that the type can't hold, or -1.
  private static func encode(
    _ values: UnsafeBufferPointer<Float>, _ type: TensorType, into bytes: UnsafeMutableRawBufferPointer
  ) -> Int {
    if !type.isQuantized {
      let limit = limit(of: type)
      // The comparison is false for NaN too.
      if let index = values.firstIndex(where: { !($0.magnitude <= limit) }) { return index }
    }
    do throws(QuantizationError) {
      try Quantizer.encode(type, values, into: bytes)
      return -1
    } catch {
      guard case .notRepresentable(_, let index) = error else {
        preconditionFailure("the type and the sizes were chosen to fit: \(error)")
      }
      return index
    }
  }

  private static func failure(
    _ type: TensorType, _ origin: (file: String, tensor: String), index: Int
  ) -> ModelFileError {
    ModelFileError(
      .malformed, file: origin.file, subject: origin.tensor,
      expectation: "expected finite values in the range of \(type.name), found another at index \(index)")
  }
}
