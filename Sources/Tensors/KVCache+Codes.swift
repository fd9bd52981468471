import SalanganeKernels

// Keys and values of 8 bits (`KVCache.ElementType.q8`), stored as attention on integers takes them.
//
// A head's keys lie in panels of 16 positions as an unpacked tile of Q8_0 does, with a scale for 32 features; its
// values four positions a word, with a scale a position. Latents lie as keys do, with two scales a position: one for the
// features that are values, one for the others. Where the former aren't whole groups, both are the same.

extension KVCache.LayerShape {
  /// Groups of 32 features of a key.
  var keyGroups: Int { (keyDimension + 31) / 32 }

  /// Panels of 16 features of a value.
  var valuePanels: Int { (valueDimension + 15) / 16 }

  /// Bytes that the keys of a head take in a block, besides the values.
  func keyBytes(_ type: KVCache.ElementType) -> Int {
    guard !isLatent else { return 0 }
    return switch type {
    case .f32: KVCache.blockLength * keyDimension * 4
    case .f16: KVCache.blockLength * keyDimension * 2
    case .q8: KVCache.blockLength * keyGroups * 36
    }
  }

  /// Bytes that a head takes in a block.
  func headBytes(_ type: KVCache.ElementType) -> Int {
    let values =
      switch type {
      case .f32: valueStride * 4
      case .f16: valueStride * 2
      case .q8: isLatent ? keyGroups * 32 + 8 : valuePanels * 16 + 4
      }
    return keyBytes(type) + KVCache.blockLength * values
  }

  /// Bytes that are kept of a position.
  package func bytesPerPosition(_ type: KVCache.ElementType) -> Int {
    heads * headBytes(type) / KVCache.blockLength
  }
}

/// The keys and values of a head in a block, as codes.
struct CodedHead {
  let shape: KVCache.LayerShape
  let keys: UnsafeMutableRawPointer
  let values: UnsafeMutableRawPointer

  /// The codes of a panel of 16 positions.
  func keyCodes(panel: Int) -> UnsafeMutableRawPointer { keys + panel * shape.keyGroups * 512 }

  /// `[groups][16]`.
  func keyScales(panel: Int) -> UnsafeMutablePointer<Float> {
    (keys + KVCache.blockLength * shape.keyGroups * 32).assumingMemoryBound(to: Float.self)
      + panel * shape.keyGroups * 16
  }

  /// A scale for each position.
  var valueScales: UnsafeMutablePointer<Float> {
    (values + KVCache.blockLength * shape.valuePanels * 16).assumingMemoryBound(to: Float.self)
  }

  /// Stores a key and a value.
  ///
  /// - Parameter scratch: Room for `KVCache.storeScratchCount` floats.
  func store(
    row: Int, key: UnsafePointer<Float>, value: UnsafePointer<Float>,
    scratch: UnsafeMutablePointer<Float>, kernels: KernelTable
  ) {
    let groups = shape.keyGroups
    copy(key, shape.keyDimension, to: scratch, paddedTo: groups * 32)
    // Side by side with the other positions of the panel, as activations of as many rows are.
    let codes = keyCodes(panel: row / 16).assumingMemoryBound(to: UInt32.self) + row % 16
    let sums = UnsafeMutableRawPointer(scratch + groups * 32).assumingMemoryBound(to: Int32.self)
    let scales = keyScales(panel: row / 16) + row % 16
    kernels.quantizeActivations(1, groups, scratch, 0, 16, codes, scales, sums)
    for group in 0..<groups { scales[group * 16] = keyScale(scales[group * 16]) }
    if kernels.quantized(.q8_0).bias != 0 {
      for word in 0..<8 * groups { codes[word * 16] ^= 0x8080_8080 }
    }
    let panels = shape.valuePanels
    copy(value, shape.valueDimension, to: scratch, paddedTo: panels * 16)
    let bytes = UnsafeMutableRawPointer(scratch + panels * 16)
    valueScales[row] = kernels.integerRow(panels, scratch, bytes)
    for panel in 0..<panels {
      let column = values + (panel * KVCache.blockLength * 16 + row / 4 * 64 + row % 4)
      for feature in 0..<16 {
        column.storeBytes(
          of: bytes.load(fromByteOffset: panel * 16 + feature, as: UInt8.self), toByteOffset: feature * 4,
          as: UInt8.self)
      }
    }
  }
}

/// Latents in a block, as codes.
struct CodedLatents {
  let shape: KVCache.LayerShape
  let base: UnsafeMutableRawPointer

  /// The codes of a panel of 16 positions.
  func keyCodes(panel: Int) -> UnsafeMutableRawPointer { base + panel * shape.keyGroups * 512 }

  /// The scales of all positions, for the features that are values or for the others.
  func scales(ofValues: Bool) -> UnsafeMutablePointer<Float> {
    (base + KVCache.blockLength * shape.keyGroups * 32).assumingMemoryBound(to: Float.self)
      + (ofValues ? 0 : KVCache.blockLength)
  }

  /// Stores a latent.
  ///
  /// - Parameter scratch: Room for `KVCache.storeScratchCount` floats.
  func store(
    row: Int, latent: UnsafePointer<Float>, scratch: UnsafeMutablePointer<Float>, kernels: KernelTable
  ) {
    let vectors = shape.keyGroups * 2
    copy(latent, shape.keyDimension, to: scratch, paddedTo: vectors * 16)
    let values = shape.valueDimension % 32 == 0 ? shape.valueDimension / 16 : vectors
    let codes = scratch + vectors * 16
    let scale = keyScale(kernels.integerRow(values, scratch, codes))
    scales(ofValues: true)[row] = scale
    scales(ofValues: false)[row] =
      values == vectors
      ? scale : keyScale(kernels.integerRow(vectors - values, scratch + values * 16, codes + values * 4))
    let words = UnsafeMutableRawPointer(codes).assumingMemoryBound(to: UInt32.self)
    let column = keyCodes(panel: row / 16).assumingMemoryBound(to: UInt32.self) + row % 16
    let sign: UInt32 = kernels.quantized(.q8_0).bias == 0 ? 0 : 0x8080_8080
    for word in 0..<vectors * 4 { column[word * 16] = words[word] ^ sign }
  }
}

/// A scale of keys without its last two bits: products with codes take scales of 22 (`ScaleLayout.isShort`).
private func keyScale(_ scale: Float) -> Float { Float(bitPattern: scale.bitPattern & ~3) }

/// Copies numbers, with zeros behind.
private func copy(
  _ x: UnsafePointer<Float>, _ count: Int, to out: UnsafeMutablePointer<Float>, paddedTo padded: Int
) {
  out.update(from: x, count: count)
  (out + count).update(repeating: 0, count: padded - count)
}
