/// A hash that is computed byte by byte, so that one pass gives the hashes of all prefixes (FNV-1a).
struct TokenHash {
  private var state: UInt64 = 0xCBF2_9CE4_8422_2325

  @inline(__always)
  mutating func append(_ byte: UInt8) {
    state = (state ^ UInt64(byte)) &* 0x100_0000_01B3
  }

  @inline(__always)
  mutating func append(_ bytes: UTF8Text) {
    for byte in bytes { append(byte) }
  }

  /// 32 well mixed bits: the low bits of FNV alone are weak.
  @inline(__always)
  var value: UInt32 { UInt32(truncatingIfNeeded: (state ^ state >> 29) &* 0x9E37_79B9_7F4A_7C15 >> 32) }
}

/// Tokens and their ids, keyed by bytes.
///
/// Swift compares strings by canonical equivalence, which would merge distinct tokens; here a token is
/// its bytes, in one pool, found by open addressing without any allocation.
struct Vocabulary: Sendable {
  /// Why a token wasn't added.
  enum Conflict: Error, Equatable {
    /// Another id has the same bytes.
    case duplicateToken(Int32)
    /// The id already has a token.
    case duplicateID
    /// The vocabulary can't be indexed: too many tokens with one hash, or too many bytes.
    case overfull
  }

  /// One more than the largest id.
  private(set) var size = 0
  /// How many ids have a token.
  private(set) var count = 0
  /// Bytes of the longest token.
  private(set) var longestToken = 0

  private var pool: [UInt8] = []
  private var spans: [Span] = []
  private var slots: [Slot]

  private struct Span {
    var start: UInt32 = 0
    /// Bytes, or `hole` for an id without a token.
    var length: UInt32 = Span.hole
    static let hole = UInt32.max
  }

  private struct Slot {
    var hash: UInt32 = 0
    /// The id, or -1 where the slot is free.
    var id: Int32 = -1
  }

  /// Further tokens of one chain are refused: no vocabulary has them unless it was made to be slow.
  private static let longestProbe = 1024

  /// Creates a vocabulary with room for `count` tokens.
  init(capacity count: Int) {
    var capacity = 64
    while capacity < count * 2 { capacity *= 2 }
    slots = Array(repeating: Slot(), count: capacity)
    spans.reserveCapacity(count)
    pool.reserveCapacity(count * 8)
  }

  /// Gives an id the token with these bytes.
  ///
  /// `id` must be bounded by the caller: ids are an array.
  mutating func add(_ token: UTF8Text, id: Int32) throws(Conflict) {
    let index = Int(id)
    if index < spans.count {
      guard spans[index].length == Span.hole else { throw .duplicateID }
    } else {
      spans.append(contentsOf: repeatElement(Span(), count: index - spans.count + 1))
    }
    guard pool.count + token.count < Int(UInt32.max) else { throw .overfull }
    if (count + 1) * 2 > slots.count { try grow() }
    var hash = TokenHash()
    hash.append(token)
    if let other = self.id(hash: hash, prefix: UTF8Text(start: nil, count: 0), token) {
      throw .duplicateToken(other)
    }
    spans[index] = Span(start: UInt32(pool.count), length: UInt32(token.count))
    pool.append(contentsOf: token)
    try Self.insert(Slot(hash: hash.value, id: id), into: &slots)
    count += 1
    size = spans.count
    longestToken = max(longestToken, token.count)
  }

  private mutating func grow() throws(Conflict) {
    var larger = Array(repeating: Slot(), count: slots.count * 2)
    for slot in slots where slot.id >= 0 { try Self.insert(slot, into: &larger) }
    slots = larger
  }

  private static func insert(_ slot: Slot, into slots: inout [Slot]) throws(Conflict) {
    let mask = slots.count - 1
    var index = Int(slot.hash) & mask
    for _ in 0..<longestProbe {
      if slots[index].id < 0 {
        slots[index] = slot
        return
      }
      index = (index + 1) & mask
    }
    throw .overfull
  }

  /// The id of a token, or nil if there is none with these bytes.
  func id(of token: UTF8Text) -> Int32? {
    var hash = TokenHash()
    hash.append(token)
    return id(hash: hash, prefix: UTF8Text(start: nil, count: 0), token)
  }

  /// The id of the token `prefix + rest` whose hash is known.
  @inline(__always)
  func id(hash: TokenHash, prefix: UTF8Text, _ rest: UTF8Text) -> Int32? {
    let value = hash.value
    let mask = slots.count &- 1
    var index = Int(value) & mask
    while true {
      let slot = slots[index]
      if slot.id < 0 { return nil }
      if slot.hash == value, isToken(slot.id, prefix, rest) { return slot.id }
      index = (index &+ 1) & mask
    }
  }

  @inline(__always)
  private func isToken(_ id: Int32, _ prefix: UTF8Text, _ rest: UTF8Text) -> Bool {
    let span = spans[Int(id)]
    guard Int(span.length) == prefix.count &+ rest.count else { return false }
    return pool.withUnsafeBufferPointer { pool in
      let start = Int(span.start)
      for offset in 0..<prefix.count where pool[start &+ offset] != prefix[offset] { return false }
      let tail = start &+ prefix.count
      for offset in 0..<rest.count where pool[tail &+ offset] != rest[offset] { return false }
      return true
    }
  }

  /// True if `id` has a token.
  func contains(_ id: Int32) -> Bool {
    id >= 0 && Int(id) < spans.count && spans[Int(id)].length != Span.hole
  }

  /// Calls `body` with the bytes of a token, or returns nil if `id` has none.
  func withToken<Result>(_ id: Int32, _ body: (UTF8Text) throws -> Result) rethrows -> Result? {
    guard contains(id) else { return nil }
    let span = spans[Int(id)]
    return try pool.withUnsafeBufferPointer { pool in
      try body(pool.slice(Int(span.start)..<Int(span.start) + Int(span.length)))
    }
  }

  /// The bytes of a token, or nil if `id` has none.
  func bytes(of id: Int32) -> [UInt8]? { withToken(id) { Array($0) } }

  /// The token as a string, or nil if `id` has none.
  func string(of id: Int32) -> String? { withToken(id) { String(decoding: $0, as: UTF8.self) } }
}
