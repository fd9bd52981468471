#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// Chooses the experts of a token in a mixture of experts, and their weights.
///
/// The gate turns the router's logits into scores. A bias may be added to the scores for the choice alone
/// (auxiliary-loss-free balancing; Wang et al., 2024). If experts come in groups, only those of the best groups
/// can be chosen (DeepSeek-V2, 2024; DeepSeek-V3, 2024). The weights are the chosen experts' scores without the
/// bias; they may be divided by their sum, and are multiplied by a constant. Of equals, the lower index goes
/// first.
package struct Router: Sendable {
  /// How logits become scores.
  package enum Gate: Sendable, Equatable {
    /// A distribution over all experts.
    case softmax
    /// Each expert for itself, from 0 to 1.
    case sigmoid
  }

  /// How the best groups are found.
  package enum GroupScore: Sendable, Equatable {
    /// By the best expert (DeepSeek-V2, "group-limited greedy").
    case maximum
    /// By the sum of the two best experts (DeepSeek-V3, "noaux_tc").
    case sumOfBestTwo
  }

  /// A limit of the choice to some groups of experts, which are equally large and lie side by side.
  package struct Groups: Sendable, Equatable {
    /// How many groups there are; a divisor of the number of experts.
    package let count: Int
    /// From how many of them experts are chosen.
    package let used: Int
    /// How a group is judged.
    package let score: GroupScore

    /// Describes a limit.
    package init(count: Int, used: Int, score: GroupScore) {
      precondition(count > 0 && (1...count).contains(used))
      self.count = count
      self.used = used
      self.score = score
    }
  }

  /// How many experts there are.
  package let experts: Int
  /// How many a token uses.
  package let used: Int
  /// How logits become scores.
  package let gate: Gate
  /// The limit to some groups; nil for none.
  package let groups: Groups?
  /// Whether weights are divided by their sum.
  package let normalizes: Bool
  /// What weights are multiplied by.
  package let scale: Float

  private let bias: FloatBuffer?

  /// Floats that `route` needs for temporary values.
  package var scratchCount: Int { 2 * experts + (groups?.count ?? 0) }

  /// Creates a router.
  ///
  /// - Parameters:
  ///   - experts: How many experts there are.
  ///   - used: How many a token uses, no more than the groups used have.
  ///   - gate: How logits become scores.
  ///   - bias: What is added to the scores for the choice alone, `[experts]`; nil for none.
  ///   - groups: The limit to some groups; nil for none.
  ///   - normalizes: Whether weights are divided by their sum.
  ///   - scale: What weights are multiplied by.
  package init(
    experts: Int, used: Int, gate: Gate, bias: [Float]? = nil, groups: Groups? = nil, normalizes: Bool,
    scale: Float = 1
  ) {
    precondition((1...experts).contains(used) && (bias == nil || bias?.count == experts))
    if let groups {
      precondition(experts % groups.count == 0 && experts / groups.count * groups.used >= used)
      precondition(groups.score == .maximum || experts / groups.count >= 2)
    }
    self.experts = experts
    self.used = used
    self.gate = gate
    self.groups = groups
    self.normalizes = normalizes
    self.scale = scale
    self.bias = bias.map { values in
      let buffer = FloatBuffer(count: values.count)
      buffer.base.update(from: values, count: values.count)
      return buffer
    }
  }

  /// Routes a token.
  ///
  /// Weights are NaN if a logit isn't finite, so that a broken model is noticed.
  ///
  /// - Parameters:
  ///   - logits: `[experts]`.
  ///   - chosen: The experts used, the best first, `[used]`.
  ///   - weights: Their weights, `[used]`.
  ///   - scratch: `scratchCount` floats for temporary values.
  package func route(
    _ logits: UnsafePointer<Float>, chosen: UnsafeMutablePointer<Int32>,
    weights: UnsafeMutablePointer<Float>, scratch: UnsafeMutablePointer<Float>
  ) {
    let scores = scratch
    let keys = scratch + experts
    for expert in 0..<experts where !logits[expert].isFinite {
      for rank in 0..<used {
        chosen[rank] = Int32(rank)
        weights[rank] = .nan
      }
      return
    }
    score(logits, into: scores)
    for expert in 0..<experts { keys[expert] = scores[expert] + (bias?.base[expert] ?? 0) }
    if let groups { limit(keys, to: groups, scratch: scratch + 2 * experts) }
    for rank in 0..<used {
      let best = Self.best(keys, experts)
      chosen[rank] = Int32(best)
      weights[rank] = scores[best]
      keys[best] = .nan
    }
    var sum: Float = 1
    if normalizes {
      // As transformers does: weights that are all zero stay so.
      sum = 1e-20
      for rank in 0..<used { sum += weights[rank] }
    }
    for rank in 0..<used { weights[rank] = weights[rank] / sum * scale }
  }

  private func score(_ logits: UnsafePointer<Float>, into scores: UnsafeMutablePointer<Float>) {
    switch gate {
    case .softmax:
      var maximum = logits[0]
      for expert in 1..<experts { maximum = max(maximum, logits[expert]) }
      var sum: Float = 0
      for expert in 0..<experts {
        scores[expert] = expf(logits[expert] - maximum)
        sum += scores[expert]
      }
      for expert in 0..<experts { scores[expert] /= sum }
    case .sigmoid:
      for expert in 0..<experts { scores[expert] = 1 / (1 + expf(-logits[expert])) }
    }
  }

  /// Takes away the experts of all but the best groups.
  private func limit(
    _ keys: UnsafeMutablePointer<Float>, to groups: Groups, scratch: UnsafeMutablePointer<Float>
  ) {
    let size = experts / groups.count
    for group in 0..<groups.count {
      let members = keys + group * size
      var first = -Float.infinity
      var second = -Float.infinity
      for member in 0..<size {
        if members[member] > first {
          second = first
          first = members[member]
        } else if members[member] > second {
          second = members[member]
        }
      }
      scratch[group] = groups.score == .maximum ? first : first + second
    }
    // What is left after the best groups were taken is taken away.
    for _ in 0..<groups.used { scratch[Self.best(scratch, groups.count)] = .nan }
    for group in 0..<groups.count where !scratch[group].isNaN {
      (keys + group * size).update(repeating: -.infinity, count: size)
    }
  }

  /// The index of the greatest value, the first of equals; NaN marks what was chosen before.
  private static func best(_ values: UnsafePointer<Float>, _ count: Int) -> Int {
    var best = 0
    for index in 1..<max(count, 1) where values[best].isNaN || values[index] > values[best] {
      best = index
    }
    return best
  }
}
