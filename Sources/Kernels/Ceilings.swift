// What a processor can do at most, measured by the simplest code that can do it: no data to fetch but what is
// measured, no result to keep but what proves that the work was done. `CeilingLanes.swift`, one an instruction
// set, says how many chains of sums it takes to keep the units busy.

/// Floats of scratch memory that the ceilings need.
@inline(__always) package var ceilingScratchCount: Int { 2048 }

/// Reads memory from front to back.
///
/// - Parameters:
///   - count: Bytes, a multiple of 1024.
///   - bytes: The memory, aligned to 64 bytes.
/// - Returns: The exclusive or of all 64-bit words: the compiler can't leave a word out.
@inline(never)
package func readThrough(_ count: Int, _ bytes: UnsafeRawPointer) -> UInt64 {
  var parts = InlineArray<16, SIMD16<UInt32>>(repeating: SIMD16())
  var offset = 0
  while offset < count {
    let line = bytes + offset
    for part in 0..<readChains {
      var loaded = SIMD16<UInt32>()
      loaded = (line + (part &* 64)).load(as: SIMD16<UInt32>.self)
      parts[unchecked: part] ^= loaded
    }
    offset = offset &+ (readChains &* 64)
  }
  var words = SIMD16<UInt32>()
  for part in 0..<readChains { words ^= parts[unchecked: part] }
  let halves = unsafeBitCast(words, to: SIMD8<UInt64>.self)
  var result: UInt64 = 0
  for lane in 0..<8 { result ^= halves[lane] }
  return result
}

/// Multiply-adds of floats in registers, in chains that don't wait for each other.
///
/// - Parameters:
///   - rounds: How often all chains go one step on.
///   - scratch: `ceilingScratchCount` floats, below 1 in magnitude; holds the sums in the end.
/// - Returns: How many multiply-adds were done.
@inline(never)
package func peakFloats(_ rounds: Int, _ scratch: UnsafeMutablePointer<Float>) -> Int {
  var sums = InlineArray<16, Lanes>(repeating: Lanes())
  for chain in 0..<floatChains { sums[unchecked: chain] = load(scratch + (chain &* 16)) }
  // The sums go to a fixed point and stay there, far from overflow and from subnormal numbers. That the running
  // sum is a factor keeps the compiler from multiplying once for all.
  let factor = Lanes(repeating: 0.5)
  let addend = Lanes(repeating: 0.25)
  for _ in 0..<rounds {
    for chain in 0..<floatChains {
      sums[unchecked: chain] = multiplyAdd(sums[unchecked: chain], factor, addend)
    }
  }
  for chain in 0..<floatChains { store(sums[unchecked: chain], scratch + (chain &* 16)) }
  return rounds &* floatChains &* 16
}

/// Multiply-adds of bytes without a sign and signed ones, summed in 32 bits, in chains that don't wait for each
/// other: as in a product, one vector of weights meets several of activations, which stay in registers.
///
/// - Parameters:
///   - rounds: How often all chains go `ceilingSteps` steps on.
///   - scratch: `ceilingScratchCount` floats, whose bits don't matter; holds the sums in the end.
/// - Returns: How many multiply-adds were done.
@inline(never)
package func peakBytes(_ rounds: Int, _ scratch: UnsafeMutablePointer<Float>) -> Int {
  let memory = UnsafeMutableRawPointer(scratch)
  var sums = InlineArray<16, ByteSums>(repeating: ByteSums())
  var rows = InlineArray<16, ByteOperand>(repeating: ByteOperand())
  let operand = MemoryLayout<ByteOperand>.size
  for chain in 0..<byteChains {
    rows[unchecked: chain] = (memory + (chain &* operand)).loadUnaligned(as: ByteOperand.self)
  }
  let weights = memory + 4096
  for _ in 0..<rounds {
    for step in 0..<ceilingSteps {
      let weight = (weights + (step &* operand)).loadUnaligned(as: ByteOperand.self)
      for chain in 0..<byteChains {
        sums[unchecked: chain] = multiplyAddBytes(sums[unchecked: chain], weight, rows[unchecked: chain])
      }
    }
  }
  let size = MemoryLayout<ByteSums>.size
  for chain in 0..<byteChains {
    (memory + (chain &* size)).storeBytes(of: sums[unchecked: chain], as: ByteSums.self)
  }
  return rounds &* ceilingSteps &* byteChains &* byteProducts
}

/// Vectors of weights that a round reads: they lie in the first-level cache.
@inline(__always) private var ceilingSteps: Int { 16 }
