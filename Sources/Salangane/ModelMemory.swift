import SalanganeFiles
import SalanganeModelGraph
import SalanganeTensors

/// What a model needs of memory and what there is, found out before anything is loaded.
package struct ModelMemory: Sendable {
  /// The most tokens of a sequence, for which all this holds.
  package let contextLength: Int
  /// Bytes of weights, in the order of the kernels.
  package let weights: Int
  /// Bytes of the model's files, if they are read; 0 if they are mapped.
  package let files: Int
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
    contextLength = try options.contextLength(upTo: needed.contextLength)
    weights = needed.weights
    files = options.isMemoryMapped ? 0 : checkpoint.files.reduce(0) { $0 + $1.count }
    scratch = needed.scratch
    cachedValues = needed.cacheLayers.map(\.valuesPerPosition)
    let type = options.cacheType.elementType
    let block = needed.cache(positions: KVCache.blockLength, type) ?? .max
    cachePerThousand = block / KVCache.blockLength * 1000
    cache = needed.cache(positions: contextLength, type) ?? .max
    self.system = system
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
