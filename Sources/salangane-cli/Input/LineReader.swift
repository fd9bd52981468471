import SalanganeFiles

/// The lines of a file, one at a time, in memory that depends on the longest line only.
///
/// A line ends with LF or CR LF, the last one also with the file. A byte order mark at the beginning is
/// dropped.
struct LineReader {
  /// The file that is read.
  let file: InputFile
  /// The number of the line that was handed out last, counted from 1.
  private(set) var lineNumber = 0

  /// How many bytes of the file the lines that were handed out took.
  private(set) var consumed = 0

  private var buffer: [UInt8] = []
  /// The first byte of the buffer that wasn't handed out.
  private var start = 0
  /// Bytes before this one hold no line end.
  private var searched = 0
  private var isAtEnd = false

  private static let longestLine = 64 << 20

  /// Reads the lines of `file`.
  init(_ file: InputFile) { self.file = file }

  /// The next line without its end; nil after the last.
  ///
  /// - Throws: `ModelFileError`: `unreadable`, or `malformed` for a line above 64 MiB.
  mutating func next() throws(ModelFileError) -> [UInt8]? {
    while true {
      if let end = buffer[searched...].firstIndex(of: UInt8(ascii: "\n")) {
        return take(upTo: end, continuingAt: end + 1)
      }
      searched = buffer.count
      if isAtEnd {
        return start < buffer.count ? take(upTo: buffer.count, continuingAt: buffer.count) : nil
      }
      guard buffer.count - start <= Self.longestLine else {
        throw ModelFileError(
          .malformed, file: file.name, subject: "line \(lineNumber + 1)",
          expectation: "expected lines of at most \(Self.longestLine >> 20) MiB")
      }
      buffer.removeSubrange(..<start)
      searched -= start
      start = 0
      isAtEnd = try !file.read(into: &buffer)
    }
  }

  private mutating func take(upTo end: Int, continuingAt next: Int) -> [UInt8] {
    var line = buffer[start..<end]
    if line.last == UInt8(ascii: "\r") { line.removeLast() }
    if lineNumber == 0, line.starts(with: [0xEF, 0xBB, 0xBF]) { line.removeFirst(3) }
    consumed += next - start
    start = next
    searched = next
    lineNumber += 1
    return Array(line)
  }
}
