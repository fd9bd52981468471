import SalanganeKernelOperands

// The concrete kernels of each packed format. Generic code must be inlined whole into functions like these: a
// specialisation that stays a function of its own would come out as a weak symbol.

@inline(never)
package func vectorQ4_0(
  _ rows: Int, _ panels: Int, _ groups: Int, _ weights: UnsafeRawPointer, _ panelStride: Int,
  _ a: QuantizedActivations, _ out: ProductOutput
) {
  quantizedVector(PackedQ4_0.self, rows, panels, groups, weights, panelStride, a, out)
}

@inline(never)
package func unpackQ4_0(_ groups: Int, _ weights: UnsafeRawPointer, _ tile: UnpackedTile) {
  unpackTile(PackedQ4_0.self, groups, weights, tile)
}

@inline(never)
package func tileQ4_0(
  _ rows: Int, _ panels: Int, _ groups: Int, _ tile: UnpackedTile, _ a: QuantizedActivations,
  _ out: ProductOutput
) {
  quantizedTile(PackedQ4_0.self, rows, panels, groups, tile, a, out)
}

@inline(never)
package func vectorQ4_1(
  _ rows: Int, _ panels: Int, _ groups: Int, _ weights: UnsafeRawPointer, _ panelStride: Int,
  _ a: QuantizedActivations, _ out: ProductOutput
) {
  quantizedVector(PackedQ4_1.self, rows, panels, groups, weights, panelStride, a, out)
}

@inline(never)
package func unpackQ4_1(_ groups: Int, _ weights: UnsafeRawPointer, _ tile: UnpackedTile) {
  unpackTile(PackedQ4_1.self, groups, weights, tile)
}

@inline(never)
package func tileQ4_1(
  _ rows: Int, _ panels: Int, _ groups: Int, _ tile: UnpackedTile, _ a: QuantizedActivations,
  _ out: ProductOutput
) {
  quantizedTile(PackedQ4_1.self, rows, panels, groups, tile, a, out)
}

@inline(never)
package func vectorQ5_0(
  _ rows: Int, _ panels: Int, _ groups: Int, _ weights: UnsafeRawPointer, _ panelStride: Int,
  _ a: QuantizedActivations, _ out: ProductOutput
) {
  quantizedVector(PackedQ5_0.self, rows, panels, groups, weights, panelStride, a, out)
}

@inline(never)
package func unpackQ5_0(_ groups: Int, _ weights: UnsafeRawPointer, _ tile: UnpackedTile) {
  unpackTile(PackedQ5_0.self, groups, weights, tile)
}

@inline(never)
package func tileQ5_0(
  _ rows: Int, _ panels: Int, _ groups: Int, _ tile: UnpackedTile, _ a: QuantizedActivations,
  _ out: ProductOutput
) {
  quantizedTile(PackedQ5_0.self, rows, panels, groups, tile, a, out)
}

@inline(never)
package func vectorQ5_1(
  _ rows: Int, _ panels: Int, _ groups: Int, _ weights: UnsafeRawPointer, _ panelStride: Int,
  _ a: QuantizedActivations, _ out: ProductOutput
) {
  quantizedVector(PackedQ5_1.self, rows, panels, groups, weights, panelStride, a, out)
}

@inline(never)
package func unpackQ5_1(_ groups: Int, _ weights: UnsafeRawPointer, _ tile: UnpackedTile) {
  unpackTile(PackedQ5_1.self, groups, weights, tile)
}

@inline(never)
package func tileQ5_1(
  _ rows: Int, _ panels: Int, _ groups: Int, _ tile: UnpackedTile, _ a: QuantizedActivations,
  _ out: ProductOutput
) {
  quantizedTile(PackedQ5_1.self, rows, panels, groups, tile, a, out)
}

@inline(never)
package func vectorQ8_0(
  _ rows: Int, _ panels: Int, _ groups: Int, _ weights: UnsafeRawPointer, _ panelStride: Int,
  _ a: QuantizedActivations, _ out: ProductOutput
) {
  quantizedVector(PackedQ8_0.self, rows, panels, groups, weights, panelStride, a, out)
}

