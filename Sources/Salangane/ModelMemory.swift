import SalanganeFiles
import SalanganeModelGraph
import SalanganeTensors

/// What a model needs of memory and what there is, found out before anything is loaded.
package struct ModelMemory: Sendable {
  /// The most tokens of a sequence, for which all this holds.
  package let contextLength: Int
  /// As many of them as there can ever be memory for, where the options don't ask for a number.
  package let fittingLength: Int
  /// Bytes of weights, in the order of the kernels.
  package let weights: Int
  /// Bytes of the model's files, if they are read; 0 if they are mapped.
  package let files: Int
  /// How keys and values are stored.
  package let cacheType: KVCacheType
  /// Bytes of the keys and values, or latents, of `contextLength` tokens; `Int.max` if that can't be addressed.
  package let cache: Int
  /// The same for 1,000 tokens.
  package let cachePerThousand: Int
  /// Numbers that each layer keeps of a token; empty for an encoder.
  package let cachedValues: [Int]
  /// Bytes for activations and logits while a prompt is read.
  package let scratch: Int
  /// What the process can have.
  package let system: SystemMemory

  /// All bytes.
  package var total: Int {
    [weights, files, cache, scratch].reduce(0) { sum, bytes in
      let (total, overflow) = sum.addingReportingOverflow(bytes)
      return overflow ? .max : total
    }
  }

  /// Whether that can be had now.
  package var fits: Bool { total <= system.available }

  /// Finds out what a model needs.
  ///
  /// - Parameters:
  ///   - checkpoint: The model.
  ///   - options: How it is going to be run.
  ///   - system: What the process can have.
  /// - Throws: `ModelFileError` for a model that couldn't be loaded; `EmbeddingError.invalidOption` for an option
  ///   out of range.
  package init(
    _ checkpoint: Checkpoint, _ options: ModelOptions, system: SystemMemory = .current
  ) throws {
    try options.checkExpertCount(checkpoint)
    let needed = try MemoryRequirements(checkpoint, options: options.weights)
    weights = needed.weights
    files = options.isMemoryMapped ? 0 : checkpoint.files.reduce(0) { $0 + $1.count }
    scratch = needed.scratch
    cachedValues = needed.cacheLayers.map(\.valuesPerPosition)
    cacheType = options.cacheType ?? (needed.isQuantized ? .q8 : .f16)
    let type = cacheType.elementType
    let bytes = { needed.cache(positions: $0, type) ?? .max }
    contextLength = try Self.contextLength(options, trained: needed.contextLength, cache: bytes)
    let left = system.limit - weights - files - scratch
    // A model that can't be loaded at all fails elsewhere.
    let isFree = options.contextLength == nil && bytes(1) <= left
    fittingLength = isFree ? Self.most(contextLength, within: left, cache: bytes) : contextLength
    let block = needed.cache(positions: KVCache.blockLength, type) ?? .max
    cachePerThousand = block / KVCache.blockLength * 1000
    cache = needed.cache(positions: contextLength, type) ?? .max
    self.system = system
  }

  /// The most tokens of a sequence that the options allow.
  ///
  /// - Parameter cache: The bytes that keys and values of a number of tokens take.
  private static func contextLength(
    _ options: ModelOptions, trained: Int, cache: (_ positions: Int) -> Int
  ) throws(EmbeddingError) -> Int {
    let wanted = try options.contextLength(upTo: trained)
    guard let bytes = options.cacheBytes else { return wanted }
    guard cache(1) <= bytes else {
      throw .invalidOption(
        name: "cache bytes", expectation: "at least \(cache(1)), which the first tokens take, found \(bytes)")
    }
    guard options.contextLength == nil || cache(wanted) <= bytes else {
      throw .invalidOption(
        name: "context length",
        expectation: "one whose keys and values take at most \(bytes) bytes, found \(wanted), which take "
          + "\(cache(wanted))")
    }
    return most(wanted, within: bytes, cache: cache)
  }

  /// The most tokens, up to `wanted`, whose keys and values take no more than `limit` bytes.
  private static func most(_ wanted: Int, within limit: Int, cache: (_ positions: Int) -> Int) -> Int {
    var fits = 1
    var end = wanted + 1
    while end - fits > 1 {
      let middle = fits + (end - fits) / 2
      if cache(middle) <= limit { fits = middle } else { end = middle }
    }
    return fits
  }

  /// Checks that the context fits into all the memory that the process can ever have.
  ///
  /// - Throws: `EmbeddingError.invalidOption` naming the sizes.
  package func check() throws(EmbeddingError) {
    guard total > system.limit else { return }
    throw .invalidOption(
      name: "context length",
      expectation: """
        one for which there is memory: \(contextLength) tokens take \(cache.formattedBytes), besides \
        \(weights.formattedBytes) of weights and \((files + scratch).formattedBytes) for all else, \
        of \(system.limit.formattedBytes)
        """)
  }
}

extension Int {
  /// A number of bytes for people, in powers of 1000.
  package var formattedBytes: String { self < 1000 ? "\(self) B" : formattedCount + "B" }

  /// A count with one decimal and a unit prefix.
  package var formattedCount: String {
    var value = Double(self)
    var prefixes = ["", "k", "M", "G", "T"][...]
    while value >= 999.95, prefixes.count > 1 {
      value /= 1000
      prefixes.removeFirst()
    }
    guard let prefix = prefixes.first, !prefix.isEmpty else { return "\(self)" }
    let tenths = Int((value * 10).rounded())
    return "\(tenths / 10).\(tenths % 10) \(prefix)"
  }
}
