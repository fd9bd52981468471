#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// Chooses tokens from logits, one after the other, as its options say.
///
/// It keeps its memory from token to token: a choice allocates nothing after the first.
package struct Sampler {
  private let options: SamplingOptions
  private let vocabularySize: Int
  private let bias: [(id: Int, value: Float)]
  private var random: SplitMixGenerator
  /// Occurrences of each token within the penalty window; empty without penalties.
  private var occurrences: [Int32]
  /// The tokens within the penalty window, as a ring.
  private var recent: [Int32]
  private var recentStart = 0
  private var candidates: [Candidate]

  private struct Candidate {
    var id: Int32
    var logit: Float
    var probability: Float = 0
  }

  /// Creates a sampler.
  ///
  /// - Parameters:
  ///   - options: Valid options.
  ///   - vocabularySize: How many logits there are.
  ///   - seed: Where the random choice starts.
  package init(_ options: SamplingOptions, vocabularySize: Int, seed: UInt64) {
    self.options = options
    self.vocabularySize = vocabularySize
    bias = options.logitBias.sorted { $0.key < $1.key }.map { (Int($0.key), $0.value) }
    random = SplitMixGenerator(state: seed)
    let hasPenalties =
      (options.repetitionPenalty != 1 || options.presencePenalty != 0 || options.frequencyPenalty != 0)
      && options.penaltyWindow != 0
    occurrences = hasPenalties ? [Int32](repeating: 0, count: vocabularySize) : []
    recent = []
    if hasPenalties, options.penaltyWindow > 0 { recent.reserveCapacity(min(options.penaltyWindow, 1 << 16)) }
    candidates = []
    if options.temperature > 0 { candidates.reserveCapacity(vocabularySize) }
  }

  /// Whether choices leave logits as they are.
  package var keepsLogits: Bool { bias.isEmpty && occurrences.isEmpty }

  /// Tells the sampler of a token of the prompt, or of one that it chose.
  package mutating func accept(_ id: Int32) {
    guard !occurrences.isEmpty, id >= 0, Int(id) < vocabularySize else { return }
    occurrences[Int(id)] += 1
    guard options.penaltyWindow > 0 else { return }
    if recent.count < options.penaltyWindow {
      recent.append(id)
    } else {
      occurrences[Int(recent[recentStart])] -= 1
      recent[recentStart] = id
      recentStart = (recentStart + 1) % recent.count
    }
  }

  /// Chooses the next token.
  ///
  /// - Parameter logits: One a token; changed by bias and penalties.
  package mutating func choose(_ logits: UnsafeMutableBufferPointer<Float>) -> Int32 {
    for (id, value) in bias { logits[id] += value }
    applyPenalties(logits)
    guard options.temperature > 0 else { return Self.mostProbable(logits) }
    candidates.removeAll(keepingCapacity: true)
    for id in logits.indices where logits[id] > -.infinity {
      candidates.append(Candidate(id: Int32(id), logit: logits[id]))
    }
    guard !candidates.isEmpty else { return Self.mostProbable(logits) }
    if options.topK > 0, options.topK < candidates.count { keepMostProbable(options.topK) }
    if options.typicalP < 1 { keepTypical() }
    if options.topP < 1 { keepNucleus() }
    if options.minP > 0 { keepAboveShare() }
    return draw()
  }

  /// The id of the largest logit; of equals, the lowest.
  static func mostProbable(_ logits: UnsafeMutableBufferPointer<Float>) -> Int32 {
    var best = 0
    for id in logits.indices where logits[id] > logits[best] { best = id }
    return Int32(best)
  }

  // MARK: Steps

  private func applyPenalties(_ logits: UnsafeMutableBufferPointer<Float>) {
    guard !occurrences.isEmpty else { return }
    for id in logits.indices where occurrences[id] > 0 {
      var logit = logits[id]
      logit = logit > 0 ? logit / options.repetitionPenalty : logit * options.repetitionPenalty
      logit -= Float(occurrences[id]) * options.frequencyPenalty + options.presencePenalty
      logits[id] = logit
    }
  }

  /// Sets the candidates' probabilities at temperature 1.
  private mutating func setProbabilities() {
    var largest = -Float.infinity
    for candidate in candidates { largest = max(largest, candidate.logit) }
    var sum: Float = 0
    for index in candidates.indices {
      candidates[index].probability = expf(candidates[index].logit - largest)
      sum += candidates[index].probability
    }
    for index in candidates.indices { candidates[index].probability /= sum }
  }

  private mutating func keepMostProbable(_ count: Int) {
    candidates.withUnsafeMutableBufferPointer { Self.select(count, of: $0) { $0.logit } }
    candidates.removeLast(candidates.count - count)
  }

  private mutating func keepTypical() {
    setProbabilities()
    var entropy: Float = 0
    for candidate in candidates where candidate.probability > 0 {
      entropy -= candidate.probability * logf(candidate.probability)
    }
    let centre = entropy
    candidates.withUnsafeMutableBufferPointer {
      Self.select($0.count, of: $0) { -abs(-logf($0.probability) - centre) }
    }
    keepPrefix(upTo: options.typicalP)
  }

  private mutating func keepNucleus() {
    candidates.withUnsafeMutableBufferPointer { Self.select($0.count, of: $0) { $0.logit } }
    setProbabilities()
    keepPrefix(upTo: options.topP)
  }

  /// Keeps the first candidates whose probabilities sum to `share`, at least one.
  private mutating func keepPrefix(upTo share: Float) {
    var sum: Float = 0
    var count = 0
    while count < candidates.count, count == 0 || sum < share {
      sum += candidates[count].probability
      count += 1
    }
    candidates.removeLast(candidates.count - count)
  }

  private mutating func keepAboveShare() {
    var largest = -Float.infinity
    for candidate in candidates { largest = max(largest, candidate.logit) }
    let least = largest + logf(options.minP)
    candidates.removeAll { $0.logit < least }
  }

  private mutating func draw() -> Int32 {
    var largest = -Float.infinity
    for candidate in candidates { largest = max(largest, candidate.logit) }
    var sum = 0.0
    for index in candidates.indices {
      let weight = expf((candidates[index].logit - largest) / options.temperature)
      candidates[index].probability = weight
      sum += Double(weight)
    }
    var point = random.nextUnit() * sum
    for candidate in candidates {
      point -= Double(candidate.probability)
      if point < 0 { return candidate.id }
    }
    // Rounding may leave a rest: it belongs to the last token that can be drawn.
    return (candidates.last { $0.probability > 0 } ?? candidates[0]).id
  }

  /// Moves the `count` candidates of the greatest keys to the front, in descending order; of equal keys the
  /// lower id goes first. A heap, since it works in place.
  private static func select(
    _ count: Int, of candidates: UnsafeMutableBufferPointer<Candidate>, by key: (Candidate) -> Float
  ) {
    func isBefore(_ a: Candidate, _ b: Candidate) -> Bool {
      let (left, right) = (key(a), key(b))
      return left == right ? a.id < b.id : left > right
    }
    // A heap of the best `count`, with the worst of them on top.
    func sink(_ start: Int, _ end: Int) {
      var parent = start
      while true {
        var child = 2 * parent + 1
        guard child < end else { return }
        if child + 1 < end, isBefore(candidates[child], candidates[child + 1]) { child += 1 }
        guard isBefore(candidates[parent], candidates[child]) else { return }
        candidates.swapAt(parent, child)
        parent = child
      }
    }
    for index in stride(from: count / 2 - 1, through: 0, by: -1) { sink(index, count) }
    for index in count..<max(count, candidates.count) where isBefore(candidates[index], candidates[0]) {
      candidates.swapAt(index, 0)
      sink(0, count)
    }
    for end in stride(from: count - 1, to: 0, by: -1) {
      candidates.swapAt(0, end)
      sink(0, end)
    }
  }
}

/// SplitMix64 (Steele et al., 2014): the same numbers on every platform.
struct SplitMixGenerator: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var value = state
    value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
    value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
    return value ^ (value >> 31)
  }

  /// A number from 0 up to, not including, 1.
  mutating func nextUnit() -> Double { Double(next() >> 11) * 0x1p-53 }
}

/// The logarithm of the probability that the logits give a token.
package func logProbability(of id: Int32, in logits: UnsafeMutableBufferPointer<Float>) -> Float {
  var largest = -Float.infinity
  for logit in logits { largest = max(largest, logit) }
  var sum = 0.0
  for logit in logits { sum += Double(expf(logit - largest)) }
  return logits[Int(id)] - largest - Float(log(sum))
}
