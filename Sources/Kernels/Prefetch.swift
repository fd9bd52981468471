#if hasFeature(BuiltinModule)
  import Builtin
#endif

/// Bytes that a product reading weights from memory asks for ahead: what arrives in the time of one access.
@inline(__always) var prefetchDistance: Int { 4096 }

/// Asks for the cache line at an address, which need not be mapped.
///
/// Products that read weights from memory wait for it: a core's own prefetcher stops at the end of each page of 4 KB,
/// and where every line costs many instructions the wait at the start of the next one isn't hidden. Without this they
/// reach about half of the read rate. The clang headers have it as a macro, which Swift can't import; the compiler's
/// own intrinsics are behind an experimental feature that released compilers accept. Without the feature nothing is
/// asked for.
@inline(__always) func prefetch(_ address: UnsafeRawPointer) {
  #if hasFeature(BuiltinModule)
    Builtin.int_prefetch_RawPointer(
      address._rawValue, (0 as Int32)._value, (3 as Int32)._value, (1 as Int32)._value)
  #endif
}

/// Asks for the whole cache lines of some bytes.
@inline(__always)
func prefetchLines(_ address: UnsafeRawPointer, _ byteCount: Int) {
  for line in 0..<byteCount / 64 { prefetch(address + (line &* 64)) }
}

/// Asks for the cache lines of some bytes that are needed soon.
@inline(never)
package func prefetchBytes(_ byteCount: Int, _ address: UnsafeRawPointer) {
  prefetchLines(address, byteCount)
}
