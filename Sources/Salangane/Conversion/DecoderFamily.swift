import SalanganeFiles
import SalanganeTokenizers

/// How the decoders of a family are written in GGUF.
struct DecoderFamily {
  /// What a family's mixtures of experts are in GGUF.
  struct Mixture {
    /// Whether the first layers may be dense; if not, none may be.
    var hasDenseLayers = false
    /// Whether the weights of experts are divided by their sum, where no key says so.
    var normalizes: Bool?
    /// Whether the shared expert's width is that of so many experts, and not a number of its own.
    var countsSharedExperts = true
    /// Whether the keys of the router are written: its gate, its groups and the scale of weights.
    var hasRouterKeys = true
  }

  /// `general.architecture`.
  let architecture: String
  /// The keys of the context length in `config.json`.
  var contextLength = HyperparameterKey.contextLength
  /// What the feed-forward size is multiplied by.
  var feedForwardFactor = 1
  /// Whether rows of queries and keys are reordered, so that features that are rotated together are neighbours.
  var movesRotaryFeatures = false
  /// What mixtures of experts are; nil for a dense family.
  var mixture: Mixture?
  /// What the tokenizer's description needs besides the files.
  var tokenizer = GGUFTokenizerMetadata.Conventions()

  /// The values of `model_type` that are converted.
  static let modelTypes = [
    "qwen", "qwen2", "qwen2_moe", "qwen3", "qwen3_moe", "llama", "glm", "chatglm", "glm4", "glm4_moe",
    "glm4_moe_lite", "deepseek", "deepseek_v2", "deepseek_v3",
  ]

  /// The family of a `model_type`, or nil for one that isn't converted.
  init?(_ modelType: String) {
    switch modelType {
    case "qwen":
      architecture = "qwen"
      contextLength = HyperparameterKey(["seq_length", "max_position_embeddings"])
      feedForwardFactor = 2
    case "qwen2", "qwen3":
      architecture = modelType
    case "qwen2_moe":
      architecture = "qwen2moe"
      mixture = Mixture(normalizes: false, countsSharedExperts: false, hasRouterKeys: false)
    case "qwen3_moe":
      architecture = "qwen3moe"
      mixture = Mixture(normalizes: true, countsSharedExperts: false, hasRouterKeys: false)
    case "llama":
      architecture = "llama"
      movesRotaryFeatures = true
    case "deepseek":
      architecture = "deepseek"
      movesRotaryFeatures = true
      mixture = Mixture(hasDenseLayers: true, normalizes: false)
    case "deepseek_v2", "deepseek_v3":
      architecture = "deepseek2"
      mixture = Mixture(hasDenseLayers: true)
    case "glm", "chatglm":
      architecture = "chatglm"
      tokenizer = Self.glmTokenizer
    case "glm4":
      architecture = "glm4"
      tokenizer = Self.glmTokenizer
      tokenizer.spellings.append(("bos", "<|endoftext|>"))
    case "glm4_moe", "glm4_moe_lite":
      architecture = modelType == "glm4_moe" ? "glm4moe" : "deepseek2"
      mixture = Mixture(hasDenseLayers: true)
      tokenizer = Self.glmTokenizer
      tokenizer.spellings.append(("bos", "[gMASK]"))
      tokenizer.fixed.append(("eom", "<|observation|>"))
    default:
      return nil
    }
  }

  private static let glmTokenizer = GGUFTokenizerMetadata.Conventions(
    splits: ["glm4", "chatglm-bpe"], spellings: [("eos", "<|endoftext|>"), ("unk", "<|endoftext|>")],
    fixed: [("eot", "<|user|>")])
}
