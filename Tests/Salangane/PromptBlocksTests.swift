import Salangane
import SalanganeTensors
import SalanganeTestSupport
import Testing

@Suite struct PromptBlocksTests {
  private static let blockBytes = 64
  private static let counted = PromptBlocks.bytes(ofBlock: blockBytes)
  private let made = (0..<200).map { _ in try? KVBlock(byteCount: blockBytes) }

  private func block(_ index: Int) -> KVBlock { made[index]! }

  /// A text of blocks, each of which has one token over and over.
  private static func text(_ tokens: Int32...) -> [Int32] {
    tokens.flatMap { [Int32](repeating: $0, count: KVCache.blockLength) }
  }

  private func insert(_ text: [Int32], _ first: Int, into blocks: inout PromptBlocks) -> Bool {
    blocks.insert(text, count: text.count / KVCache.blockLength) { block(first + $0) }
  }

  private func find(_ text: [Int32], in blocks: inout PromptBlocks) -> [Int] {
    blocks.blocks(of: text, most: text.count / KVCache.blockLength).map { found in
      made.firstIndex { $0 === found } ?? -1
    }
  }

  @Test func findsWhatStartsAlike() {
    var blocks = PromptBlocks(maximumBytes: 100 * Self.counted)
    #expect(find(Self.text(1, 2), in: &blocks) == [])
    #expect(insert(Self.text(1, 2, 3), 0, into: &blocks))
    #expect(insert(Self.text(1, 4), 10, into: &blocks))
    // The same block in another place is another one.
    #expect(insert(Self.text(2, 3), 20, into: &blocks))
    #expect(!insert(Self.text(1, 2), 30, into: &blocks))
    #expect(blocks.count == 6 && blocks.byteCount == 6 * Self.counted)
    #expect(find(Self.text(1, 2, 3, 4), in: &blocks) == [0, 1, 2])
    #expect(find(Self.text(1, 4, 3), in: &blocks) == [0, 11])
    #expect(find(Self.text(2, 3), in: &blocks) == [20, 21])
    #expect(find(Self.text(3), in: &blocks) == [])
    #expect(blocks.blocks(of: Self.text(1, 2, 3), most: 1).count == 1)
    // One token makes a difference, wherever it is.
    for position in [0, 1, 64, 127, 128, 255] {
      var text = Self.text(1, 2, 3)
      text[position] += 1
      #expect(find(text, in: &blocks) == Array(0..<position / 128))
    }
  }

  @Test func whatWasUsedLongestAgoGoesFirst() {
    var blocks = PromptBlocks(maximumBytes: 4 * Self.counted + Self.counted / 2)
    #expect(insert(Self.text(1, 2), 0, into: &blocks))
    #expect(insert(Self.text(3, 4), 10, into: &blocks))
    #expect(find(Self.text(1, 2), in: &blocks) == [0, 1])
    #expect(insert(Self.text(5), 20, into: &blocks))
    // The end of a text goes before its start.
    #expect(blocks.count == 4 && find(Self.text(3, 4), in: &blocks) == [10])
    #expect(insert(Self.text(6, 7), 30, into: &blocks))
    #expect(find(Self.text(5), in: &blocks) == [20])
    #expect(find(Self.text(3), in: &blocks) == [10])
    #expect(find(Self.text(1, 2), in: &blocks) == [])
    #expect(find(Self.text(6, 7), in: &blocks) == [30, 31])
    #expect(blocks.newestFirst.map { entry in made.firstIndex { $0 === entry.block } } == [30, 31, 10, 20])
  }

  /// A text for which there isn't room keeps its start.
  @Test func aTextTooLongKeepsItsStart() {
    var blocks = PromptBlocks(maximumBytes: 3 * Self.counted)
    #expect(insert(Self.text(9, 8), 50, into: &blocks))
    #expect(insert(Self.text(1, 2, 3, 4, 5), 0, into: &blocks))
    #expect(find(Self.text(1, 2, 3, 4, 5), in: &blocks) == [0, 1, 2])
    #expect(blocks.count == 3 && blocks.byteCount == blocks.maximumBytes)
    #expect(!insert(Self.text(1, 2, 3, 4, 5), 0, into: &blocks))
    for bytes in [0, 1, Self.counted - 1] {
      var small = PromptBlocks(maximumBytes: bytes)
      #expect(!insert(Self.text(1, 2), 0, into: &small) && small.count == 0 && small.byteCount == 0)
    }
  }

  /// Against a plain model: texts of random blocks, and room for some of them.
  @Test(arguments: [3, 8, 30])
  func isAnLRUTree(room: Int) {
    var random = SplitMix64(seed: UInt64(room))
    var blocks = PromptBlocks(maximumBytes: room * Self.counted)
    // The model: texts up to a block, those used last first.
    var model: [[Int32]] = []
    for round in 0..<500 {
      let text = (0..<Int.random(in: 1...5, using: &random)).map { _ in
        Int32.random(in: 0..<3, using: &random)
      }
      let tokens = text.flatMap { [Int32](repeating: $0, count: KVCache.blockLength) }
      let prefixes = (1...text.count).map { Array(text[..<$0]) }
      let known = prefixes.prefix { model.contains($0) }
      if round % 3 == 0 {
        #expect(blocks.blocks(of: tokens, most: text.count).count == known.count)
        model = Array(known) + model.filter { !known.contains($0) }
      } else {
        let isNew = insert(tokens, round % 100, into: &blocks)
        model = Array(prefixes.prefix(room) + model.filter { !prefixes.contains($0) }).prefix(room).map { $0 }
        #expect(isNew == (known.count < min(text.count, room)))
      }
      #expect(blocks.count == model.count)
      let list = blocks.newestFirst
      var texts: [[Int32]] = []
      for (index, entry) in list.enumerated() {
        #expect(entry.key.parent < index)
        texts.append((entry.key.parent < 0 ? [] : texts[entry.key.parent]) + [entry.key.tokens[0]])
      }
      #expect(texts == model, "round \(round)")
    }
  }
}
