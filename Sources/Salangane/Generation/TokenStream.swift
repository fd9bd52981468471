/// Token ids spread over a vocabulary: equal seeds give equal ids, here and in any other program that counts so.
///
/// The state is Knuth's MMIX generator, `x = 6364136223846793005 x + 1442695040888963407` modulo 2^64, from the
/// seed on; an id is `(x >> 33)` modulo the size of the vocabulary.
package struct TokenStream {
  private var state: UInt64
  private let vocabularySize: UInt64

  /// Starts a stream.
  package init(seed: UInt64, vocabularySize: Int) {
    state = seed
    self.vocabularySize = UInt64(max(1, vocabularySize))
  }

  /// The next ids.
  package mutating func next(_ count: Int) -> [Int32] {
    (0..<count).map { _ in
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      // The high bits are the good ones.
      return Int32(truncatingIfNeeded: (state >> 33) % vocabularySize)
    }
  }
}
