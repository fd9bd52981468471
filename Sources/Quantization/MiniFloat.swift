/// Widening of a binary floating-point format of 16 bits or fewer to single precision, by integer operations.
///
/// Without the F16C instructions, which the x86-64 baseline lacks, `Float(Float16)` calls a run-time routine
/// for each value. These few branch-free operations need nothing beyond SSE2, and the compiler turns loops
/// over them into vector code.
///
/// No step yields or consumes a subnormal `Float`, so none of them runs into the processor's slow path, and
/// they hold with subnormals flushed to zero too.
///
/// - Parameters:
///   - magnitude: The bits of the number without its sign, shifted so that the lowest bit of the exponent is
///     bit 23. NaN and infinities are up to the caller.
///   - bias: The exponent bias of the narrow format.
/// - Returns: The bits of the number in single precision.
@inline(__always)
func widenedMagnitude(_ magnitude: UInt32, bias: UInt32) -> UInt32 {
  let normal = magnitude &+ ((127 &- bias) << 23)
  // An exponent of 0 has no implicit leading 1 and the weight of exponent 1: put a 1 there and take it away.
  let one = (128 &- bias) << 23
  let subnormal = (Float(bitPattern: magnitude | one) - Float(bitPattern: one)).bitPattern
  return magnitude < (1 << 23) ? subnormal : normal
}
