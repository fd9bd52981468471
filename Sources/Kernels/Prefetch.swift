#if hasFeature(BuiltinModule)
  import Builtin
#endif

/// Bytes that a product reading weights from memory asks for ahead: what arrives in the time of one access.
@inline(__always) var prefetchDistance: Int { 4096 }

/// Asks for the cache line at an address, which need not be mapped.
///
/// Matrix-vector products wait for memory: on CPUs (or virtual ones) whose own prefetcher stays behind, they reach
/// half of the read rate without this. Swift has no public form; where the compiler lacks the feature nothing is
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