@inline(never)
package func unpackQ8_0(_ groups: Int, _ weights: UnsafeRawPointer, _ tile: UnpackedTile) {
  unpackTile(PackedQ8_0.self, groups, weights, tile)
}

@inline(never)
package func tileQ8_0(
  _ rows: Int, _ panels: Int, _ groups: Int, _ tile: UnpackedTile, _ a: QuantizedActivations,
  _ out: ProductOutput
) {
  quantizedTile(PackedQ8_0.self, rows, panels, groups, tile, a, out)
}

@inline(never)
package func vectorQ2_K(
  _ rows: Int, _ panels: Int, _ groups: Int, _ weights: UnsafeRawPointer, _ panelStride: Int,
  _ a: QuantizedActivations, _ out: ProductOutput
) {
  quantizedVector(PackedQ2_K.self, rows, panels, groups, weights, panelStride, a, out)
}

@inline(never)
package func unpackQ2_K(_ groups: Int, _ weights: UnsafeRawPointer, _ tile: UnpackedTile) {
  unpackTile(PackedQ2_K.self, groups, weights, tile)
}

@inline(never)
package func tileQ2_K(
  _ rows: Int, _ panels: Int, _ groups: Int, _ tile: UnpackedTile, _ a: QuantizedActivations,
  _ out: ProductOutput
) {
  quantizedTile(PackedQ2_K.self, rows, panels, groups, tile, a, out)
}

@inline(never)
package func vectorQ3_K(
  _ rows: Int, _ panels: Int, _ groups: Int, _ weights: UnsafeRawPointer, _ panelStride: Int,
  _ a: QuantizedActivations, _ out: ProductOutput
) {
  quantizedVector(PackedQ3_K.self, rows, panels, groups, weights, panelStride, a, out)
}

@inline(never)
package func unpackQ3_K(_ groups: Int, _ weights: UnsafeRawPointer, _ tile: UnpackedTile) {
  unpackTile(PackedQ3_K.self, groups, weights, tile)
}

@inline(never)
package func tileQ3_K(
  _ rows: Int, _ panels: Int, _ groups: Int, _ tile: UnpackedTile, _ a: QuantizedActivations,
  _ out: ProductOutput
) {
  quantizedTile(PackedQ3_K.self, rows, panels, groups, tile, a, out)
}

@inline(never)
package func vectorQ4_K(
  _ rows: Int, _ panels: Int, _ groups: Int, _ weights: UnsafeRawPointer, _ panelStride: Int,
  _ a: QuantizedActivations, _ out: ProductOutput
) {
  quantizedVector(PackedQ4_K.self, rows, panels, groups, weights, panelStride, a, out)
}

@inline(never)
package func unpackQ4_K(_ groups: Int, _ weights: UnsafeRawPointer, _ tile: UnpackedTile) {
  unpackTile(PackedQ4_K.self, groups, weights, tile)
}

@inline(never)
package func tileQ4_K(
  _ rows: Int, _ panels: Int, _ groups: Int, _ tile: UnpackedTile, _ a: QuantizedActivations,
  _ out: ProductOutput
) {
  quantizedTile(PackedQ4_K.self, rows, panels, groups, tile, a, out)
}

@inline(never)
package func vectorQ5_K(
  _ rows: Int, _ panels: Int, _ groups: Int, _ weights: UnsafeRawPointer, _ panelStride: Int,
  _ a: QuantizedActivations, _ out: ProductOutput
) {
  quantizedVector(PackedQ5_K.self, rows, panels, groups, weights, panelStride, a, out)
}

@inline(never)
package func unpackQ5_K(_ groups: Int, _ weights: UnsafeRawPointer, _ tile: UnpackedTile) {
  unpackTile(PackedQ5_K.self, groups, weights, tile)
}

@inline(never)
package func tileQ5_K(
  _ rows: Int, _ panels: Int, _ groups: Int, _ tile: UnpackedTile, _ a: QuantizedActivations,
  _ out: ProductOutput
) {
  quantizedTile(PackedQ5_K.self, rows, panels, groups, tile, a, out)
}

@inline(never)
package func vectorQ6_K(
  _ rows: Int, _ panels: Int, _ groups: Int, _ weights: UnsafeRawPointer, _ panelStride: Int,
  _ a: QuantizedActivations, _ out: ProductOutput
) {
  quantizedVector(PackedQ6_K.self, rows, panels, groups, weights, panelStride, a, out)
}

