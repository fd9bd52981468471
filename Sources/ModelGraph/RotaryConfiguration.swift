import SalanganeFiles

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

extension HyperparameterKey {
  fileprivate static let lowFrequencyFactor = rope("low_freq_factor")
  fileprivate static let highFrequencyFactor = rope("high_freq_factor")
  fileprivate static let betaFast = rope("beta_fast", gguf: ["rope.scaling.yarn_beta_fast"])
  fileprivate static let betaSlow = rope("beta_slow", gguf: ["rope.scaling.yarn_beta_slow"])
  fileprivate static let attentionFactor = rope("attention_factor")
  fileprivate static let mscale = rope("mscale")
  fileprivate static let mscaleAll = rope("mscale_all_dim")
  /// 0.1 times `mscale_all_dim`, for attention over latents.
  fileprivate static let logMultiplier = HyperparameterKey.gguf("rope.scaling.yarn_log_multiplier")
  fileprivate static let truncate = rope("truncate")
  /// Corrections to YaRN that only GGUF has, and the value with which they change nothing.
  fileprivate static let yarnCorrections: [(key: HyperparameterKey, neutral: Double)] = [
    (.gguf("rope.scaling.yarn_ext_factor"), 1), (.gguf("rope.scaling.yarn_attn_factor"), 1),
    (.gguf("rope.scaling.attn_factor"), 1), (.logMultiplier, 0),
  ]
}

/// How a model scales its rotary frequencies, as its files say it.
struct RotaryReader {
  let checkpoint: Checkpoint
  /// Whether the attention is over latents, whose GGUF files have a key of their own.
  let isLatent: Bool
  private var values: Hyperparameters { checkpoint.hyperparameters }

  init(_ checkpoint: Checkpoint, isLatent: Bool = false) {
    self.checkpoint = checkpoint
    self.isLatent = isLatent
  }

  /// What DeepSeek's attention over latents multiplies queries and keys by besides rotating them.
  ///
  /// - Throws: `ModelFileError` naming the key.
  func latentSharpening() throws(ModelFileError) -> Double {
    let type = try values.optionalString(.rotaryScalingType) ?? "default"
    guard !["default", "none"].contains(type), let mscale = try latentMscale(), mscale != 0 else { return 1 }
    return Self.sharpening(factor: try required(.rotaryScalingFactor), mscale)
  }

  /// `mscale_all_dim` of either file kind.
  private func latentMscale() throws(ModelFileError) -> Double? {
    if values.isGGUF { return try values.optionalFloat(.logMultiplier, in: 0...1e6).map { $0 / 0.1 } }
    return try values.optionalFloat(.mscaleAll, in: 0...1e6)
  }

  /// How YaRN sharpens attention (Peng et al., 2023, section 3.4), by DeepSeek's `mscale` of it.
  private static func sharpening(factor: Double, _ mscale: Double) -> Double {
    factor <= 1 ? 1 : 0.1 * mscale * log(factor) + 1
  }

  /// Numbers that are divided by, or whose logarithm is taken.
  private static let positive = 1e-6...1e12

  /// Reads the rotary embedding of heads that rotate `dimension` features.
  ///
  /// - Parameters:
  ///   - dimension: Rotated features, even.
  ///   - base: The base of the frequencies if the files don't name one.
  ///   - contextLength: The context length that the files name.
  /// - Returns: The embedding, and the context length for which it holds.
  /// - Throws: `ModelFileError` naming the key.
  func embedding(
    dimension: Int, base defaultBase: Double?, contextLength: Int
  ) throws(ModelFileError) -> (rotary: RotaryEmbedding, contextLength: Int) {
    let base: Double
    if let defaultBase {
      base = try values.float(.rotaryBase, in: Self.positive, default: defaultBase)
    } else {
      base = try values.float(.rotaryBase, in: Self.positive)
    }
    let (scaling, length) = try scaling(dimension: dimension, contextLength: contextLength)
    if case .yarn = scaling, base <= 1 {
      throw values.failure(.rotaryBase, "expected a number above 1, found \(base)")
    }
    return (RotaryEmbedding(dimension: dimension, base: base, scaling: scaling), length)
  }

