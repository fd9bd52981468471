/// Transposes a block of rows so that the values of one depth step stand side by side:
/// `packed[k * width + row] = source[row * rowStride + k]`, rows beyond `rows` filled with zero.
///
/// - Parameters:
///   - rows: How many rows, at most `width`.
///   - width: The rows of a packed step, a multiple of 4.
///   - depth: How many values of each row.
@inline(never)
package func packRows(
  _ rows: Int, _ width: Int, _ depth: Int,
  _ source: UnsafePointer<Float>, _ rowStride: Int, _ packed: UnsafeMutablePointer<Float>
) {
  packBlocks(rows, width, depth, source, rowStride, packed)
}

/// `packRows` for 16-bit values of any meaning.
@inline(never)
package func packHalfRows(
  _ rows: Int, _ width: Int, _ depth: Int,
  _ source: UnsafePointer<UInt16>, _ rowStride: Int, _ packed: UnsafeMutablePointer<UInt16>
) {
  packBlocks(rows, width, depth, source, rowStride, packed)
}

@inline(__always)
func packBlocks<Value: SIMDScalar & ExpressibleByIntegerLiteral>(
  _ rows: Int, _ width: Int, _ depth: Int,
  _ source: UnsafePointer<Value>, _ rowStride: Int, _ packed: UnsafeMutablePointer<Value>
) {
  let size = MemoryLayout<Value>.size
  var row = 0
  // Blocks of 4 x 4 keep the transposition in registers.
  while row &+ 4 <= rows {
    let r0 = UnsafeRawPointer(source + (row &* rowStride))
    let r1 = UnsafeRawPointer(source + ((row &+ 1) &* rowStride))
    let r2 = UnsafeRawPointer(source + ((row &+ 2) &* rowStride))
    let r3 = UnsafeRawPointer(source + ((row &+ 3) &* rowStride))
    let out = packed + row
    var k = 0
    while k &+ 4 <= depth {
      let x0 = r0.loadUnaligned(fromByteOffset: k &* size, as: SIMD4<Value>.self)
      let x1 = r1.loadUnaligned(fromByteOffset: k &* size, as: SIMD4<Value>.self)
      let x2 = r2.loadUnaligned(fromByteOffset: k &* size, as: SIMD4<Value>.self)
      let x3 = r3.loadUnaligned(fromByteOffset: k &* size, as: SIMD4<Value>.self)
      let y0 = SIMD4<Value>(x0[0], x1[0], x2[0], x3[0])
      let y1 = SIMD4<Value>(x0[1], x1[1], x2[1], x3[1])
      let y2 = SIMD4<Value>(x0[2], x1[2], x2[2], x3[2])
      let y3 = SIMD4<Value>(x0[3], x1[3], x2[3], x3[3])
      UnsafeMutableRawPointer(out + (k &* width)).storeBytes(of: y0, as: SIMD4<Value>.self)
      UnsafeMutableRawPointer(out + ((k &+ 1) &* width)).storeBytes(of: y1, as: SIMD4<Value>.self)
      UnsafeMutableRawPointer(out + ((k &+ 2) &* width)).storeBytes(of: y2, as: SIMD4<Value>.self)
      UnsafeMutableRawPointer(out + ((k &+ 3) &* width)).storeBytes(of: y3, as: SIMD4<Value>.self)
      k = k &+ 4
    }
    while k < depth {
      for r in 0..<4 { out[(k &* width) &+ r] = source[((row &+ r) &* rowStride) &+ k] }
      k = k &+ 1
    }
    row = row &+ 4
  }
  while row < rows {
    let line = source + (row &* rowStride)
    for k in 0..<depth { packed[(k &* width) &+ row] = line[k] }
    row = row &+ 1
  }
  while row < width {
    for k in 0..<depth { packed[(k &* width) &+ row] = 0 }
    row = row &+ 1
  }
}
