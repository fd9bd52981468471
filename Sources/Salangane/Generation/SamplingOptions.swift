/// How the next token is chosen from the model's logits.
///
/// The steps run in llama.cpp's order: bias, penalties, top-k, typical, top-p, min-p, temperature. A step
/// at its neutral value changes nothing.
public struct SamplingOptions: Sendable, Equatable {
  /// What logits are divided by; 0 for greedy choice, the most probable token (of equals, the one with the
  /// lowest id).
  public var temperature: Float
  /// Keep only this many most probable tokens; 0 for all.
  public var topK: Int
  /// Keep the fewest most probable tokens whose probabilities sum to this (nucleus sampling; Holtzman et
  /// al., 2019); 1 for all.
  public var topP: Float
  /// Keep tokens at least this share as probable as the most probable (Nguyen et al., 2024); 0 for all.
  public var minP: Float
  /// Keep the tokens whose surprise is nearest to the entropy, up to this probability (locally typical
  /// sampling; Meister et al., 2022); 1 for all.
  public var typicalP: Float
  /// Divide positive logits of recent tokens by this, and multiply negative ones (Keskar et al., 2019); 1
  /// for none.
  public var repetitionPenalty: Float
  /// Subtract this from the logits of recent tokens; 0 for none.
  public var presencePenalty: Float
  /// Subtract this from the logits of recent tokens for each time they occur; 0 for none.
  public var frequencyPenalty: Float
  /// How many tokens back the penalties look, the prompt's included; -1 for all.
  public var penaltyWindow: Int
  /// Added to the logits of single tokens; -infinity forbids one.
  public var logitBias: [Int32: Float]
  /// The seed of the random choice: the same seed gives the same text; nil for a fresh one.
  public var seed: UInt64?

  /// Creates options; the default is greedy choice without penalties.
  public init(
    temperature: Float = 0, topK: Int = 0, topP: Float = 1, minP: Float = 0, typicalP: Float = 1,
    repetitionPenalty: Float = 1, presencePenalty: Float = 0, frequencyPenalty: Float = 0,
    penaltyWindow: Int = 64, logitBias: [Int32: Float] = [:], seed: UInt64? = nil
  ) {
    self.temperature = temperature
    self.topK = topK
    self.topP = topP
    self.minP = minP
    self.typicalP = typicalP
    self.repetitionPenalty = repetitionPenalty
    self.presencePenalty = presencePenalty
    self.frequencyPenalty = frequencyPenalty
    self.penaltyWindow = penaltyWindow
    self.logitBias = logitBias
    self.seed = seed
  }

  /// The most probable token, always.
  public static let greedy = SamplingOptions()

  /// The first value that is out of its range, as a name and what is expected.
  package func invalidValue(vocabularySize: Int) -> (name: String, expectation: String)? {
    if !(temperature >= 0 && temperature.isFinite) { return ("temperature", "a number of at least 0") }
    if topK < 0 { return ("top-k", "an integer of at least 0") }
    if !(topP > 0 && topP <= 1) { return ("top-p", "a number above 0, up to 1") }
    if !(minP >= 0 && minP <= 1) { return ("min-p", "a number from 0 to 1") }
    if !(typicalP > 0 && typicalP <= 1) { return ("typical-p", "a number above 0, up to 1") }
    if !(repetitionPenalty > 0 && repetitionPenalty.isFinite) {
      return ("repetition penalty", "a number above 0")
    }
    if !presencePenalty.isFinite { return ("presence penalty", "a finite number") }
    if !frequencyPenalty.isFinite { return ("frequency penalty", "a finite number") }
    if penaltyWindow < -1 { return ("penalty window", "an integer of at least -1") }
    for (id, value) in logitBias {
      if id < 0 || Int(id) >= vocabularySize {
        return ("logit bias", "ids from 0 to \(vocabularySize - 1), found \(id)")
      }
      if value.isNaN || value == .infinity { return ("logit bias", "numbers or -infinity, found \(value)") }
    }
    return nil
  }
}
