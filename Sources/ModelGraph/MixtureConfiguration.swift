import SalanganeFiles
import SalanganeTensors

extension HyperparameterKey {
  /// The number that stands for the router's gate in GGUF (`llama_expert_gating_func_type`), and its name in
  /// `config.json`.
  fileprivate static let expertGate = HyperparameterKey(["scoring_func"], gguf: ["expert_gating_func"])
}

/// The hyper-parameters of a decoder's mixtures of experts.
package struct MixtureConfiguration: Sendable {
  /// Routed experts of a layer.
  package var experts: Int
  /// How many of them a token uses.
  package var used: Int
  /// Features between an expert's two products.
  package var innerSize: Int
  /// Features between the shared expert's two products; 0 for no shared expert.
  package var sharedInnerSize = 0
  /// Whether the shared expert is scaled by a gate.
  package var gatesShared = false
  /// How the router's logits become scores.
  package var gate: Router.Gate
  /// Whether a bias takes part in the choice.
  package var hasBias = false
  /// The limit of the choice to some groups; nil for none.
  package var groups: Router.Groups?
  /// Whether weights are divided by their sum.
  package var normalizes: Bool
  /// What weights are multiplied by.
  package var scale: Float
  /// Which layers are mixtures; the others are dense.
  package var isSparse: [Bool]

  /// What differs between families in the meaning of the keys.
  package struct Conventions: Sendable {
    /// The gate; a GGUF file may name another.
    package var gate = Router.Gate.softmax
    /// Whether weights are divided by their sum where the file doesn't say.
    package var normalizes = false
    /// Whether experts may come in groups.
    package var hasGroups = false
    /// How many groups there are where the file doesn't say.
    package var groupCount = 1
    /// How many of them a token uses where the file doesn't say; nil if it must.
    package var usedGroupCount: Int?
    /// What weights are multiplied by where `config.json` doesn't say; nil if the family has no such factor.
    package var scale: Double?

    /// The conventions of most families.
    package init() {}

    /// The conventions of the families that took over the router of DeepSeek-V3.
    package static var deepSeekV3: Conventions {
      var conventions = Conventions()
      conventions.gate = .sigmoid
      conventions.normalizes = true
      conventions.hasGroups = true
      conventions.usedGroupCount = 1
      conventions.scale = 1
      return conventions
    }
  }

  /// Reads and checks the hyper-parameters that all families share; every layer is a mixture.
  ///
  /// - Parameters:
  ///   - checkpoint: The model.
  ///   - layers: How many layers there are.
  ///   - conventions: What the keys mean in this family.
  /// - Throws: `ModelFileError` naming the key and what was expected; `unsupported` for another gate.
  package init(
    _ checkpoint: Checkpoint, layers: Int, _ conventions: Conventions = Conventions()
  ) throws(ModelFileError) {
    let values = checkpoint.hyperparameters
    experts = try values.int(.expertCount, in: 1...(1 << 16))
    used = try values.int(.usedExpertCount, in: 1...Int.max)
    guard used <= experts else {
      throw values.failure(.usedExpertCount, "expected at most the \(experts) experts, found \(used)")
    }
    innerSize = try values.int(.expertFeedForwardSize, in: 1...(1 << 21))
    gate = try Self.gate(values, conventions.gate)
    normalizes = try values.bool(.normalizesExpertWeights, default: conventions.normalizes)
    scale = Float(try values.float(.expertWeightScale, in: 0...1e6, default: conventions.scale ?? 1))
    guard scale == 1 || conventions.scale != nil || values.isGGUF else {
      throw values.failure(.expertWeightScale, "expected 1, found \(scale)", kind: .unsupported)
    }
    isSparse = Array(repeating: true, count: layers)
    if conventions.hasGroups { groups = try groups(values, conventions) }
  }

  /// The gate that a GGUF file names; in `config.json` a name must be that of the family's.
  private static func gate(
    _ values: Hyperparameters, _ usual: Router.Gate
  ) throws(ModelFileError) -> Router.Gate {
    guard values.contains(.expertGate) else { return usual }
    if values.isGGUF {
      switch try values.int(.expertGate) {
      case 0: return usual
      case 1: return .softmax
      case 2: return .sigmoid
      case let number:
        throw values.failure(
          .expertGate, "expected 1 (softmax) or 2 (sigmoid), found \(number)", kind: .unsupported)
      }
    }
    let name = try values.string(.expertGate)
    let expected = usual == .softmax ? "softmax" : "sigmoid"
    guard name == expected else {
      throw values.failure(.expertGate, "expected \"\(expected)\", found \"\(name)\"", kind: .unsupported)
    }
    return usual
  }

  /// DeepSeek-V2, with softmax, judges groups by their best expert; DeepSeek-V3, with sigmoid, by its two best.
  private func groups(
    _ values: Hyperparameters, _ conventions: Conventions
  ) throws(ModelFileError) -> Router.Groups? {
    let count = try values.int(.expertGroupCount, in: 1...experts, default: conventions.groupCount)
    guard count > 1 else { return nil }
    guard experts % count == 0 else {
      throw values.failure(
        .expertGroupCount, "expected a divisor of the \(experts) experts, found \(count)")
    }
    let size = experts / count
    guard gate == .softmax || size > 1 else {
      throw values.failure(
        .expertGroupCount, "expected groups of at least two of the \(experts) experts, found \(count) groups")
    }
    let range = 1...count
    let usedGroups: Int
    if let usual = conventions.usedGroupCount {
      usedGroups = try values.int(.usedExpertGroupCount, in: range, default: min(usual, count))
    } else {
      usedGroups = try values.int(.usedExpertGroupCount, in: range)
    }
    guard usedGroups * size >= used else {
      throw values.failure(
        .usedExpertCount,
        "expected at most the \(usedGroups * size) experts of \(usedGroups) groups, found \(used)")
    }
    return Router.Groups(
      count: count, used: usedGroups, score: gate == .softmax ? .maximum : .sumOfBestTwo)
  }

  /// The most experts that a token may use.
  package var mostUsed: Int { groups.map { experts / $0.count * $0.used } ?? experts }

  /// The router of a layer.
  ///
  /// - Parameter bias: What takes part in the choice, `[experts]`; nil for none.
  package func router(bias: [Float]?) -> Router {
    Router(
      experts: experts, used: used, gate: gate, bias: bias, groups: groups, normalizes: normalizes,
      scale: scale)
  }
}

