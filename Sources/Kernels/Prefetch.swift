#if hasFeature(BuiltinModule)
  import Builtin
#endif

/// Asks for the cache line at an address, which needs not be valid, without waiting for it.
///
/// The clang headers have this as a macro, which Swift can't import; the compiler's own intrinsics are behind an
/// experimental feature that released compilers accept. Without the feature this does nothing.
///
/// What makes it worth that: a core's own prefetcher stops at the end of each page of 4 KB, and the wait at
/// the start of the next one isn't hidden when every line costs many instructions.
@inline(__always) func prefetch(_ address: UnsafeRawPointer) {
  #if hasFeature(BuiltinModule)
    let isWrite: Int32 = 0
    let locality: Int32 = 3
    let isData: Int32 = 1
    Builtin.int_prefetch_RawPointer(address._rawValue, isWrite._value, locality._value, isData._value)
  #endif
}
