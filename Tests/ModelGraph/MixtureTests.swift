import SalanganeKernels
import SalanganeModelGraph
import SalanganeTensors
import SalanganeTestSupport
import Testing

/// What only mixtures of experts and attention over latents have.
@Suite struct MixtureTests {
  /// The length of a prompt whose latents are taken as they are, and one whose latents are expanded.
  private static let short = LatentAttention.expandedRows - 1
  private static let long = LatentAttention.expandedRows

  /// Keys and values out of the latents, or the latents themselves: the same but for rounding.
  @Test(arguments: DecoderGolden.latents.filter { !$0.isGGUF })
  func bothFormsAgree(golden: DecoderGolden) throws {
    for set in InstructionSet.available {
      let session = try DecoderSession(path: golden.path, set)
      var random = SplitMix64(seed: 5)
      let vocabulary = Int32(session.decoder.vocabularySize)
      for length in [1, 33, min(600, session.decoder.contextLength)] {
        let tokens = (0..<length).map { _ in Int32.random(in: 0..<vocabulary, using: &random) }
        let absorbed = try session.logits(tokens, prompt: Self.short)
        let expanded = try session.logits(tokens, prompt: Self.long)
        #expect(greatestDifference(absorbed, expanded) < 1e-4, "\(set), \(length) tokens")
      }
    }
  }
}
