import SalanganeModelGraph
import SalanganeTensors

/// What a session remembers: keys and values, and the tokens that they belong to.
struct SessionMemory {
  let cache: KVCache
  private let promptCache: PromptCache?
  /// The tokens whose keys and values the cache holds, at least.
  private(set) var tokens: [Int32] = []
  /// How many blocks need not be offered to the prompt cache.
  private var offeredBlocks = 0

  /// Creates an empty memory.
  ///
  /// - Parameters:
  ///   - cache: The session's own keys and values.
  ///   - promptCache: What other sessions have read.
  init(cache: KVCache, promptCache: PromptCache?) {
    self.cache = cache
    self.promptCache = promptCache
  }

  // MARK: A new prompt

  /// Keeps what a new prompt shares with the session, or takes up more of it from the prompt cache.
  ///
  /// - Returns: How many tokens of the prompt are there: all but one at most, since the last one's output is needed.
  /// - Throws: `KVCacheError.outOfMemory` if there is no memory for the rest.
  mutating func begin(_ prompt: [Int32]) throws(KVCacheError) -> Int {
    tokens.reserveCapacity(prompt.count + 1024)
    var shared = 0
    let most = min(tokens.count, cache.count, prompt.count - 1)
    while shared < most, tokens[shared] == prompt[shared] { shared += 1 }
    offeredBlocks = 0
    cache.truncate(to: shared)
    tokens.removeLast(tokens.count - shared)
    if let blocks = promptCache?.blocks(of: prompt), blocks.count * KVCache.blockLength > shared {
      let first = shared / KVCache.blockLength
      cache.adopt(blocks[first...], from: first)
      tokens = Array(prompt[..<cache.count])
    }
    try cache.checkMemory(for: prompt.count)
    return cache.count
  }

  // MARK: Tokens

  /// Remembers tokens that were read or generated, and run.
  mutating func append(_ part: some Collection<Int32>) {
    tokens.append(contentsOf: part)
    // Full blocks are offered to the prompt cache.
    guard let promptCache, cache.fullBlocks > offeredBlocks else { return }
    offeredBlocks = cache.fullBlocks
    promptCache.insert(tokens, blocks: offeredBlocks, of: cache)
  }
}
