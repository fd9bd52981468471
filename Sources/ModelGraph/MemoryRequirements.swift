import SalanganeFiles
import SalanganeKernels
import SalanganeTensors

/// The memory that a model takes, found out without loading its weights.
package struct MemoryRequirements: Sendable {
  /// Bytes of weights in memory of their own; files that are mapped take none.
  package let weights: Int
  /// What each layer keeps of a position; empty for an encoder.
  package let cacheLayers: [KVCache.LayerShape]
  /// Whether the greater part of the weights is quantised.
  package let isQuantized: Bool
  /// Bytes for activations and logits while a prompt is read.
  package let scratch: Int
  /// The most positions of a sequence.
  package let contextLength: Int

  /// Finds all of a model's tensors, and adds up what they will take.
  ///
  /// - Throws: `ModelFileError` for a model that couldn't be loaded, or an architecture that isn't ours.
  package init(_ checkpoint: Checkpoint, options: WeightOptions) throws {
    let tally = WeightTally()
    let loader = WeightLoader(measuring: checkpoint, options: options, tally: tally)
    switch try ArchitectureRegistry.architecture(for: checkpoint) {
    case .encoder(let architecture):
      let encoder = try architecture.loadEncoder(loader)
      cacheLayers = []
      scratch = 0
      contextLength = encoder.maximumLength
    case .decoder(let architecture):
      // An embedder may come without an output matrix.
      let isHeadless =
        (try? architecture.loadDecoder(
          WeightLoader(measuring: checkpoint, options: options, tally: WeightTally()), loadsHead: true))
        == nil
      let decoder = try architecture.loadDecoder(loader, loadsHead: !isHeadless)
      cacheLayers = decoder.cacheLayers
      scratch = DecoderWorkspace(for: decoder).byteCount(
        rows: min(Decoder.promptChunk, decoder.contextLength))
      contextLength = decoder.contextLength
    }
    weights = tally.byteCount
    isQuantized = tally.isQuantized
  }

  /// Bytes that the cache takes for a number of positions; nil beyond what can be addressed.
  package func cache(positions: Int, _ elementType: KVCache.ElementType) -> Int? {
    KVCache.byteCount(layers: cacheLayers, elementType: elementType, positions: positions)
  }

  /// All bytes for a number of positions; nil beyond what can be addressed.
  package func total(positions: Int, _ elementType: KVCache.ElementType) -> Int? {
    guard let cache = cache(positions: positions, elementType) else { return nil }
    let (sum, overflow) = (weights + scratch).addingReportingOverflow(cache)
    return overflow ? nil : sum
  }
}