  private func scaling(
    dimension: Int, contextLength: Int
  ) throws(ModelFileError) -> (RotaryScaling, contextLength: Int) {
    if let divisors = try divisors(dimension: dimension) { return (.divisors(divisors), contextLength) }
    let factor = try values.optionalFloat(.rotaryScalingFactor, in: Self.positive)
    // GGUF files from before `rope.scaling.type` have a factor alone.
    let implied = values.isGGUF && factor != nil ? "linear" : "default"
    switch try values.optionalString(.rotaryScalingType) ?? implied {
    case "default", "none":
      return (.none, contextLength)
    case "dynamic":
      // Changes the frequencies of sequences beyond the context length only, which aren't accepted.
      return (.none, contextLength)
    case "linear":
      return (.linear(factor: try required(.rotaryScalingFactor)), contextLength)
    case "llama3" where !values.isGGUF:
      let low = try required(.lowFrequencyFactor)
      let high = try required(.highFrequencyFactor)
      guard high > low else {
        throw values.failure(.highFrequencyFactor, "expected a number above \(low), found \(high)")
      }
      return (
        .llama3(
          factor: try required(.rotaryScalingFactor), lowFrequencyFactor: low, highFrequencyFactor: high,
          originalLength: try required(.rotaryOriginalContextLength)), contextLength
      )
    case "yarn":
      let yarn = try yarn(contextLength: contextLength)
      let stretched = (yarn.originalLength * yarn.factor).rounded(.down)
      return (.yarn(yarn), max(contextLength, Int(min(stretched, 1e9))))
    case let name:
      throw values.failure(
        .rotaryScalingType,
        "expected one of default, linear, dynamic, llama3, yarn, found \"\(name)\"", kind: .unsupported)
    }
  }

  private func required(_ key: HyperparameterKey) throws(ModelFileError) -> Double {
    try values.float(key, in: Self.positive)
  }

  private func divisors(dimension: Int) throws(ModelFileError) -> [Double]? {
    guard checkpoint.format == .gguf,
      let tensor = try checkpoint.optionalTensor("rope_freqs.weight", shape: [dimension / 2])
    else { return nil }
    let divisors = try StoredValues.floats(of: tensor).map(Double.init)
    guard divisors.allSatisfy(Self.positive.contains) else {
      throw ModelFileError(
        .malformed, file: tensor.file.path, subject: tensor.name,
        expectation: "expected positive divisors of frequencies")
    }
    return divisors
  }

  private func yarn(contextLength: Int) throws(ModelFileError) -> RotaryScaling.YaRN {
    for (key, neutral) in HyperparameterKey.yarnCorrections where !(isLatent && key == .logMultiplier) {
      if let value = try values.optionalFloat(key), value != neutral {
        throw values.failure(key, "expected \(neutral), found \(value)", kind: .unsupported)
      }
    }
    let factor = try required(.rotaryScalingFactor)
    let fast = try values.float(.betaFast, in: Self.positive, default: 32)
    let slow = try values.float(.betaSlow, in: Self.positive, default: 1)
    guard fast >= slow else {
      throw values.failure(.betaFast, "expected at least \(slow), found \(fast)")
    }
    // GGUF has no `mscale`: it is `mscale_all_dim` in all models that have both.
    let mscaleAll = isLatent ? try latentMscale() ?? 0 : try values.float(.mscaleAll, in: 0...1e6, default: 0)
    let mscale = values.isGGUF ? mscaleAll : try values.float(.mscale, in: 0...1e6, default: 0)
    let attentionFactor: Double
    if let value = try values.optionalFloat(.attentionFactor, in: Self.positive) {
      attentionFactor = value
    } else if mscale != 0, mscaleAll != 0 {
      attentionFactor =
        Self.sharpening(factor: factor, mscale) / Self.sharpening(factor: factor, mscaleAll)
    } else {
      attentionFactor = Self.sharpening(factor: factor, 1)
    }
    return RotaryScaling.YaRN(
      factor: factor,
      originalLength: try values.float(
        .rotaryOriginalContextLength, in: Self.positive, default: Double(contextLength)),
      fastTurns: fast, slowTurns: slow, attentionFactor: attentionFactor,
      isTruncated: try values.bool(.truncate, default: true))
  }
}
