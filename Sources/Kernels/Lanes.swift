// The primitives that differ between instruction sets. `Matmul.swift`, `Elementwise.swift` and
// others are written once on top of them: the same files stand, as links, in the AVX2 and
// AVX-512 targets, where they are compiled with that target's flags beside that target's own
// `Lanes.swift`.
//
// This one is the portable set: whatever the compiler makes of 16 lanes on the baseline CPU (SSE2 on
// x86-64, NEON on arm64).

/// Sixteen floats, one vector step of every kernel on every instruction set.
package typealias Lanes = SIMD16<Float>

/// Rows of the largest tile of one panel of 16 output columns that `matmulPanels` holds in registers.
@inline(__always) var rowsOfOnePanel: Int { 3 }

/// The same for tiles of two panels.
@inline(__always) var rowsOfTwoPanels: Int { 1 }

/// The same for tiles of four panels.
@inline(__always) var rowsOfFourPanels: Int { 1 }

/// The product of the first two, plus the third.
///
/// On x86-64 without FMA a fused product would be a library call for every lane, so the portable set rounds
/// twice there.
@inline(__always) func multiplyAdd(_ a: Lanes, _ b: Lanes, _ c: Lanes) -> Lanes {
  #if arch(arm64)
    c.addingProduct(a, b)
  #else
    a * b + c
  #endif
}
