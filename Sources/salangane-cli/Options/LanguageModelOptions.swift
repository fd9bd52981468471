import ArgumentParser
import Salangane

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// What commands add that run a model token by token.
struct LanguageModelOptions: ParsableArguments {
  @Option(help: ArgumentHelp("The most tokens of prompt and text together.", valueName: "n"))
  var context: Int?

  @Option(
    name: .customLong("kv-type"),
    help: ArgumentHelp(
      "How keys and values of earlier tokens are stored: f32, f16 or q8.", valueName: "type")
  )
  var cacheType: KVCacheType?

  @Option(
    help: ArgumentHelp(
      "The most bytes that keys and values may take: the context is shortened to what fits.", valueName: "n"))
  var cacheBytes: Int?

  /// Loads the model.
  ///
  /// - Parameters:
  ///   - model: Which model, and how it is run.
  ///   - cacheType: How keys and values are stored unless `--kv-type` says otherwise; nil for what suits the weights.
  /// - Throws: What `LanguageModel` throws.
  func load(_ model: ModelOptions, cacheType defaultType: KVCacheType? = nil) async throws -> LanguageModel {
    var options = try model.options
    options.contextLength = context
    options.cacheBytes = cacheBytes
    options.cacheType = cacheType ?? defaultType
    let bar = ProgressBar("loading", isShown: true)
    defer { bar.finish() }
    return try await LanguageModel(contentsOf: URL(filePath: model.model), options: options) {
      bar.update($0)
    }
  }
}

extension KVCacheType: ExpressibleByArgument {}