@inline(never)
package func unpackQ6_K(_ groups: Int, _ weights: UnsafeRawPointer, _ tile: UnpackedTile) {
  unpackTile(PackedQ6_K.self, groups, weights, tile)
}

@inline(never)
package func tileQ6_K(
  _ rows: Int, _ panels: Int, _ groups: Int, _ tile: UnpackedTile, _ a: QuantizedActivations,
  _ out: ProductOutput
) {
  quantizedTile(PackedQ6_K.self, rows, panels, groups, tile, a, out)
}

@inline(never)
package func vectorIQ4_NL(
  _ rows: Int, _ panels: Int, _ groups: Int, _ weights: UnsafeRawPointer, _ panelStride: Int,
  _ a: QuantizedActivations, _ out: ProductOutput
) {
  quantizedVector(PackedIQ4_NL.self, rows, panels, groups, weights, panelStride, a, out)
}

@inline(never)
package func unpackIQ4_NL(_ groups: Int, _ weights: UnsafeRawPointer, _ tile: UnpackedTile) {
  unpackTile(PackedIQ4_NL.self, groups, weights, tile)
}

@inline(never)
package func tileIQ4_NL(
  _ rows: Int, _ panels: Int, _ groups: Int, _ tile: UnpackedTile, _ a: QuantizedActivations,
  _ out: ProductOutput
) {
  quantizedTile(PackedIQ4_NL.self, rows, panels, groups, tile, a, out)
}

@inline(never)
package func vectorIQ4_XS(
  _ rows: Int, _ panels: Int, _ groups: Int, _ weights: UnsafeRawPointer, _ panelStride: Int,
  _ a: QuantizedActivations, _ out: ProductOutput
) {
  quantizedVector(PackedIQ4_XS.self, rows, panels, groups, weights, panelStride, a, out)
}

@inline(never)
package func unpackIQ4_XS(_ groups: Int, _ weights: UnsafeRawPointer, _ tile: UnpackedTile) {
  unpackTile(PackedIQ4_XS.self, groups, weights, tile)
}

@inline(never)
package func tileIQ4_XS(
  _ rows: Int, _ panels: Int, _ groups: Int, _ tile: UnpackedTile, _ a: QuantizedActivations,
  _ out: ProductOutput
) {
  quantizedTile(PackedIQ4_XS.self, rows, panels, groups, tile, a, out)
}

@inline(never)
package func vectorMXFP4(
  _ rows: Int, _ panels: Int, _ groups: Int, _ weights: UnsafeRawPointer, _ panelStride: Int,
  _ a: QuantizedActivations, _ out: ProductOutput
) {
  quantizedVector(PackedMXFP4.self, rows, panels, groups, weights, panelStride, a, out)
}

@inline(never)
package func unpackMXFP4(_ groups: Int, _ weights: UnsafeRawPointer, _ tile: UnpackedTile) {
  unpackTile(PackedMXFP4.self, groups, weights, tile)
}

@inline(never)
package func tileMXFP4(
  _ rows: Int, _ panels: Int, _ groups: Int, _ tile: UnpackedTile, _ a: QuantizedActivations,
  _ out: ProductOutput
) {
  quantizedTile(PackedMXFP4.self, rows, panels, groups, tile, a, out)
}

@inline(never)
package func vectorInt8(
  _ rows: Int, _ panels: Int, _ groups: Int, _ weights: UnsafeRawPointer, _ panelStride: Int,
  _ a: QuantizedActivations, _ out: ProductOutput
) {
  quantizedVector(PackedInt8.self, rows, panels, groups, weights, panelStride, a, out)
}

@inline(never)
package func unpackInt8(_ groups: Int, _ weights: UnsafeRawPointer, _ tile: UnpackedTile) {
  unpackTile(PackedInt8.self, groups, weights, tile)
}

@inline(never)
package func tileInt8(
  _ rows: Int, _ panels: Int, _ groups: Int, _ tile: UnpackedTile, _ a: QuantizedActivations,
  _ out: ProductOutput
) {
  quantizedTile(PackedInt8.self, rows, panels, groups, tile, a, out)
}
