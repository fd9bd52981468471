import Foundation
import SalanganeTestSupport
import Testing

/// What keys of `config.json` mean where there are several of them, or none: as in transformers.
@Suite struct DecoderConfigurationTests {
  /// Two configurations of one golden that say the same.
  struct Pair: CustomTestStringConvertible, Sendable {
    let golden: String
    /// Merged into the golden's configuration; `null` takes a key away.
    let changes: String
    /// Merged into the golden's configuration, to say the same in another way.
    let equal: String
    /// Whether the configuration without changes says something else.
    var matters = true

    var testDescription: String { "\(golden): \(changes)" }
  }

  private static let llama3 =
    #""rope_type": "llama3", "factor": 8, "low_freq_factor": 1, "high_freq_factor": 4"#
  private static let yarn = #""rope_type": "yarn", "factor": 4, "original_max_position_embeddings": 16"#

  static let pairs = [
    // The original context length at the top level goes before the one beside the factor.
    Pair(
      golden: "llama3",
      changes: """
        {"rope_scaling": {\(llama3), "original_max_position_embeddings": 200}, "original_max_position_embeddings": 20}
        """,
      equal: "{\"rope_scaling\": {\(llama3), \"original_max_position_embeddings\": 20}}"),
    Pair(
      golden: "qwen2", changes: "{\"rope_scaling\": {\(yarn)}, \"original_max_position_embeddings\": 60}",
      equal: #"""
        {"rope_scaling": {"rope_type": "yarn", "factor": 4, "original_max_position_embeddings": 60}}
        """#),
    // Nothing else is taken from there.
    Pair(
      golden: "qwen2",
      changes: """
        {"rope_scaling": {\(yarn)}, "attention_factor": 3, "mscale": 1, "mscale_all_dim": 0.5, "truncate": false}
        """,
      equal: "{\"rope_scaling\": {\(yarn)}}"),
    // There is no third place beside `rope_scaling` and the top level.
    Pair(
      golden: "qwen2",
      changes:
        "{\"rope_scaling\": {\(yarn)}, \"rope_parameters\": {\"rope_theta\": 5, \"attention_factor\": 3}}",
      equal: "{\"rope_scaling\": {\(yarn)}}"),
    Pair(
      golden: "qwen2", changes: #"{"rope_scaling": {}, "rope_parameters": {"rope_theta": 5}}"#,
      equal: #"{"rope_theta": 5}"#),
    Pair(
      golden: "deepseek_v3", changes: #"{"routed_scaling_factor": null}"#,
      equal: #"{"routed_scaling_factor": 2.5}"#, matters: false),
    Pair(
      golden: "glm4_moe_lite", changes: #"{"routed_scaling_factor": null}"#,
      equal: #"{"routed_scaling_factor": 1.8}"#, matters: false),
    Pair(
      golden: "glm4_moe", changes: #"{"n_group": 2, "topk_group": null, "num_experts_per_tok": 2}"#,
      equal: #"{"n_group": 2, "topk_group": 1, "num_experts_per_tok": 2}"#),
    // An output matrix of its own is used although there should be none.
    Pair(
      golden: "deepseek", changes: #"{"tie_word_embeddings": true}"#,
      equal: #"{"tie_word_embeddings": false}"#,
      matters: false),
  ]

  @Test(arguments: pairs)
  func keysMeanTheSame(pair: Pair) throws {
    func logits(_ changes: String) throws -> [Float] {
      let directory = try DecoderErrorTests.directory(pair.golden, changes: changes)
      return try withExtendedLifetime(directory) {
        try DecoderSession(path: directory.path).logits((0..<40).map { $0 % 60 })
      }
    }
    let expected = try logits(pair.equal)
    #expect(try logits(pair.changes) == expected)
    if pair.matters { #expect(try logits("{}") != expected) }
  }
}
