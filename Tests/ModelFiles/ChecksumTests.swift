import SalanganeFiles
import SalanganeTestSupport
import Testing

@Suite struct ChecksumTests {
  /// What the xxhash package for Python, 4.1.0, gives for `i * 7 + i / 11 & 255`.
  @Test(
    arguments: [
      (0, 0x0, 0xEF46DB3751D8E999), (0, 0x1, 0xD5AFBA1336A3BE4B),
      (0, 0x9E3779B97F4A7C15, 0xC4349FC93C010000), (1, 0x0, 0xE934A84ADB052768),
      (1, 0x1, 0x771917C7F6EE2451), (1, 0x9E3779B97F4A7C15, 0x126BB57A12364AA5),
      (3, 0x0, 0x9FF70A635A6209AB), (3, 0x1, 0xA2734B98A9BFECB9),
      (3, 0x9E3779B97F4A7C15, 0xD169D7C1CB5E443F), (4, 0x0, 0xAE5ACDC00A55AC41),
      (4, 0x1, 0xDED74A77BEA0C9F0), (4, 0x9E3779B97F4A7C15, 0xAEEC91BDFD4F8A43),
      (7, 0x0, 0xD734A6B26F3DA63E), (7, 0x1, 0x9FF2CAB82C081D45),
      (7, 0x9E3779B97F4A7C15, 0x60BF31ABF53F85DD), (8, 0x0, 0x87116B3365B924EB),
      (8, 0x1, 0xBEF42115E14BDFB0), (8, 0x9E3779B97F4A7C15, 0xCFCFD09B165B3EDB),
      (12, 0x0, 0xE143B1538DA8B5C4), (12, 0x1, 0xC98B8F05C4FC3741),
      (12, 0x9E3779B97F4A7C15, 0xF3CE81636FFFC274), (31, 0x0, 0xE944D41B48F9BE9C),
      (31, 0x1, 0xA765EEEF5B8680BD), (31, 0x9E3779B97F4A7C15, 0x8F38F21A158AFF5B),
      (32, 0x0, 0x3905F43E8479436D), (32, 0x1, 0x47F79C2E42C3DA44),
      (32, 0x9E3779B97F4A7C15, 0xEC1191669BDBDF89), (33, 0x0, 0xD743C380C4B94CC9),
      (33, 0x1, 0x49116C820BCAC461), (33, 0x9E3779B97F4A7C15, 0x9C398B3739A5D2AE),
      (63, 0x0, 0x9CE711D74EEA369E), (63, 0x1, 0x52AA5F2EFEB52CC5),
      (63, 0x9E3779B97F4A7C15, 0x36941812DAE4818E), (64, 0x0, 0x0C24CC54FBC86EE6),
      (64, 0x1, 0xB8A9CCF1120015A5), (64, 0x9E3779B97F4A7C15, 0x695FD023C8020063),
      (100, 0x0, 0x99C1943638E5B63D), (100, 0x1, 0x970393F1AD48B333),
      (100, 0x9E3779B97F4A7C15, 0x94C2AD012B52335F), (1000, 0x0, 0x8F4F31E831189C17),
      (1000, 0x1, 0x280807F69829A8A1), (1000, 0x9E3779B97F4A7C15, 0xA35FDDA97032A3DD),
      (4109, 0x0, 0x85A0B4B5D910FE10), (4109, 0x1, 0xC9D6046C8C7C5E7C),
      (4109, 0x9E3779B97F4A7C15, 0x96F1D2BF28571424),
    ] as [(Int, UInt64, UInt64)])
  func isXXH64(count: Int, seed: UInt64, hash: UInt64) {
    let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 * 7 + $0 / 11) }
    #expect(Checksum.hash(bytes, seed: seed) == hash)
    // Wherever the bytes lie.
    let moved = [0] + bytes
    #expect(moved.withUnsafeBytes { Checksum.hash(.init(rebasing: $0[1...]), seed: seed) } == hash)
  }

  @Test func everyBitCounts() {
    for count in [1, 5, 31, 32, 33, 100] {
      let bytes = [UInt8](repeating: 0, count: count)
      var hashes: Set<UInt64> = [Checksum.hash(bytes)]
      for bit in 0..<count * 8 {
        var changed = bytes
        changed[bit / 8] ^= 1 << UInt8(bit % 8)
        hashes.insert(Checksum.hash(changed))
      }
      #expect(hashes.count == count * 8 + 1)
    }
  }
}
