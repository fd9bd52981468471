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
  /// The most tokens of prompt and text together in generation; nil for what the model was trained for.
  public var contextLength: Int?
  /// How generation stores the keys and values of earlier tokens.
  public var cacheType: KVCacheType

  /// Creates options; every one has a default.
  public init(
    threads: Int? = nil, instructionSet: InstructionSet? = nil, backend: MatmulBackend = .native,
    isMemoryMapped: Bool = true, batchTokens: Int = 4096, contextLength: Int? = nil,
    cacheType: KVCacheType = .f16
  ) {
    self.threads = threads
    self.instructionSet = instructionSet
    self.backend = backend
    self.isMemoryMapped = isMemoryMapped
    self.batchTokens = batchTokens
    self.contextLength = contextLength
    self.cacheType = cacheType
  }
}

extension ModelOptions {
  /// How many threads compute.
  ///
  /// - Throws: `EmbeddingError.invalidOption` if there can't be so many.
  package func validatedThreads() throws(EmbeddingError) -> Int {
    guard let threads else {
      if let text = ThreadTeam.requestedThreads, Int(text) != ThreadTeam.defaultThreadCount {
        throw .invalidOption(
          name: "SALANGANE_THREADS", expectation: "1 to \(ThreadTeam.maximumThreadCount), found \"\(text)\"")
      }
      return ThreadTeam.defaultThreadCount
    }
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

  func contextLength(upTo trained: Int) throws(EmbeddingError) -> Int {
    guard let contextLength else { return trained }
    guard (1...trained).contains(contextLength) else {
      throw .invalidOption(
        name: "context length",
        expectation: "1 to \(trained), which the model was trained for, found \(contextLength)")
    }
    return contextLength
  }
}
