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
  if panels == 2 && quantizedTilePanels == 2 { return tilePair(PackedQ4_0.self, rows, groups, tile, a, out) }
  for panel in 0..<panels { tilePanelQ4_0(panel, rows, groups, tile, a, out) }
}

@inline(never)
func tilePanelQ4_0(
  _ panel: Int, _ rows: Int, _ groups: Int, _ tile: UnpackedTile, _ a: QuantizedActivations,
  _ out: ProductOutput
) {
  tilePanel(PackedQ4_0.self, panel, rows, groups, tile, a, out)
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
  if panels == 2 && quantizedTilePanels == 2 { return tilePair(PackedQ4_1.self, rows, groups, tile, a, out) }
  for panel in 0..<panels { tilePanelQ4_1(panel, rows, groups, tile, a, out) }
}

@inline(never)
func tilePanelQ4_1(
  _ panel: Int, _ rows: Int, _ groups: Int, _ tile: UnpackedTile, _ a: QuantizedActivations,
  _ out: ProductOutput
) {
  tilePanel(PackedQ4_1.self, panel, rows, groups, tile, a, out)
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
  if panels == 2 && quantizedTilePanels == 2 { return tilePair(PackedQ5_0.self, rows, groups, tile, a, out) }
  for panel in 0..<panels { tilePanelQ5_0(panel, rows, groups, tile, a, out) }
}

@inline(never)
func tilePanelQ5_0(
  _ panel: Int, _ rows: Int, _ groups: Int, _ tile: UnpackedTile, _ a: QuantizedActivations,
  _ out: ProductOutput
) {
  tilePanel(PackedQ5_0.self, panel, rows, groups, tile, a, out)
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
  if panels == 2 && quantizedTilePanels == 2 { return tilePair(PackedQ5_1.self, rows, groups, tile, a, out) }
  for panel in 0..<panels { tilePanelQ5_1(panel, rows, groups, tile, a, out) }
}

@inline(never)
func tilePanelQ5_1(
  _ panel: Int, _ rows: Int, _ groups: Int, _ tile: UnpackedTile, _ a: QuantizedActivations,
  _ out: ProductOutput
) {
  tilePanel(PackedQ5_1.self, panel, rows, groups, tile, a, out)
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
  if panels == 2 && quantizedTilePanels == 2 { return tilePair(PackedQ8_0.self, rows, groups, tile, a, out) }
  for panel in 0..<panels { tilePanelQ8_0(panel, rows, groups, tile, a, out) }
}

@inline(never)
func tilePanelQ8_0(
  _ panel: Int, _ rows: Int, _ groups: Int, _ tile: UnpackedTile, _ a: QuantizedActivations,
  _ out: ProductOutput
) {
  tilePanel(PackedQ8_0.self, panel, rows, groups, tile, a, out)
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
  if panels == 2 && quantizedTilePanels == 2 { return tilePair(PackedQ2_K.self, rows, groups, tile, a, out) }
  for panel in 0..<panels { tilePanelQ2_K(panel, rows, groups, tile, a, out) }
}

@inline(never)
func tilePanelQ2_K(
  _ panel: Int, _ rows: Int, _ groups: Int, _ tile: UnpackedTile, _ a: QuantizedActivations,
  _ out: ProductOutput
) {
  tilePanel(PackedQ2_K.self, panel, rows, groups, tile, a, out)
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
  if panels == 2 && quantizedTilePanels == 2 { return tilePair(PackedQ3_K.self, rows, groups, tile, a, out) }
  for panel in 0..<panels { tilePanelQ3_K(panel, rows, groups, tile, a, out) }
}

@inline(never)
func tilePanelQ3_K(
  _ panel: Int, _ rows: Int, _ groups: Int, _ tile: UnpackedTile, _ a: QuantizedActivations,
  _ out: ProductOutput
) {
  tilePanel(PackedQ3_K.self, panel, rows, groups, tile, a, out)
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
  if panels == 2 && quantizedTilePanels == 2 { return tilePair(PackedQ4_K.self, rows, groups, tile, a, out) }
  for panel in 0..<panels { tilePanelQ4_K(panel, rows, groups, tile, a, out) }
}

