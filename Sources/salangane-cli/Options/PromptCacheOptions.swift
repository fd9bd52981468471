import ArgumentParser
import Salangane

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// Where keys and values are kept from one run to the next.
struct PromptCacheOptions: ParsableArguments {
  @Option(
    name: .customLong("prompt-cache"),
    help: ArgumentHelp(
      "Keeps what was read in this file, for prompts with the same start; made if it isn't there.",
      valueName: "file"))
  var file: String?

  @Option(
    name: .customLong("prompt-cache-bytes"),
    help: ArgumentHelp(
      "The most bytes that are kept; what was used longest ago goes first.", valueName: "n"))
  var maximumBytes = 2 << 30

  func validate() throws {
    guard maximumBytes > 0 else { throw ValidationError("--prompt-cache-bytes: expected at least 1") }
  }

  /// The cache that the file holds, or an empty one if there is no file; nil if none was asked for.
  ///
  /// - Throws: `ModelFileError` for a file that isn't this model's cache.
  func load(for model: LanguageModel) throws -> PromptCache? {
    guard let file else { return nil }
    do {
      return try PromptCache(contentsOf: URL(filePath: file), for: model, maximumBytes: maximumBytes)
    } catch let error as ModelFileError where error.kind == .missing {
      return PromptCache(for: model, maximumBytes: maximumBytes)
    }
  }

  /// Writes the cache to the file, if it has anything new.
  ///
  /// - Throws: `ModelFileError` if that can't be done.
  func save(_ cache: PromptCache?) throws {
    guard let file, let cache, cache.hasUnsavedBlocks else { return }
    try cache.save(to: URL(filePath: file))
  }
}
