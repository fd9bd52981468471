/// Writes a matrix of float32 as NumPy does (`numpy.lib.format`, version 1.0, C order).
struct NumPyWriter {
  /// Values of a row.
  let columns: Int
  /// How many rows there are, or have come so far.
  private(set) var rows: Int
  /// True if rows are kept until their number is known: it stands in front of them.
  let isBuffered: Bool
  /// The rows that are kept, little-endian.
  private(set) var buffer: [UInt8] = []

  /// Prepares a matrix; `rows` is nil as long as their number isn't known.
  init(columns: Int, rows: Int?) {
    self.columns = columns
    self.rows = rows ?? 0
    isBuffered = rows == nil
  }

  /// The bytes of the next row to write now.
  mutating func append(_ row: some Sequence<Float>) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(columns * 4)
    for value in row {
      let bits = value.bitPattern.littleEndian
      withUnsafeBytes(of: bits) { bytes.append(contentsOf: $0) }
    }
    guard isBuffered else { return bytes }
    buffer.append(contentsOf: bytes)
    rows += 1
    return []
  }

  /// What stands in front of the rows, a multiple of 64 bytes.
  var header: [UInt8] {
    var text = "{'descr': '<f4', 'fortran_order': False, 'shape': (\(rows), \(columns)), }"
    text += String(repeating: " ", count: 63 - (10 + text.utf8.count) % 64) + "\n"
    let length = UInt16(text.utf8.count)
    return [0x93] + Array("NUMPY".utf8) + [1, 0, UInt8(length & 0xFF), UInt8(length >> 8)] + Array(text.utf8)
  }
}
