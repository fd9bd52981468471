import SalanganeQuantization
import Testing

@Suite struct FP8BlockScaledTests {
  /// Decodes some rows.
  private func decode(
    _ matrix: FP8BlockScaled, rows: Range<Int>? = nil, _ weights: [UInt8], _ scales: [Float]
  ) throws -> [Float] {
    let rows = rows ?? 0..<matrix.rows
    var values = [Float](repeating: .nan, count: rows.count * matrix.columns)
    try weights.withUnsafeBytes { weights in
      try scales.withUnsafeBufferPointer { scales in
        try values.withUnsafeMutableBufferPointer {
          try matrix.decode(rows: rows, of: weights, scales: scales, into: $0)
        }
      }
    }
    return values
  }

  @Test func tilesOf128WithPartialEdgesMatchTheReference() throws {
    let matrix = try FP8BlockScaled(rows: 129, columns: 130)
    #expect(matrix.scaleRows == 2 && matrix.scaleColumns == 2)
    let weights = try Goldens.bytes("tiles.weights")
    let scales = try Goldens.floats("tiles.scales")
    let expected = try Goldens.floats("tiles.floats")
    #expect(mismatches(try decode(matrix, weights, scales), expected).isEmpty)
    let rows = 100..<129
    let slice = Array(expected[(rows.lowerBound * 130)...])
    #expect(mismatches(try decode(matrix, rows: rows, weights, scales), slice).isEmpty)
  }

  @Test(arguments: [(1, 1), (2, 3), (3, 5), (7, 7), (6, 8), (0, 4), (4, 0)])
  func everyWeightTakesTheScaleOfItsTile(rows: Int, columns: Int) throws {
    let matrix = try FP8BlockScaled(rows: rows, columns: columns, tileRows: 3, tileColumns: 4)
    let scales = (0..<(matrix.scaleRows * matrix.scaleColumns)).map { Float($0 + 1) * 0.37 }
    let weights = (0..<(rows * columns)).map { UInt8(truncatingIfNeeded: $0 * 37 + 1) }
    let expected = (0..<(rows * columns)).map { index in
      let tile = index / columns / 3 * ((columns + 3) / 4) + index % columns / 4
      return F8_E4M3.float(weights[index]) * scales[tile]
    }
    #expect(mismatches(try decode(matrix, weights, scales), expected).isEmpty)
  }

  @Test func sizesThatDoNotFitAreRefused() throws {
    let matrix = try FP8BlockScaled(rows: 4, columns: 5, tileRows: 2, tileColumns: 2)
    let weights = [UInt8](repeating: 0, count: 20)
    let scales = [Float](repeating: 1, count: 6)
    #expect(throws: Never.self) { _ = try decode(matrix, weights, scales) }
    #expect(throws: QuantizationError.sizeMismatch(.f8_E4M3, bytes: 19, values: 20)) {
      _ = try decode(matrix, Array(weights.dropLast()), scales)
    }
    #expect(throws: QuantizationError.self) { _ = try decode(matrix, weights, Array(scales.dropLast())) }
    let huge = try FP8BlockScaled(rows: .max, columns: .max)
    #expect(throws: QuantizationError.self) { _ = try decode(huge, rows: 0..<0, weights, scales) }
  }

  @Test(arguments: [(-1, 1, 1, 1), (1, -1, 1, 1), (1, 1, 0, 1), (1, 1, 1, 0), (1, 1, -128, 128)])
  func impossibleTilesAreRefused(rows: Int, columns: Int, tileRows: Int, tileColumns: Int) {
    #expect(
      throws: QuantizationError.invalidTiles(matrix: [rows, columns], tile: [tileRows, tileColumns])
    ) {
      _ = try FP8BlockScaled(rows: rows, columns: columns, tileRows: tileRows, tileColumns: tileColumns)
    }
  }
}
