import SalanganeKernels
import SalanganeModelGraph
import SalanganeTensors

/// How a model is loaded and run.
public struct ModelOptions: Sendable {
  /// Threads that a request computes on; nil for `SALANGANE_THREADS`, or the online processors.
  public var threads: Int?
  /// The kernels; nil for `SALANGANE_ISA`, or the fastest that the CPU has.
  public var instructionSet: InstructionSet?
  /// How float matrix products are computed.
  public var backend: MatmulBackend
  /// Whether the file is mapped into memory; if not, it is read.
  public var isMemoryMapped: Bool
  /// How many tokens of short texts go through the model together.
  ///
  /// It bounds the memory for activations; vectors don't depend on it.
  public var batchTokens: Int

  /// Creates options; every one has a default.
  public init(
    threads: Int? = nil, instructionSet: InstructionSet? = nil, backend: MatmulBackend = .native,
    isMemoryMapped: Bool = true, batchTokens: Int = 4096
  ) {
    self.threads = threads
    self.instructionSet = instructionSet
    self.backend = backend
    self.isMemoryMapped = isMemoryMapped
    self.batchTokens = batchTokens
  }
}

extension ModelOptions {
  func validatedThreads() throws(EmbeddingError) -> Int {
    guard let threads else { return ThreadTeam.defaultThreadCount }
    guard (1...ThreadTeam.maximumThreadCount).contains(threads) else {
      throw .invalidOption(
        name: "threads", expectation: "1 to \(ThreadTeam.maximumThreadCount), found \(threads)")
    }
    return threads
  }

  func validatedBatchTokens() throws(EmbeddingError) -> Int {
    guard (1...(1 << 20)).contains(batchTokens) else {
      throw .invalidOption(name: "batchTokens", expectation: "1 to \(1 << 20), found \(batchTokens)")
    }
    return batchTokens
  }
}
