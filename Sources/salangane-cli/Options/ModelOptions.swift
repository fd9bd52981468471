import ArgumentParser
import Salangane

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// The model whose tokenizer a command uses.
struct TokenizerOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "A .gguf file (the first of a split set), or a directory with a model.", valueName: "path"))
  var model: String
}

/// The model that a command runs, and how.
struct ModelOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "A .gguf file (the first of a split set), or a directory with a model.", valueName: "path"))
  var model: String

  @Option(
    name: [.customShort("t"), .long],
    help: "How many threads compute; otherwise SALANGANE_THREADS, or the online processors.")
  var threads: Int?

  @Option(
    help: ArgumentHelp(
      "The kernels: portable, avx2 or avx512; otherwise SALANGANE_ISA, or the fastest available.",
      valueName: "name"))
  var isa: String?

  @Option(
    help: ArgumentHelp(
      "Who multiplies float matrices: native or openblas. Only native gives the same bits in every batch.",
      valueName: "name"))
  var backend = MatmulBackend.native

  @Flag(name: .customLong("no-mmap"), help: "Read the files instead of mapping them.")
  var noMmap = false

  @Option(
    help: ArgumentHelp(
      "How many tokens of short texts go through the model together; results don't depend on it.",
      valueName: "n"))
  var batchTokens = Salangane.ModelOptions().batchTokens

  @OptionGroup var weights: WeightOptions

  /// How the model is loaded and run.
  ///
  /// - Throws: `InstructionSetError` if the CPU doesn't have the instructions.
  var options: Salangane.ModelOptions {
    get throws {
      Salangane.ModelOptions(
        threads: threads, instructionSet: try instructionSet, backend: backend,
        precision: weights.precision, repacksWeights: !weights.noRepack, isMemoryMapped: !noMmap,
        batchTokens: batchTokens, expertCount: weights.expertCount)
    }
  }

  /// The instructions to compute with.
  ///
  /// - Throws: `InstructionSetError` if the CPU doesn't have them.
  var instructionSet: InstructionSet {
    get throws { if let isa { try .named(isa) } else { try .preferred } }
  }

  /// Loads the model.
  ///
  /// - Parameter showsProgress: Whether a bar may show how far that is.
  /// - Throws: What `Embedder` throws.
  func loadEmbedder(showingProgress showsProgress: Bool) async throws -> Embedder {
    let options = try options
    let bar = ProgressBar("loading", isShown: showsProgress)
    defer { bar.finish() }
    return try await Embedder(contentsOf: URL(filePath: model), options: options) { bar.update($0) }
  }
}

extension MatmulBackend: ExpressibleByArgument {}
