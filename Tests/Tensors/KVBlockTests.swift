import SalanganeKernels
import SalanganeTensors
import Testing

/// Blocks that several caches hold.
@Suite struct KVBlockTests {
  private static let shape = KVCache.LayerShape(heads: 2, keyDimension: 16, valueDimension: 16)

  private static func cache(_ type: KVCache.ElementType = .f32, capacity: Int = 1000) -> KVCache {
    KVCache(layers: [shape, shape], elementType: type, capacity: capacity)
  }

  /// Stores the same number everywhere at some positions.
  private static func store(_ value: Float, _ positions: Range<Int>, in cache: KVCache) throws {
    try cache.reserve(positions.upperBound)
    let values = [Float](repeating: value, count: 16)
    var scratch = [Float](repeating: 0, count: 144)
    for position in positions {
      for layer in 0..<2 {
        for head in 0..<2 {
          cache.store(
            layer: layer, head: head, position: position, key: values, value: values, scratch: &scratch,
            kernels: .portable)
        }
      }
    }
    cache.advance(by: positions.upperBound - cache.count)
  }

  private static func bytes(_ block: KVBlock) -> [UInt8] { block.withUnsafeBytes { Array($0) } }

  @Test(arguments: KVCache.ElementType.allCases)
  func sharedBlocksNeverChange(type: KVCache.ElementType) throws {
    let first = Self.cache(type)
    try Self.store(1, 0..<300, in: first)
    #expect(first.fullBlocks == 2)
    let shared = (0..<2).map { first.sharedBlock($0) }
    let before = shared.map(Self.bytes)
    let second = Self.cache(type)
    second.adopt(shared, from: 0)
    #expect(second.count == 256 && second.byteCount == 2 * shared[0].byteCount)
    // Behind the shared blocks nothing needs to be copied.
    try Self.store(2, 256..<290, in: second)
    #expect(second.sharedBlock(1) === shared[1])
    // Both write into the second block, each into a copy.
    second.truncate(to: 200)
    try Self.store(3, 200..<270, in: second)
    first.truncate(to: 128)
    try Self.store(4, 128..<256, in: first)
    #expect(shared.map(Self.bytes) == before)
    #expect(second.sharedBlock(0) === shared[0] && first.sharedBlock(0) === shared[0])
    #expect(second.sharedBlock(1) !== shared[1] && first.sharedBlock(1) !== shared[1])
    // The copy starts as the block it is of: it is what a cache that shares nothing has.
    let alone = Self.cache(type)
    try Self.store(1, 0..<200, in: alone)
    try Self.store(3, 200..<270, in: alone)
    #expect(Self.bytes(second.sharedBlock(1)) == Self.bytes(alone.sharedBlock(1)))
  }

  /// Once nobody else holds a block, its last owner writes to it.
  @Test func blocksAreTakenBack() throws {
    let cache = Self.cache()
    try Self.store(1, 0..<128, in: cache)
    var others = [cache.sharedBlock(0)]
    let place = others[0].withUnsafeBytes { $0.baseAddress }
    others.removeAll()
    cache.truncate(to: 5)
    try Self.store(2, 5..<128, in: cache)
    #expect(cache.sharedBlock(0).withUnsafeBytes { $0.baseAddress } == place)
  }

  @Test func blocksReplaceWhatIsBehind() throws {
    let source = Self.cache()
    try Self.store(1, 0..<512, in: source)
    let cache = Self.cache()
    try Self.store(2, 0..<300, in: cache)
    let own = cache.sharedBlock(0)
    cache.adopt((1..<4).map { source.sharedBlock($0) }, from: 1)
    #expect(cache.count == 512 && cache.sharedBlock(0) === own)
    #expect((1..<4).allSatisfy { cache.sharedBlock($0) === source.sharedBlock($0) })
    cache.adopt([KVBlock](), from: 2)
    #expect(cache.count == 256)
  }

  /// A block beyond all memory is refused, and nothing is allocated.
  @Test func beyondMemory() throws {
    let huge = KVCache.LayerShape(heads: 1 << 12, keyDimension: 1 << 12, valueDimension: 1 << 12)
    let cache = KVCache(layers: Array(repeating: huge, count: 1024), elementType: .f32, capacity: 1 << 20)
    for positions in [1, 1 << 20] {
      let error = #expect(throws: KVCacheError.self) { try cache.reserve(positions) }
      guard case .outOfMemory(let bytes) = error else {
        Issue.record("\(String(describing: error))")
        continue
      }
      #expect(bytes >= 1 << 44)
    }
    #expect(cache.byteCount == 0)
  }
}
