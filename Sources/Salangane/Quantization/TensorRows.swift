import SalanganeFiles
import SalanganeQuantization

/// The values of a tensor that is written, row by row along its last dimension.
protocol TensorRows: Sendable {
  /// How many rows there are: the product of all dimensions but the last.
  var count: Int { get }
  /// The values of a row.
  var columns: Int { get }

  /// Decodes consecutive rows.
  ///
  /// - Parameters:
  ///   - rows: Rows of the tensor.
  ///   - values: Room for `rows.count * columns` values.
  func decode(_ rows: Range<Int>, into values: UnsafeMutablePointer<Float>)
}

/// The rows of a stored tensor, as they are stored.
struct StoredRows: TensorRows {
  let tensor: StoredTensor
  let count: Int
  let columns: Int
  private let format: any BlockFormat.Type
  private let rowBytes: Int

  /// Takes a stored tensor.
  ///
  /// - Throws: `ModelFileError` for a type that has no decoding, or that doesn't fill whole rows.
  init(_ tensor: StoredTensor) throws(ModelFileError) {
    let columns = tensor.shape.last ?? 1
    guard let format = Dequantizer.format(of: tensor.type),
      let rowBytes = tensor.type.byteCount(ofValues: columns)
    else {
      throw ModelFileError(
        .unsupported, file: tensor.file.path, subject: tensor.name,
        expectation: "expected a type that decodes to floats, found \(tensor.type.name)")
    }
    self.tensor = tensor
    self.columns = columns
    self.format = format
    self.rowBytes = rowBytes
    count = tensor.shape.dropLast().reduce(1, *)
  }

  func decode(_ rows: Range<Int>, into values: UnsafeMutablePointer<Float>) {
    tensor.withUnsafeBytes { bytes in
      guard let base = bytes.baseAddress else { return }
      format.decode(
        base + rows.lowerBound * rowBytes, count: rows.count * columns / format.type.valuesPerBlock,
        into: values)
    }
  }
}

/// The rows of an FP8 matrix with a scale for each tile, as DeepSeek-V3 and Qwen's FP8 models store it.
struct TiledRows: TensorRows {
  private let tensor: StoredTensor
  private let layout: FP8BlockScaled
  private let scales: [Float]

  var count: Int { layout.rows }
  var columns: Int { layout.columns }

  /// Takes a matrix `[rows, columns]` and its scales.
  ///
  /// - Throws: `ModelFileError` for scales of another shape or type.
  init(_ tensor: StoredTensor, scales: StoredTensor, tileRows: Int, tileColumns: Int) throws(ModelFileError) {
    guard
      let layout = try? FP8BlockScaled(
        rows: tensor.shape[0], columns: tensor.shape[1], tileRows: tileRows, tileColumns: tileColumns),
      scales.shape == [layout.scaleRows, layout.scaleColumns]
    else {
      throw ModelFileError(
        .malformed, file: scales.file.path, subject: scales.name,
        expectation: "expected a scale for each tile of \(tensor.name), found shape \(scales.shape)")
    }
    self.tensor = tensor
    self.layout = layout
    let rows = try StoredRows(scales)
    self.scales = [Float](unsafeUninitializedCapacity: scales.elementCount) { buffer, count in
      count = scales.elementCount
      if let base = buffer.baseAddress { rows.decode(0..<rows.count, into: base) }
    }
  }

  func decode(_ rows: Range<Int>, into values: UnsafeMutablePointer<Float>) {
    tensor.withUnsafeBytes { bytes in
      scales.withUnsafeBufferPointer { scales in
        let buffer = UnsafeMutableBufferPointer(start: values, count: rows.count * columns)
        do {
          try layout.decode(rows: rows, of: bytes, scales: scales, into: buffer)
        } catch {
          preconditionFailure("the shapes were checked before: \(error)")
        }
      }
    }
  }
}

