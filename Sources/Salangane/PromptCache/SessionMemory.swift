import SalanganeModelGraph
import SalanganeTensors

/// What a session remembers: keys and values, and the tokens that they belong to.
struct SessionMemory {
  let cache: KVCache
  private let decoder: Decoder
  private let promptCache: PromptCache?
  /// The tokens whose keys and values the cache holds, at least.
  private(set) var tokens: [Int32] = []
  /// Whether each token's latents were expanded when it was read; false where there are none.
  private var isExpanded: [Bool] = []
  /// How many tokens the sequence has when the prompt has been read, for `Decoder.run`.
  private(set) var promptEnd = 0
  /// How many blocks need not be offered to the prompt cache.
  private var offeredBlocks = 0

  /// Creates an empty memory.
  ///
  /// - Parameters:
  ///   - cache: The session's own keys and values.
  ///   - decoder: The model that computes them.
  ///   - promptCache: What other sessions have read.
  init(cache: KVCache, decoder: Decoder, promptCache: PromptCache?) {
    self.cache = cache
    self.decoder = decoder
    self.promptCache = promptCache
  }

  // MARK: A new prompt

  /// Keeps what a new prompt shares with the session, or takes up more of it from the prompt cache.
  ///
  /// A row's keys and values depend on the form of attention over latents with which it and those before it were
  /// computed. Of what the session has in another form than a fresh prompt would, such as the tokens that it
  /// generated, it goes on with what is at least as long as the rest of the prompt: a conversation isn't read again for
  /// every question. That doesn't depend on what the prompt cache holds, nor does it look there then.
  ///
  /// - Returns: How many tokens of the prompt are there: all but one at most, since the last one's output is needed.
  /// - Throws: `KVCacheError.outOfMemory` if there is no memory for the rest.
  mutating func begin(_ prompt: [Int32]) throws(KVCacheError) -> Int {
    tokens.reserveCapacity(prompt.count + 1024)
    var shared = 0
    let most = min(tokens.count, cache.count, prompt.count - 1)
    while shared < most, tokens[shared] == prompt[shared] { shared += 1 }
    let expandedEnd = decoder.expandedEnd(ofPrompt: prompt.count)
    let fresh = freshCount(in: shared, expandedEnd: expandedEnd)
    promptEnd = prompt.count
    offeredBlocks = 0
    let isKept = fresh < shared && shared - fresh >= prompt.count - shared
    keep(isKept ? shared : fresh)
    // A short rest is read in the form of generated tokens: all before it would have to be expanded for it.
    if isKept, prompt.count - shared < LatentAttention.expandedRows { promptEnd = shared }
    if !isKept, let blocks = promptCache?.blocks(of: prompt, expandedEnd: expandedEnd),
      blocks.count * KVCache.blockLength > fresh
    {
      let first = fresh / KVCache.blockLength
      cache.adopt(blocks[first...], from: first)
      tokens = Array(prompt[..<cache.count])
      isExpanded = (0..<cache.count).map { $0 < expandedEnd }
    }
    try cache.checkMemory(for: prompt.count)
    return cache.count
  }

  /// How many of the first tokens are in the form of a fresh prompt that expands latents before `expandedEnd`.
  private func freshCount(in count: Int, expandedEnd: Int) -> Int {
    (0..<count).first { isExpanded[$0] != ($0 < expandedEnd) } ?? count
  }

  private mutating func keep(_ count: Int) {
    cache.truncate(to: count)
    tokens.removeLast(tokens.count - count)
    isExpanded.removeLast(isExpanded.count - count)
  }

  // MARK: Tokens

  /// Remembers tokens of the prompt that were read.
  mutating func append(prompt part: some Collection<Int32>) {
    append(part, expandedEnd: decoder.expandedEnd(ofPrompt: promptEnd))
  }

  /// Remembers a generated token that was run.
  mutating func append(generated token: Int32) { append(CollectionOfOne(token), expandedEnd: 0) }

  private mutating func append(_ part: some Collection<Int32>, expandedEnd: Int) {
    for position in tokens.count..<tokens.count + part.count { isExpanded.append(position < expandedEnd) }
    tokens.append(contentsOf: part)
    share()
  }

  /// Offers full blocks to the prompt cache: those that a fresh prompt would have computed.
  private mutating func share() {
    guard let promptCache, cache.fullBlocks > offeredBlocks else { return }
    offeredBlocks = cache.fullBlocks
    let expanded = isExpanded.firstIndex(of: false) ?? isExpanded.count
    let otherEnd = isExpanded[expanded...].firstIndex(of: true) ?? isExpanded.count
    var count = 0
    while count < cache.fullBlocks {
      let start = count * KVCache.blockLength
      let end = start + KVCache.blockLength
      // Behind expanded latents, only what the shortest prompt that asks for the block would have.
      guard
        end <= expanded
          || (start >= expanded && end <= otherEnd && decoder.expandedEnd(ofPrompt: end + 1) == expanded)
      else { break }
      count += 1
    }
    if count > 0 { promptCache.insert(tokens, blocks: count, expandedEnd: expanded, of: cache) }
  }
}
