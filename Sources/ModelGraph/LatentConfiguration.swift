import SalanganeFiles
import SalanganeTensors

extension HyperparameterKey {
  fileprivate static let queryRank = HyperparameterKey(["q_lora_rank"], gguf: ["attention.q_lora_rank"])
  fileprivate static let latentRank = HyperparameterKey(["kv_lora_rank"], gguf: ["attention.kv_lora_rank"])
  fileprivate static let ownKeySize = HyperparameterKey("qk_nope_head_dim")
  fileprivate static let rotaryKeySize = HyperparameterKey(
    ["qk_rope_head_dim"], gguf: ["rope.dimension_count"])
  /// In GGUF, `key_length` is that of the latents, except in files from before there was `key_length_mla`.
  fileprivate static let wholeKeySize = HyperparameterKey(
    [], gguf: ["attention.key_length_mla", "attention.key_length"])
  fileprivate static let valueSize = HyperparameterKey(
    ["v_head_dim"], gguf: ["attention.value_length_mla", "attention.value_length"])
}

/// The hyper-parameters of attention over latents (multi-head latent attention; DeepSeek-V2, 2024).
package struct LatentConfiguration: Sendable {
  /// Query heads.
  package let heads: Int
  /// Features that queries are made of; nil if they are made of the hidden state itself.
  package let queryRank: Int?
  /// Features that keys and values are made of.
  package let rank: Int
  /// Features of a query or key that are a head's own and aren't rotated.
  package let ownDimension: Int
  /// Features of a query or key that are rotated; those of keys are the same for all heads.
  package let rotaryDimension: Int
  /// Features of a value.
  package let valueDimension: Int
  /// What scores are multiplied by.
  package let scale: Float

  /// The epsilon of the norms of latents: that of DeepSeek's code and transformers, whatever `rms_norm_eps` is.
  package static let normEpsilon: Float = 1e-6

  /// Features of a query.
  package var queryDimension: Int { ownDimension + rotaryDimension }
  /// Numbers that are kept of a position.
  package var latentDimension: Int { rank + rotaryDimension }

  /// The heads as they are before queries meet latents, with keys and values of their own.
  package var headShape: AttentionShape {
    AttentionShape(
      heads: heads, keyValueHeads: heads, headDimension: queryDimension, valueDimension: valueDimension)
  }

  /// The heads as attention sees them, with latents in place of keys and values.
  package var absorbedShape: AttentionShape {
    AttentionShape(heads: heads, keyValueHeads: 1, headDimension: latentDimension, valueDimension: rank)
  }

  /// Reads and checks the hyper-parameters.
  ///
  /// - Parameter heads: Query heads.
  /// - Throws: `ModelFileError` naming the key and what was expected.
  package init(_ checkpoint: Checkpoint, heads: Int) throws(ModelFileError) {
    let values = checkpoint.hyperparameters
    self.heads = heads
    let sizes = 1...(1 << 16)
    let queryRank = try values.int(.queryRank, in: 0...sizes.upperBound, default: 0)
    self.queryRank = queryRank > 0 ? queryRank : nil
    rank = try values.int(.latentRank, in: sizes)
    rotaryDimension = try values.int(.rotaryKeySize, in: 2...4096)
    guard rotaryDimension % 2 == 0 else {
      throw values.failure(.rotaryKeySize, "expected an even number, found \(rotaryDimension)")
    }
    if values.isGGUF {
      let whole = try values.int(.wholeKeySize, in: 1...4096)
      guard whole > rotaryDimension else {
        throw values.failure(
          .wholeKeySize, "expected more than the \(rotaryDimension) rotated features, found \(whole)")
      }
      ownDimension = whole - rotaryDimension
    } else {
      ownDimension = try values.int(.ownKeySize, in: 1...4096)
    }
    valueDimension = try values.int(.valueSize, in: 1...4096)
    let sharpening = try RotaryReader(checkpoint).latentSharpening()
    scale = Float(sharpening * sharpening / Double(ownDimension + rotaryDimension).squareRoot())
  }
}
