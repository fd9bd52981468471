import SalanganeFiles
import SalanganeModelGraph
import SalanganeTensors

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// Keys and values of the texts that sessions have read, so that texts with the same start needn't be read again.
///
/// ```swift
/// let cache = PromptCache(for: model, maximumBytes: 2 << 30)
/// let session = try model.makeSession(promptCache: cache)
/// ```
///
/// Sessions put in what they read, in blocks of 128 tokens, and take out what a new prompt starts with. Memory is
/// shared: a block that a session uses isn't there twice. When there is no more room, the blocks go that were used
/// longest ago.
///
/// What a session computes has the same bits, whatever the cache holds: nothing, what sessions put in, or what came
/// from a file. So a block is taken out only for the very tokens from the very start of the text; whether they were a
/// prompt or generated makes no difference. (With `MatmulBackend.openBLAS`, no result has fixed bits.)
///
/// A cache may be used by any number of sessions at once.
public final class PromptCache: Sendable {
  /// The most bytes that the cache takes.
  public let maximumBytes: Int

  let format: PromptCacheFormat

  private struct State {
    var blocks: PromptBlocks
    /// Whether there is anything that no file has.
    var isModified = false
  }

  private let state: Locked<State>

  /// Creates an empty cache.
  ///
  /// - Parameters:
  ///   - model: The model whose sessions use it.
  ///   - maximumBytes: The most bytes that it takes; it takes what it needs.
  public convenience init(for model: LanguageModel, maximumBytes: Int) {
    self.init(model.engine.promptCacheFormat, PromptBlocks(maximumBytes: max(0, maximumBytes)))
  }

  private init(_ format: PromptCacheFormat, _ blocks: PromptBlocks) {
    self.format = format
    maximumBytes = blocks.maximumBytes
    state = Locked(State(blocks: blocks))
  }

  /// The bytes that the cache takes now.
  public var byteCount: Int { state.withLock { $0.blocks.byteCount } }

  /// How many tokens' keys and values there are.
  public var tokenCount: Int { state.withLock { $0.blocks.count } * KVCache.blockLength }

  /// Whether there is anything that wasn't in the file that the cache came from, nor was saved.
  package var hasUnsavedBlocks: Bool { state.withLock { $0.isModified } }

  /// Forgets everything.
  public func removeAll() { state.withLock { $0.blocks = PromptBlocks(maximumBytes: maximumBytes) } }

  // MARK: For sessions

  /// The blocks that hold the start of a prompt.
  ///
  /// - Parameter tokens: The prompt.
  /// - Returns: Blocks for all but the last token at most, since the last one's output is needed.
  func blocks(of tokens: [Int32]) -> [KVBlock] {
    state.withLock {
      $0.blocks.blocks(of: tokens, most: (tokens.count - 1) / KVCache.blockLength)
    }
  }

  /// Adds the first blocks of a session's cache.
  ///
  /// - Parameters:
  ///   - tokens: The tokens that the cache holds.
  ///   - count: How many blocks; they are full.
  ///   - cache: The keys and values.
  func insert(_ tokens: [Int32], blocks count: Int, of cache: KVCache) {
    state.withLock { state in
      let isNew = state.blocks.insert(tokens, count: count) {
        cache.sharedBlock($0)
      }
      if isNew { state.isModified = true }
    }
  }

  // MARK: Files

  /// Reads a cache that `save(to:)` wrote.
  ///
  /// All that is read of the file is checked: it is what was written, for the same model run in the same way, or the
  /// file is refused. It is private data like the texts that it was made of, and to be trusted like the model's file: one that
  /// somebody forged can't do harm to the process, but makes the model say what it likes.
  ///
  /// - Parameters:
  ///   - url: The file.
  ///   - model: The model whose sessions use it.
  ///   - maximumBytes: The most bytes that the cache takes; of a larger file, it takes what was used last.
  /// - Throws: `ModelFileError` naming the file and what was expected: `missing`, `unreadable` also if there is no
  ///   memory for it, `malformed` for a file that is damaged or cut off, `unsupported` for another version of the
  ///   format, `foreign` for one of another model, of other weights, kernels or options that change results, or of
  ///   another `KVCacheType`.
  public convenience init(contentsOf url: URL, for model: LanguageModel, maximumBytes: Int) throws {
    let format = model.engine.promptCacheFormat
    let file = try PromptCacheFile(path: try url.modelPath())
    try file.check(against: format)
    self.init(format, try file.blocks(maximumBytes: max(0, maximumBytes), format))
  }

  /// Writes the cache to a file, for another process; sessions may go on using it meanwhile.
  ///
  /// The file gets its name once it is whole: if the write fails, or the process ends, an older one stays as it was.
  ///
  /// - Parameter url: The file.
  /// - Throws: `ModelFileError` if it can't be written.
  public func save(to url: URL) throws {
    // The memory is held, and not copied, until it is written.
    let saved = state.withLock {
      $0.isModified = false
      return $0.blocks.newestFirst
    }
    do {
      try PromptCacheFile.write(saved, format, to: try url.modelPath())
    } catch {
      state.withLock { $0.isModified = true }
      throw error
    }
  }
}
