import SalanganeFiles
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
  /// What weights are multiplied as: as they are stored, as floats, or as integers of 8 bits.
  public var precision: WeightPrecision
  /// Whether quantised weights are brought into the order of the kernels when a model is loaded.
  ///
  /// If not, they are used from the file: slower, with the same results, and without memory for a copy.
  public var repacksWeights: Bool
  /// Whether the file is mapped into memory; if not, it is read.
  public var isMemoryMapped: Bool
  /// How many tokens of short texts go through the model together at most.
  ///
  /// It bounds the memory for activations; vectors don't depend on it. Encoders such as BERT take no more than 256 for
  /// each thread, so that activations stay in the caches.
  public var batchTokens: Int
  /// How many texts are generated together at most; further ones take turns with them.
  ///
  /// More use the machine better, and each of them is slower; texts don't depend on it. From 1 to 256.
  public var maximumBatch: Int
  /// The most tokens of prompt and text together in generation; nil for what the model was trained for.
  public var contextLength: Int?
  /// How generation stores the keys and values of earlier tokens; nil for `q8` where most weights are quantised, and
  /// `f16` where they aren't.
  public var cacheType: KVCacheType?
  /// The most bytes that the keys and values of one sequence may take: the context is shortened to what fits. nil for
  /// what all of the process's memory leaves beside the weights.
  public var cacheBytes: Int?
  /// How many experts of a mixture a token uses; nil for what the model was trained with.
  public var expertCount: Int?
  /// The most that is taken from a model's files before they are checked.
  public var fileLimits: FileLimits

  /// Creates options; every one has a default.
  public init(
    threads: Int? = nil, instructionSet: InstructionSet? = nil, backend: MatmulBackend = .native,
    precision: WeightPrecision = .stored, repacksWeights: Bool = true, isMemoryMapped: Bool = true,
    batchTokens: Int = 4096, maximumBatch: Int = 32, contextLength: Int? = nil,
    cacheType: KVCacheType? = nil, cacheBytes: Int? = nil, expertCount: Int? = nil,
    fileLimits: FileLimits = .init()
  ) {
    self.threads = threads
    self.instructionSet = instructionSet
    self.backend = backend
    self.precision = precision
    self.repacksWeights = repacksWeights
    self.isMemoryMapped = isMemoryMapped
    self.batchTokens = batchTokens
    self.maximumBatch = maximumBatch
    self.contextLength = contextLength
    self.cacheType = cacheType
    self.cacheBytes = cacheBytes
    self.expertCount = expertCount
    self.fileLimits = fileLimits
  }
}

extension ModelOptions {
  /// The forms of the weights.
  var weights: WeightOptions {
    WeightOptions(
      backend: backend, precision: precision, packs: repacksWeights, usedExperts: expertCount)
  }

  /// How a model's files are opened.
  var opening: Checkpoint.Options { .init(mapped: isMemoryMapped, limits: fileLimits) }

  /// Checks that tokens of a model can use as many experts as they are to.
  ///
  /// - Throws: `EmbeddingError.invalidOption` if not; `ModelFileError` for a model that couldn't be loaded.
  func checkExpertCount(_ checkpoint: Checkpoint) throws {
    guard let expertCount else { return }
    var most: Int?
    if case .decoder(let architecture) = try ArchitectureRegistry.architecture(for: checkpoint) {
      most = try architecture.configuration(checkpoint).mixture?.mostUsed
    }
    guard let most else {
      throw EmbeddingError.invalidOption(
        name: "expert count", expectation: "a mixture of experts, found \"\(checkpoint.architecture)\"")
    }
    guard (1...most).contains(expertCount) else {
      throw EmbeddingError.invalidOption(
        name: "expert count", expectation: "1 to \(most), found \(expertCount)")
    }
  }

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

  func validatedMaximumBatch() throws(EmbeddingError) -> Int {
    guard (1...256).contains(maximumBatch) else {
      throw .invalidOption(name: "maximumBatch", expectation: "1 to 256, found \(maximumBatch)")
    }
    return maximumBatch
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