@inline(never)
func tilePanelQ4_K(
  _ panel: Int, _ rows: Int, _ groups: Int, _ tile: UnpackedTile, _ a: QuantizedActivations,
  _ out: ProductOutput
) {
  tilePanel(PackedQ4_K.self, panel, rows, groups, tile, a, out)
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
  if panels == 2 && quantizedTilePanels == 2 { return tilePair(PackedQ5_K.self, rows, groups, tile, a, out) }
  for panel in 0..<panels { tilePanelQ5_K(panel, rows, groups, tile, a, out) }
}

@inline(never)
func tilePanelQ5_K(
  _ panel: Int, _ rows: Int, _ groups: Int, _ tile: UnpackedTile, _ a: QuantizedActivations,
  _ out: ProductOutput
) {
  tilePanel(PackedQ5_K.self, panel, rows, groups, tile, a, out)
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
  if panels == 2 && quantizedTilePanels == 2 { return tilePair(PackedQ6_K.self, rows, groups, tile, a, out) }
  for panel in 0..<panels { tilePanelQ6_K(panel, rows, groups, tile, a, out) }
}

@inline(never)
func tilePanelQ6_K(
  _ panel: Int, _ rows: Int, _ groups: Int, _ tile: UnpackedTile, _ a: QuantizedActivations,
  _ out: ProductOutput
) {
  tilePanel(PackedQ6_K.self, panel, rows, groups, tile, a, out)
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
  if panels == 2 && quantizedTilePanels == 2 {
    return tilePair(PackedIQ4_NL.self, rows, groups, tile, a, out)
  }
  for panel in 0..<panels { tilePanelIQ4_NL(panel, rows, groups, tile, a, out) }
}

@inline(never)
func tilePanelIQ4_NL(
  _ panel: Int, _ rows: Int, _ groups: Int, _ tile: UnpackedTile, _ a: QuantizedActivations,
  _ out: ProductOutput
) {
  tilePanel(PackedIQ4_NL.self, panel, rows, groups, tile, a, out)
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
  if panels == 2 && quantizedTilePanels == 2 {
    return tilePair(PackedIQ4_XS.self, rows, groups, tile, a, out)
  }
  for panel in 0..<panels { tilePanelIQ4_XS(panel, rows, groups, tile, a, out) }
}

@inline(never)
func tilePanelIQ4_XS(
  _ panel: Int, _ rows: Int, _ groups: Int, _ tile: UnpackedTile, _ a: QuantizedActivations,
  _ out: ProductOutput
) {
  tilePanel(PackedIQ4_XS.self, panel, rows, groups, tile, a, out)
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
  if panels == 2 && quantizedTilePanels == 2 { return tilePair(PackedMXFP4.self, rows, groups, tile, a, out) }
  for panel in 0..<panels { tilePanelMXFP4(panel, rows, groups, tile, a, out) }
}

@inline(never)
func tilePanelMXFP4(
  _ panel: Int, _ rows: Int, _ groups: Int, _ tile: UnpackedTile, _ a: QuantizedActivations,
  _ out: ProductOutput
) {
  tilePanel(PackedMXFP4.self, panel, rows, groups, tile, a, out)
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
  if panels == 2 && quantizedTilePanels == 2 { return tilePair(PackedInt8.self, rows, groups, tile, a, out) }
  for panel in 0..<panels { tilePanelInt8(panel, rows, groups, tile, a, out) }
}

@inline(never)
func tilePanelInt8(
  _ panel: Int, _ rows: Int, _ groups: Int, _ tile: UnpackedTile, _ a: QuantizedActivations,
  _ out: ProductOutput
) {
  tilePanel(PackedInt8.self, panel, rows, groups, tile, a, out)
}
