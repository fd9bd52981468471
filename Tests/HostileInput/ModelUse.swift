import Salangane
import SalanganeFiles
import SalanganeTokenizers

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// The uses of a model that the corpus of malformed files is put to; named as the commands that do the same.
package enum ModelUse: String, Sendable, CaseIterable {
  case inspect, tokenize, embed, logits

  /// Puts the model at `path` to the use.
  ///
  /// - Returns: The error, on one line, and the exit status that the command ends with for it; status 0 and no line
  ///   if there is none.
  /// - Throws: What isn't an error of ours.
  package func result(path: String, mapped: Bool) async throws -> (status: Int, line: String) {
    do {
      try await run(path, ModelOptions(threads: 1, isMemoryMapped: mapped))
      return (0, "")
    } catch let error as ModelFileError {
      let status =
        switch error.kind {
        case .malformed, .foreign: 65
        case .missing, .unreadable: 66
        case .unsupported: 69
        }
      return (status, error.description)
    } catch let error as EmbeddingError {
      if case .notFinite = error { return (65, error.description) }
      return (64, error.description)
    } catch let error as GenerationError {
      if case .notFinite = error { return (65, error.description) }
      return (64, error.description)
    }
  }

  private func run(_ path: String, _ options: ModelOptions) async throws {
    switch self {
    case .inspect:
      let checkpoint = try Checkpoint(path: path, options: .init(mapped: options.isMemoryMapped))
      try checkpoint.validateContents()
      do { _ = try ModelMemory(checkpoint, options) } catch is ModelFileError {}
    case .tokenize:
      let tokenizer = try TokenizerLoader.load(path: path)
      do { _ = try tokenizer.decode(tokenizer.encode("abcd ab").ids) } catch {}
    case .embed:
      let embedder = try await Embedder(contentsOf: URL(fileURLWithPath: path), options: options)
      let values = try await embedder.embed(tokens: [[1, 2, 9]]).values
      precondition(values.allSatisfy(\.isFinite), "a vector that isn't finite")
    case .logits:
      let model = try await LanguageModel(contentsOf: URL(fileURLWithPath: path), options: options)
      let values = try await model.logits(tokens: [1, 2, 9])
      precondition(values.allSatisfy(\.isFinite), "logits that aren't finite")
    }
  }
}
