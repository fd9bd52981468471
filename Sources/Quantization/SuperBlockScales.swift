/// The eight 6-bit scales and eight 6-bit minimums that `Q4_K` and `Q5_K` pack into 12 bytes.
///
/// Bytes 0 to 3 hold scales 0 to 3 in their lower six bits, bytes 4 to 7 minimums 0 to 3. Bytes 8 to 11 hold the
/// lower four bits of scales 4 to 7 (low nibbles) and of minimums 4 to 7 (high nibbles), whose upper two bits
/// are the upper two bits of bytes 0 to 3 and 4 to 7. Source: ggml, `get_scale_min_k4`.
struct SuperBlockScales {
  /// The 12 bytes.
  let bytes: UnsafeRawPointer

  /// The scale and the minimum of a group of 32 values, 0 to 7.
  @inline(__always)
  subscript(group: Int) -> (scale: UInt8, minimum: UInt8) {
    let quarter = group & 3
    let scaleByte = bytes.byte(quarter)
    let minimumByte = bytes.byte(quarter &+ 4)
    if group < 4 { return (scaleByte & 63, minimumByte & 63) }
    let lowBits = bytes.byte(quarter &+ 8)
    return (lowBits & 15 | (scaleByte >> 6) << 4, lowBits >> 4 | (minimumByte >> 6) << 4)
  }
}

extension SuperBlockScales {
  /// Packs scales and minimums, whole numbers from 0 to 63, into 12 bytes.
  @inline(__always)
  static func store(
    _ scales: InlineArray<8, Float>, _ minimums: InlineArray<8, Float>, into bytes: UnsafeMutableRawPointer
  ) {
    for quarter in 0..<4 {
      let upperScale = UInt8(scales[quarter &+ 4])
      let upperMinimum = UInt8(minimums[quarter &+ 4])
      bytes.store(UInt8(scales[quarter]) | (upperScale >> 4) << 6, at: quarter)
      bytes.store(UInt8(minimums[quarter]) | (upperMinimum >> 4) << 6, at: quarter &+ 4)
      bytes.store(upperScale & 15 | upperMinimum << 4, at: quarter &+ 8)
    }
  }
}