/// Some rows of a tensor, in any order.
struct SelectedRows: TensorRows {
  let rows: any TensorRows
  let count: Int
  /// The row of the source that becomes a row.
  let source: @Sendable (Int) -> Int

  var columns: Int { rows.columns }

  /// Selects `count` rows; all if that is nil.
  init(_ rows: any TensorRows, count: Int? = nil, source: @escaping @Sendable (Int) -> Int) {
    self.rows = rows
    self.count = count ?? rows.count
    self.source = source
  }

  func decode(_ range: Range<Int>, into values: UnsafeMutablePointer<Float>) {
    for row in range {
      let source = source(row)
      rows.decode(source..<source + 1, into: values + (row - range.lowerBound) * columns)
    }
  }
}

/// The rows of several tensors of one shape, one tensor after the other.
struct StackedRows: TensorRows {
  private let members: [any TensorRows]
  private let rowsPerMember: Int
  let columns: Int

  var count: Int { members.count * rowsPerMember }

  /// Stacks tensors, of which there is at least one.
  init(_ members: [any TensorRows]) {
    self.members = members
    rowsPerMember = members[0].count
    columns = members[0].columns
  }

  func decode(_ range: Range<Int>, into values: UnsafeMutablePointer<Float>) {
    var row = range.lowerBound
    while row < range.upperBound {
      let (member, first) = row.quotientAndRemainder(dividingBy: rowsPerMember)
      let end = min(rowsPerMember, first + range.upperBound - row)
      members[member].decode(first..<end, into: values + (row - range.lowerBound) * columns)
      row += end - first
    }
  }
}

/// Matrices that lie one behind the other, some rows of each, with rows and columns exchanged.
struct TransposedRows: TensorRows {
  private let rows: any TensorRows
  private let stride: Int
  private let members: Int
  /// The rows of each matrix that become columns.
  let columns: Int

  var count: Int { members * rows.columns }

  /// Transposes the first `columns` rows of each matrix of `stride` rows.
  init(_ rows: any TensorRows, stride: Int, columns: Int) {
    self.rows = rows
    self.stride = stride
    self.columns = columns
    members = rows.count / stride
  }

  func decode(_ range: Range<Int>, into values: UnsafeMutablePointer<Float>) {
    let width = rows.columns
    withUnsafeTemporaryAllocation(of: Float.self, capacity: columns * width) { matrix in
      guard let base = matrix.baseAddress else { return }
      var decoded = -1
      for row in range {
        let (member, column) = row.quotientAndRemainder(dividingBy: width)
        if member != decoded {
          rows.decode(member * stride..<member * stride + columns, into: base)
          decoded = member
        }
        let destination = values + (row - range.lowerBound) * columns
        for index in 0..<columns { destination[index] = base[index * width + column] }
      }
    }
  }
}

/// The single values of a vector in another order.
struct ReorderedValues: TensorRows {
  let rows: any TensorRows
  /// The value of the source that becomes a value.
  let source: @Sendable (Int) -> Int

  var count: Int { rows.count }
  var columns: Int { rows.columns }

  func decode(_ range: Range<Int>, into values: UnsafeMutablePointer<Float>) {
    rows.decode(range, into: values)
    for row in 0..<range.count {
      let base = values + row * columns
      let before = Array(UnsafeBufferPointer(start: base, count: columns))
      for column in 0..<columns { base[column] = before[source(column)] }
    }
  }
}

/// Values that are computed, of a small tensor.
struct ComputedRows: TensorRows {
  let count: Int
  let columns: Int
  private let values: [Float]

  /// Takes the values `[count, columns]`.
  init(_ values: [Float], columns: Int) {
    precondition(columns > 0 && values.count % columns == 0)
    self.values = values
    self.columns = columns
    count = values.count / columns
  }

  func decode(_ rows: Range<Int>, into destination: UnsafeMutablePointer<Float>) {
    for index in 0..<(rows.count * columns) {
      destination[index] = values[rows.lowerBound * columns + index]
    }
  }
}
