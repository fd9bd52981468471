import SalanganeKernels

// Keys and values of 8 bits (`KVCache.ElementType.q8`), stored as attention on integers takes them.
//
// A head's keys lie in panels of 16 positions as an unpacked tile of Q8_0 does, with a scale for 32 features; its
// values four positions a word, with a scale a position. Latents lie in rows of bytes with two scales each: one for
// the features that are values, one for the others.

extension KVCache.LayerShape {
  /// Groups of 32 features of a key.
  var keyGroups: Int { (keyDimension + 31) / 32 }

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
      case .q8: valueStride + (isLatent ? 8 : 4)
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

  /// A scale for each position; of latents two, one position's behind the other's.
  var valueScales: UnsafeMutablePointer<Float> {
    (values + KVCache.blockLength * shape.valueStride).assumingMemoryBound(to: Float.self)
  }

  /// Where a code of a value lies.
  private func place(_ row: Int, _ feature: Int) -> Int {
    feature / 16 * (KVCache.blockLength * 16) + row / 4 * 64 + feature % 16 * 4 + row % 4
  }

  /// Stores a key and a value.
  ///
  /// - Parameter scratch: Room for 72 floats for each group of a key.
  func store(
    row: Int, key: UnsafePointer<Float>, value: UnsafePointer<Float>,
    scratch: UnsafeMutablePointer<Float>, kernels: KernelTable
  ) {
    let groups = shape.keyGroups
    scratch.update(from: key, count: shape.keyDimension)
    (scratch + shape.keyDimension).update(repeating: 0, count: groups * 32 - shape.keyDimension)
    // Side by side with the other positions of the panel, as activations of as many rows are.
    let codes = keyCodes(panel: row / 16).assumingMemoryBound(to: UInt32.self) + row % 16
    let sums = UnsafeMutableRawPointer(scratch + groups * 32).assumingMemoryBound(to: Int32.self)
    kernels.quantizeActivations(
      1, groups, scratch, 0, 16, codes, keyScales(panel: row / 16) + row % 16, sums)
    if kernels.quantized(.q8_0).bias != 0 {
      for word in 0..<8 * groups { codes[word * 16] ^= 0x8080_8080 }
    }
    let scale = Self.scale(value, shape.valueDimension)
    valueScales[row] = scale
    let inverse = Self.inverse(scale)
    for feature in 0..<shape.valueDimension {
      values.storeBytes(
        of: Self.code(value[feature] * inverse), toByteOffset: place(row, feature), as: Int8.self)
    }
  }

  /// Stores a latent.
  func store(row: Int, latent: UnsafePointer<Float>) {
    store(row, part: 0, 0..<shape.valueDimension, latent)
    store(row, part: 1, shape.valueDimension..<shape.keyDimension, latent)
  }

  private func store(_ row: Int, part: Int, _ features: Range<Int>, _ latent: UnsafePointer<Float>) {
    let codes = (values + row * shape.valueStride).assumingMemoryBound(to: Int8.self)
    let scale = Self.scale(latent + features.lowerBound, features.count)
    valueScales[2 * row + part] = scale
    let inverse = Self.inverse(scale)
    for feature in features { codes[feature] = Self.code(latent[feature] * inverse) }
  }

  /// Latents as floats.
  func copyLatents(_ rows: Int, to out: UnsafeMutablePointer<Float>) {
    for row in 0..<rows {
      let codes = (values + row * shape.valueStride).assumingMemoryBound(to: Int8.self)
      let line = out + row * shape.valueStride
      for feature in 0..<shape.valueDimension { line[feature] = Float(codes[feature]) * valueScales[2 * row] }
      for feature in shape.valueDimension..<shape.keyDimension {
        line[feature] = Float(codes[feature]) * valueScales[2 * row + 1]
      }
      for feature in shape.keyDimension..<shape.valueStride { line[feature] = 0 }
    }
  }

  /// Keys as floats, in panels, and values, in rows, for attention on floats.
  func copyFloats(
    _ rows: Int, keys keyFloats: UnsafeMutablePointer<Float>, values valueFloats: UnsafeMutablePointer<Float>,
    kernels: KernelTable
  ) {
    let isBiased = kernels.quantized(.q8_0).bias != 0
    for row in 0..<rows {
      let codes = keyCodes(panel: row / 16)
      let scales = keyScales(panel: row / 16) + row % 16
      let column = keyFloats + row / 16 * shape.keyDimension * 16 + row % 16
      for feature in 0..<shape.keyDimension {
        let offset = feature / 4 * 64 + row % 16 * 4 + feature % 4
        let byte = codes.load(fromByteOffset: offset, as: UInt8.self)
        let code = isBiased ? Int(byte) - 128 : Int(Int8(bitPattern: byte))
        column[feature * 16] = Float(code) * scales[feature / 32 * 16]
      }
      let line = valueFloats + row * shape.valueStride
      for feature in shape.valueDimension..<shape.valueStride { line[feature] = 0 }
      for feature in 0..<shape.valueDimension {
        line[feature] =
          Float(values.load(fromByteOffset: place(row, feature), as: Int8.self)) * valueScales[row]
      }
    }
  }

  /// The largest magnitude over 127; NaN if a number is NaN.
  private static func scale(_ x: UnsafePointer<Float>, _ count: Int) -> Float {
    // The bits of magnitudes are in the order of the numbers, and NaN comes last.
    var largest: UInt32 = 0
    for index in 0..<count { largest = max(largest, x[index].bitPattern & 0x7FFF_FFFF) }
    return Float(bitPattern: largest) / 127
  }

  private static func inverse(_ scale: Float) -> Float {
    let inverse = 1 / scale
    return inverse < .infinity ? inverse : 0
  }

  /// The nearest integer of a number up to 127, in the low bits of a sum; whatever for numbers that aren't finite.
  private static func code(_ x: Float) -> Int8 {
    Int8(truncatingIfNeeded: Int32(bitPattern: (x + 12_582_912).bitPattern))
  }
}

extension KVCache {
  /// The keys and values of a head in a block of 8 bits a number.
  func coded(layer: Int, head: Int, block: Int) -> CodedHead {
    CodedHead(
      shape: layers[layer], keys: keys(layer: layer, head: head, block: block),
      values: values(layer: layer, head: head, block: block))
  }
}
