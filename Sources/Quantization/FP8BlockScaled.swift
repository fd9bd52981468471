import SalanganeFiles

/// FP8 matrices with one scale for each tile of 128 x 128 weights, as DeepSeek-V3 stores them.
///
/// `value[r, c] = float(weight[r, c]) * scale[r / 128, c / 128]`; tiles at the lower and right edges may be
/// partial. In safetensors the scales of `NAME.weight` are `NAME.weight_scale_inv`, and `config.json` says
/// `quantization_config: {quant_method: "fp8", weight_block_size: [128, 128]}`. Source: DeepSeek-V3 Technical
/// Report (arXiv:2412.19437), section 3.3, and the README of its weights.
public struct FP8BlockScaled: Sendable, Hashable {
  /// The number of output features.
  public let rows: Int
  /// The number of input features.
  public let columns: Int
  /// The height of a tile.
  public let tileRows: Int
  /// The width of a tile.
  public let tileColumns: Int

  /// Describes a matrix.
  ///
  /// - Throws: `QuantizationError.invalidTiles` if a count is negative or tiles are empty.
  public init(
    rows: Int, columns: Int, tileRows: Int = 128, tileColumns: Int = 128
  ) throws(QuantizationError) {
    guard rows >= 0, columns >= 0, tileRows > 0, tileColumns > 0 else {
      throw .invalidTiles(matrix: [rows, columns], tile: [tileRows, tileColumns])
    }
    self.rows = rows
    self.columns = columns
    self.tileRows = tileRows
    self.tileColumns = tileColumns
  }

  /// The number of rows of scales: `rows / tileRows`, rounded up.
  public var scaleRows: Int { rows / tileRows + (rows % tileRows == 0 ? 0 : 1) }

  /// The number of columns of scales: `columns / tileColumns`, rounded up.
  public var scaleColumns: Int { columns / tileColumns + (columns % tileColumns == 0 ? 0 : 1) }

  /// Decodes some rows of the matrix.
  ///
  /// - Parameters:
  ///   - range: The rows to decode, all within the matrix.
  ///   - weights: The whole matrix `[rows, columns]` in E4M3, row after row.
  ///   - scales: All scales `[scaleRows, scaleColumns]`, row after row.
  ///   - values: Room for the decoded rows `[range.count, columns]`.
  /// - Throws: `QuantizationError.sizeMismatch` if a buffer has another size than that.
  public func decode(
    rows range: Range<Int>, of weights: UnsafeRawBufferPointer, scales: UnsafeBufferPointer<Float>,
    into values: UnsafeMutableBufferPointer<Float>
  ) throws(QuantizationError) {
    precondition(range.lowerBound >= 0 && range.upperBound <= rows, "rows outside of the matrix")
    try check(weights.count, against: rows, columns)
    try check(scales.count, against: scaleRows, scaleColumns)
    try check(values.count, against: range.count, columns)
    guard let source = weights.baseAddress, let scale = scales.baseAddress,
      let destination = values.baseAddress
    else { return }
    for row in range {
      let rowWeights = source + row &* columns
      let rowScales = scale + (row / tileRows) &* scaleColumns
      let rowValues = destination + (row &- range.lowerBound) &* columns
      var start = 0
      var tile = 0
      while start < columns {
        let end = columns &- start > tileColumns ? start &+ tileColumns : columns
        let tileScale = rowScales[tile]
        for column in start..<end {
          rowValues[column] = F8_E4M3.float(rowWeights.byte(column)) * tileScale
        }
        start = end
        tile &+= 1
      }
    }
  }

  /// Decodes the whole matrix.
  ///
  /// - Parameters:
  ///   - weights: The matrix `[rows, columns]` in E4M3, row after row.
  ///   - scales: The scales `[scaleRows, scaleColumns]`, row after row.
  ///   - values: Room for the values `[rows, columns]`.
  /// - Throws: `QuantizationError.sizeMismatch` if a buffer has another size than that.
  public func decode(
    _ weights: UnsafeRawBufferPointer, scales: UnsafeBufferPointer<Float>,
    into values: UnsafeMutableBufferPointer<Float>
  ) throws(QuantizationError) {
    try decode(rows: 0..<rows, of: weights, scales: scales, into: values)
  }

  private func check(_ count: Int, against rows: Int, _ columns: Int) throws(QuantizationError) {
    let (expected, overflow) = rows.multipliedReportingOverflow(by: columns)
    guard !overflow, count == expected else {
      throw .sizeMismatch(.f8_E4M3, bytes: count, values: overflow ? .max : expected)
    }
  }
}
