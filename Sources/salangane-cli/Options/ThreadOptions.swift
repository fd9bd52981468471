import ArgumentParser
import Salangane

/// How many threads a command without a model uses.
struct ThreadOptions: ParsableArguments {
  @Option(
    name: [.customShort("t"), .long],
    help: "How many threads compute; otherwise SALANGANE_THREADS, or the online processors.")
  var threads: Int?

  /// The number of threads.
  ///
  /// - Throws: `EmbeddingError.invalidOption` if there can't be so many.
  var count: Int {
    get throws { try Salangane.ModelOptions(threads: threads).validatedThreads() }
  }
}
