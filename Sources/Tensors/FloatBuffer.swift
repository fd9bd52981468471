#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// Memory for floats, aligned to a cache line, or to a huge page where it is large; not initialised.
///
/// A buffer is handed from one owner to the next and doesn't lock: `@unchecked Sendable` holds because
/// nobody writes to a buffer that two threads can see, except the thread team, whose tasks write disjoint
/// parts of it between two of its barriers.
package final class FloatBuffer: @unchecked Sendable {
  /// How many floats the buffer holds.
  package let count: Int
  /// The first of them.
  package let base: UnsafeMutablePointer<Float>

  private static let hugePage = 2 << 20

  /// Allocates room for `count` floats, or ends the process if there is none.
  ///
  /// That isn't an error since all of computing would have to throw it, for what hardly happens: a system that promises
  /// more memory than it has ends processes when they use it, and others refuse large requests only. Whoever is about
  /// to ask for much, such as weights or the activations of a long batch, calls `expectMemory` first.
  package init(count: Int) {
    precondition(count >= 0 && count < Int.max / 8, "a buffer's size is checked by whoever asks for it")
    let bytes = max(count, 16) * MemoryLayout<Float>.stride
    let alignment = bytes >= Self.hugePage ? Self.hugePage : 64
    var memory: UnsafeMutableRawPointer?
    guard posix_memalign(&memory, alignment, bytes) == 0, let memory else {
      fatalError("out of memory: \(bytes) bytes for floats")
    }
    #if os(Linux)
      // Weights are read front to back again and again: with small pages the TLB misses show.
      if alignment == Self.hugePage { madvise(memory, bytes, MADV_HUGEPAGE) }
    #endif
    self.count = count
    self.base = memory.bindMemory(to: Float.self, capacity: max(count, 16))
  }

  deinit { free(base) }

  /// Checks that the system gives so much memory, by taking it for a moment without touching it.
  ///
  /// - Throws: `ComputeError.outOfMemory`.
  package static func expectMemory(bytes: Int) throws(ComputeError) {
    // Less comes out of memory that the process has already.
    guard bytes >= hugePage else { return }
    var memory: UnsafeMutableRawPointer?
    guard posix_memalign(&memory, hugePage, bytes) == 0 else { throw .outOfMemory(bytes: bytes) }
    free(memory)
  }
}

/// A matrix of floats whose rows start at multiples of 16 floats, so that kernels may write whole vectors:
/// what lies beyond `columns` in a row is scratch.
package struct Matrix: Sendable {
  /// How many rows are in use.
  package private(set) var rows: Int
  /// How many columns each row has.
  package let columns: Int
  /// Floats from one row to the next.
  package let stride: Int
  private let firstRow: Int
  private let firstColumn: Int
  private let buffer: FloatBuffer

  /// Allocates `[rows, columns]`, not initialised.
  package init(rows: Int, columns: Int) {
    self.rows = rows
    self.columns = columns
    // An odd number of cache lines: rows that lie a power of two apart would share a few sets of the caches, and kernels
    // that write a column of many rows would find none of them there the next time.
    stride = ((columns + 15) / 16 | 1) * 16
    firstRow = 0
    firstColumn = 0
    buffer = FloatBuffer(count: rows * stride)
  }

  private init(
    rows: Int, columns: Int, stride: Int, firstRow: Int, firstColumn: Int, buffer: FloatBuffer
  ) {
    self.rows = rows
    self.columns = columns
    self.stride = stride
    self.firstRow = firstRow
    self.firstColumn = firstColumn
    self.buffer = buffer
  }

  /// The first `count` columns, in the same memory.
  package func firstColumns(_ count: Int) -> Matrix { columns(0..<count) }

  /// Some of the columns, in the same memory; kernels that write whole vectors write beyond them.
  package func columns(_ range: Range<Int>) -> Matrix {
    precondition(range.lowerBound >= 0 && range.upperBound <= columns && !range.isEmpty)
    return Matrix(
      rows: rows, columns: range.count, stride: stride, firstRow: firstRow,
      firstColumn: firstColumn + range.lowerBound, buffer: buffer)
  }

  /// Some of the rows, in the same memory.
  package func rows(_ range: Range<Int>) -> Matrix {
    precondition(range.lowerBound >= 0 && range.upperBound <= rows)
    return Matrix(
      rows: range.count, columns: columns, stride: stride, firstRow: firstRow + range.lowerBound,
      firstColumn: firstColumn, buffer: buffer)
  }

  /// The first element.
  package var base: UnsafeMutablePointer<Float> { row(0) }

  /// The first element of a row.
  package func row(_ index: Int) -> UnsafeMutablePointer<Float> {
    buffer.base + ((firstRow + index) * stride + firstColumn)
  }

  /// Bytes that so many rows take.
  package func byteCount(rows: Int) -> Int { rows * stride * MemoryLayout<Float>.stride }

  /// How many rows the memory has room for.
  package var capacity: Int { buffer.count / stride - firstRow }

  /// Uses the first `count` rows only.
  package mutating func setRows(_ count: Int) {
    precondition(count >= 0 && count <= capacity)
    rows = count
  }
}
