import SalanganeTensors
import SalanganeTestSupport
import Testing

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

@Suite struct RouterTests {
  private func route(_ router: Router, _ logits: [Float]) -> [(expert: Int, weight: Float)] {
    var chosen = [Int32](repeating: -1, count: router.used)
    var weights = [Float](repeating: 0, count: router.used)
    var scratch = [Float](repeating: .nan, count: router.scratchCount)
    router.route(logits, chosen: &chosen, weights: &weights, scratch: &scratch)
    return zip(chosen, weights).map { (Int($0), $1) }
  }

  /// A router of the reference data, by its name there.
  private func router(_ name: String, bias: [Float]) -> Router {
    switch name {
    case "softmax": Router(experts: 12, used: 4, gate: .softmax, normalizes: false)
    case "normalized": Router(experts: 12, used: 4, gate: .softmax, normalizes: true)
    case "v2":
      Router(
        experts: 12, used: 3, gate: .softmax, groups: .init(count: 4, used: 2, score: .maximum),
        normalizes: false, scale: 16)
    default:
      Router(
        experts: 12, used: 4, gate: .sigmoid, bias: bias,
        groups: .init(count: 3, used: 2, score: .sumOfBestTwo),
        normalizes: true, scale: 2.5)
    }
  }

  /// The choices of transformers' routers: `Tests/Goldens/make_mixtures.py` makes them.
  @Test(arguments: ["softmax", "normalized", "v2", "v3"])
  func choosesAsTransformers(name: String) throws {
    let arrays = try NumPyArchive(contentsOf: TestFiles.golden("routers.npz"))
    let logits = try arrays["logits"].floats()
    let router = router(name, bias: try arrays["bias"].floats())
    let chosen = try arrays[name + "_chosen"].elements(Int32.self)
    let weights = try arrays[name + "_weights"].floats()
    let rows = logits.count / 12
    #expect(rows == 40 && chosen.count == rows * router.used)
    for row in 0..<rows {
      // The reference's are in the order of the experts.
      let result = route(router, Array(logits[row * 12..<row * 12 + 12])).sorted { $0.expert < $1.expert }
      let range = row * router.used..<(row + 1) * router.used
      #expect(result.map { Int32($0.expert) } == Array(chosen[range]))
      for (weight, expected) in zip(result.map(\.weight), weights[range]) {
        #expect(abs(weight - expected) < 2e-6 * max(1, expected))
      }
    }
  }

  /// A router and the sizes that it is tried with.
  struct Shape: CustomTestStringConvertible, Sendable {
    let experts: Int
    let used: Int
    let gate: Router.Gate
    let groups: Router.Groups?
    let hasBias: Bool
    let normalizes: Bool
    var testDescription: String {
      "\(used) of \(experts), \(gate), \(groups.map { "\($0.score)" } ?? "no groups")"
    }
  }
  static let shapes = [
    Shape(experts: 1, used: 1, gate: .softmax, groups: nil, hasBias: false, normalizes: true),
    Shape(experts: 5, used: 5, gate: .softmax, groups: nil, hasBias: true, normalizes: false),
    Shape(experts: 60, used: 4, gate: .softmax, groups: nil, hasBias: false, normalizes: false),
    Shape(
      experts: 160, used: 6, gate: .softmax, groups: .init(count: 8, used: 3, score: .maximum),
      hasBias: false,
      normalizes: false),
    Shape(
      experts: 256, used: 8, gate: .sigmoid, groups: .init(count: 8, used: 4, score: .sumOfBestTwo),
      hasBias: true, normalizes: true),
    Shape(
      experts: 6, used: 6, gate: .sigmoid, groups: .init(count: 3, used: 3, score: .sumOfBestTwo),
      hasBias: true, normalizes: true),
    Shape(
      experts: 4, used: 2, gate: .softmax, groups: .init(count: 4, used: 2, score: .maximum), hasBias: true,
      normalizes: true),
  ]

  /// Sorting in place of scanning, in double precision; logits of few values, so that there are many ties.
  @Test(arguments: shapes)
  func agreesWithSorting(shape: Shape) {
    var random = SplitMix64(seed: UInt64(shape.experts))
    let bias = random.floats(shape.experts, in: 0...1).map { ($0 * 8).rounded() / 8 }
    let router = Router(
      experts: shape.experts, used: shape.used, gate: shape.gate, bias: shape.hasBias ? bias : nil,
      groups: shape.groups, normalizes: shape.normalizes, scale: 1.5)
    for step: Float in [0.001, 1, 4] {
      for _ in 0..<50 {
        let logits = random.floats(shape.experts, in: -6...6).map { ($0 / step).rounded() * step }
        let result = route(router, logits)
        let expected = reference(shape, logits, bias: shape.hasBias ? bias : nil)
        #expect(result.map(\.expert) == expected.map(\.expert))
        for (weight, value) in zip(result.map(\.weight), expected.map(\.weight)) {
          #expect(abs(Double(weight) - 1.5 * value) < 1e-6)
        }
      }
    }
  }

