#if arch(x86_64)
  import SalanganeKernelsAVX2
  import SalanganeKernelsAVX512
#endif

/// What the processor can do at most with one instruction set: the measure of all other kernels.
///
/// Each is to be run on every thread at once and timed; the greatest of several rates is the ceiling, since
/// whatever else the machine does can only lower it.
public struct CeilingKernels: Sendable {
  /// Reading of memory (count, bytes): a multiple of 1024 bytes, aligned to 64. Over memory far larger than
  /// the caches it gives the rate of memory. Returns the exclusive or of all 64-bit words.
  public typealias ReadThrough = @Sendable (Int, UnsafeRawPointer) -> UInt64
  /// Multiply-adds in registers (rounds, scratch): `scratchCount` floats below 1 in magnitude, which hold the
  /// sums in the end. Returns how many multiply-adds were done.
  public typealias Peak = @Sendable (Int, UnsafeMutablePointer<Float>) -> Int

  /// Reading of memory.
  public let readThrough: ReadThrough
  /// Multiply-adds of 32-bit floats, each two operations: fused where the set has such an instruction.
  public let peakFloats: Peak
  /// Multiply-adds of 8-bit integers, the one without and the other with a sign, summed in 32 bits: by the
  /// instructions that quantised products use.
  public let peakBytes: Peak

  /// Floats of scratch memory.
  public static let scratchCount = ceilingScratchCount
}

extension KernelTable {
  /// The ceilings of the table's instruction set.
  public var ceilings: CeilingKernels {
    #if arch(x86_64)
      switch instructionSet {
      case .portable: break
      case .avx2:
        return CeilingKernels(
          readThrough: SalanganeKernelsAVX2.readThrough, peakFloats: SalanganeKernelsAVX2.peakFloats,
          peakBytes: SalanganeKernelsAVX2.peakBytes)
      case .avx512:
        return CeilingKernels(
          readThrough: SalanganeKernelsAVX512.readThrough, peakFloats: SalanganeKernelsAVX512.peakFloats,
          peakBytes: SalanganeKernelsAVX512.peakBytes)
      }
    #endif
    return CeilingKernels(
      readThrough: SalanganeKernels.readThrough, peakFloats: SalanganeKernels.peakFloats,
      peakBytes: SalanganeKernels.peakBytes)
  }
}