extension MixtureConfiguration {
  /// Makes layers dense as Qwen's files say it: all but every `decoder_sparse_step`th, and those in
  /// `mlp_only_layers`. GGUF has no keys for that.
  ///
  /// - Throws: `ModelFileError` naming the key.
  package mutating func readDenseLayers(ofQwen values: Hyperparameters) throws(ModelFileError) {
    guard !values.isGGUF else { return }
    let step = try values.int(HyperparameterKey("decoder_sparse_step"), in: 1...Int.max, default: 1)
    for layer in isSparse.indices where (layer + 1) % step != 0 { isSparse[layer] = false }
    for layer in try values.optionalInts(HyperparameterKey("mlp_only_layers")) ?? []
    where layer < isSparse.count {
      isSparse[layer] = false
    }
  }

  /// Makes the layers before `first_k_dense_replace` dense, and those that `moe_layer_freq` leaves out; or those
  /// that `mlp_layer_types` names.
  ///
  /// - Throws: `ModelFileError` naming the key.
  package mutating func readDenseLayers(
    ofDeepSeek values: Hyperparameters, leading: Int
  ) throws(ModelFileError) {
    let types = HyperparameterKey("mlp_layer_types")
    if let names = try values.optionalStrings(types) {
      guard names.count >= isSparse.count else {
        throw values.failure(types, "expected \(isSparse.count) names, found \(names.count)")
      }
      for layer in isSparse.indices {
        guard ["dense", "sparse"].contains(names[layer]) else {
          throw values.failure(types, "expected \"dense\" or \"sparse\", found \"\(names[layer])\"")
        }
        isSparse[layer] = names[layer] == "sparse"
      }
      return
    }
    let frequency = try values.int(HyperparameterKey("moe_layer_freq"), in: 1...Int.max, default: 1)
    let dense = try values.int(.leadingDenseLayerCount, default: leading)
    for layer in isSparse.indices { isSparse[layer] = layer >= dense && layer % frequency == 0 }
  }

  /// The shared experts of DeepSeek's family, which are as large as routed ones and lie in one.
  ///
  /// - Throws: `ModelFileError` naming the key.
  package mutating func readSharedExperts(ofDeepSeek values: Hyperparameters, default count: Int)
    throws(ModelFileError)
  {
    sharedInnerSize = innerSize * (try values.int(.sharedExpertCount, in: 0...1024, default: count))
  }
}