  private func reference(
    _ shape: Shape, _ logits: [Float], bias: [Float]?
  ) -> [(expert: Int, weight: Double)] {
    // Ties are of floats: scores must be those.
    let scores: [Float]
    switch shape.gate {
    case .softmax:
      let exponentials = logits.map { expf($0 - logits.max()!) }
      let sum = exponentials.reduce(0, +)
      scores = exponentials.map { $0 / sum }
    case .sigmoid: scores = logits.map { 1 / (1 + expf(-$0)) }
    }
    let keys = scores.indices.map { scores[$0] + (bias?[$0] ?? 0) }
    func sorted(_ indices: some Sequence<Int>, by value: (Int) -> Float) -> [Int] {
      indices.sorted { value($0) != value($1) ? value($0) > value($1) : $0 < $1 }
    }
    var candidates = Array(keys.indices)
    if let groups = shape.groups {
      let size = shape.experts / groups.count
      let judged = (0..<groups.count).map { group in
        let best = keys[group * size..<(group + 1) * size].sorted(by: >)
        return groups.score == .maximum ? best[0] : best[0] + best[1]
      }
      let kept = sorted(0..<groups.count) { judged[$0] }.prefix(groups.used)
      candidates = candidates.filter { kept.contains($0 / size) }
    }
    let chosen = sorted(candidates) { keys[$0] }.prefix(shape.used)
    let sum = shape.normalizes ? chosen.reduce(0.0) { $0 + Double(scores[$1]) } : 1
    return chosen.map { ($0, Double(scores[$0]) / sum) }
  }

  @Test func ofEqualsTheLowerIndexGoesFirst() {
    let plain = Router(experts: 6, used: 3, gate: .softmax, normalizes: true)
    #expect(route(plain, [0, 1, 1, 0, 1, 1]).map(\.expert) == [1, 2, 4])
    let grouped = Router(
      experts: 6, used: 2, gate: .sigmoid, groups: .init(count: 3, used: 1, score: .sumOfBestTwo),
      normalizes: true)
    #expect(route(grouped, [0, 1, 1, 0, -9, 9]).map(\.expert) == [1, 0])
  }

  /// The bias takes part in the choice and not in the weights.
  @Test func biasIsForTheChoiceOnly() {
    let router = Router(experts: 3, used: 1, gate: .sigmoid, bias: [0, 0, 5], normalizes: false)
    let result = route(router, [2, 1, 0])
    #expect(result.map(\.expert) == [2] && result.map(\.weight) == [0.5])
  }

  /// Logits that aren't finite can't be passed over in silence.
  @Test(arguments: [Float.nan, .infinity, -.infinity], [Router.Gate.softmax, .sigmoid])
  func notFinite(value: Float, gate: Router.Gate) {
    let router = Router(experts: 4, used: 2, gate: gate, normalizes: true)
    for place in 0..<4 {
      var logits: [Float] = [1, 2, 3, 4]
      logits[place] = value
      let result = route(router, logits)
      #expect(result.allSatisfy { (0..<4).contains($0.expert) && $0.weight.isNaN })
    }
  }

  /// Weights that vanish stay zero.
  @Test func vanishingWeights() {
    let router = Router(experts: 3, used: 2, gate: .sigmoid, normalizes: true)
    #expect(route(router, [-200, -200, -200]).map(\.weight) == [0, 0])
  }
}

@Suite struct ExpertAssignmentTests {
  /// Every slot belongs to one row and one expert, in the order of both.
  @Test(arguments: [(experts: 1, used: 1, rows: 5), (4, 2, 1), (4, 2, 33), (64, 3, 200), (7, 7, 9)])
  func slotsAreSorted(experts: Int, used: Int, rows: Int) {
    var random = SplitMix64(seed: UInt64(rows))
    let assignment = ExpertAssignment(experts: experts, used: used)
    let input = Matrix(rows: rows, columns: 16)
    let out = Matrix(rows: rows * used, columns: 16)
    assignment.reserve(rows: rows)
    for _ in 0..<3 {
      var choices: [[Int]] = []
      for row in 0..<rows {
        let chosen = Array((0..<experts).shuffled(using: &random).prefix(used))
        for (rank, expert) in chosen.enumerated() { assignment.chosen[row * used + rank] = Int32(expert) }
        choices.append(chosen)
      }
      assignment.sort(rows: rows)
      var slots: [(expert: Int, row: Int)] = Array(repeating: (-1, -1), count: rows * used)
      for (row, chosen) in choices.enumerated() {
        for (rank, expert) in chosen.enumerated() {
          let slot = Int(assignment.slots[row * used + rank])
          #expect(slots[slot] == (-1, -1))
          slots[slot] = (expert, row)
        }
      }
      #expect(
        slots.map { [$0.expert, $0.row] }
          == slots.map { [$0.expert, $0.row] }.sorted { $0.lexicographicallyPrecedes($1) })
      var next = 0
      for group in assignment.groups(input: input, gathers: true, out: out) {
        let expert = group.member
        #expect(group.out == out.row(next) && group.x == UnsafePointer(input.row(0)))
        for index in 0..<group.rows {
          #expect(slots[next].expert == expert && slots[next].row == Int(group.gathered?[index] ?? -1))
          next += 1
        }
      }
      #expect(next == rows * used)
    }
  }
}
