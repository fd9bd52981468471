#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// The memory of one block of a key-value cache: `KVCache.blockLength` positions of all layers.
///
/// What the bytes mean is the cache's affair. `@unchecked Sendable`: a cache writes only to blocks that nobody else
/// holds, so that a block that is shared never changes.
package final class KVBlock: @unchecked Sendable {
  /// How many bytes the block has.
  package let byteCount: Int
  let base: UnsafeMutableRawPointer

  /// Allocates a block whose bytes are all 0.
  ///
  /// - Throws: `KVCacheError.outOfMemory`.
  package convenience init(byteCount: Int) throws(KVCacheError) {
    try self.init(uninitialized: byteCount)
    // Vectors are read whole: what lies behind the last position must be numbers.
    memset(base, 0, byteCount)
  }

  /// Allocates a block and has its bytes written, once and for all.
  ///
  /// - Parameter body: Writes all bytes.
  /// - Throws: `KVCacheError.outOfMemory`, or what `body` throws.
  package convenience init(
    byteCount: Int, _ body: (UnsafeMutableRawBufferPointer) throws -> Void
  ) throws {
    try self.init(byteCount: byteCount)
    try body(UnsafeMutableRawBufferPointer(start: base, count: byteCount))
  }

  private init(uninitialized byteCount: Int) throws(KVCacheError) {
    precondition(byteCount > 0)
    var memory: UnsafeMutableRawPointer?
    let alignment = byteCount >= 2 << 20 ? 2 << 20 : 64
    guard posix_memalign(&memory, alignment, byteCount) == 0, let memory else {
      throw .outOfMemory(bytes: byteCount)
    }
    #if os(Linux)
      // In pages of the usual size, reading a long cache is a good deal slower than memory.
      if alignment == 2 << 20 { madvise(memory, byteCount, MADV_HUGEPAGE) }
    #endif
    self.byteCount = byteCount
    base = memory
  }

  deinit { free(base) }

  /// A block with the same bytes.
  func copy() throws(KVCacheError) -> KVBlock {
    let copy = try KVBlock(uninitialized: byteCount)
    memcpy(copy.base, base, byteCount)
    return copy
  }

  /// Calls `body` with the bytes.
  package func withUnsafeBytes<Result, Failure: Error>(
    _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    defer { withExtendedLifetime(self) {} }
    return try body(UnsafeRawBufferPointer(start: base, count: byteCount))
  }
}
