import SalanganeKernels
import SalanganeModelGraph
import SalanganeTensors
import SalanganeTestSupport
import Testing

/// A golden model with quantised weights: `Tests/Goldens/make_quantized.py` makes them.
struct QuantizedGolden: CustomTestStringConvertible, Sendable {
  let name: String
  /// The relative error of logits that activations of 8 bits may cause.
  let nativeError: Float
  /// Whether the most likely tokens are the same as with float activations.
  let keepsGreedy: Bool

  var golden: DecoderGolden { DecoderGolden(name: name, isGGUF: true) }
  var testDescription: String { name }

  /// Between them, all block formats; several in a layer.
  static let all = [
    QuantizedGolden(name: "legacy_q", nativeError: 0.05, keepsGreedy: true),
    QuantizedGolden(name: "k_mixed_q", nativeError: 0.05, keepsGreedy: true),
    QuantizedGolden(name: "grids_q", nativeError: 0.05, keepsGreedy: false),
  ]
}

/// The length of the difference of two vectors, over that of the second.
func relativeError(_ x: [Float], _ y: [Float]) -> Float {
  guard x.count == y.count else { return .infinity }
  let difference = zip(x, y).reduce(0.0) {
    $0 + (Double($1.0) - Double($1.1)) * (Double($1.0) - Double($1.1))
  }
  let length = y.reduce(0.0) { $0 + Double($1) * Double($1) }
  let error = Float((difference / length).squareRoot())
  return error.isFinite ? error : .infinity
}

@Suite struct QuantizedDecoderTests {
  /// Decoded weights and float activations: transformers' logits.
  @Test(arguments: QuantizedGolden.all, InstructionSet.available)
  func decodedWeightsAreTransformers(model: QuantizedGolden, set: InstructionSet) throws {
    let reference = try model.golden.reference()
    let session = try DecoderSession(path: model.golden.path, set, precision: .float)
    for prompt in 0..<3 {
      let ids = try reference["p\(prompt)_ids"].elements(Int32.self)
      let expected = try reference["p\(prompt)_logits"].floats()
      #expect(try greatestDifference(session.logits(ids), expected) < 5e-5)
    }
    let ids = try reference["p1_ids"].elements(Int32.self)
    #expect(try session.greedy(ids, count: 8) == reference["greedy"].elements(Int32.self))
  }

  /// Weights as they are stored and activations of 8 bits: near that.
  @Test(arguments: QuantizedGolden.all, InstructionSet.available)
  func storedWeightsAreNear(model: QuantizedGolden, set: InstructionSet) throws {
    let reference = try model.golden.reference()
    let session = try DecoderSession(path: model.golden.path, set)
    for prompt in 0..<3 {
      let ids = try reference["p\(prompt)_ids"].elements(Int32.self)
      let error = try relativeError(session.logits(ids), reference["p\(prompt)_logits"].floats())
      // Not the same, or nothing would be quantised.
      #expect(error > 1e-4 && error < model.nativeError)
    }
    let ids = try reference["p1_ids"].elements(Int32.self)
    let greedy = try session.greedy(ids, count: 8)
    if model.keepsGreedy { #expect(try greedy == reference["greedy"].elements(Int32.self)) }
  }

  /// Float weights requantised to 8 bits: near those of the file.
  @Test(arguments: ["glm4", "llama3"], InstructionSet.available)
  func floatWeightsAsIntegers(name: String, set: InstructionSet) throws {
    let golden = DecoderGolden(name: name, isGGUF: true)
    let reference = try golden.reference()
    let ids = try reference["p2_ids"].elements(Int32.self)
    let session = try DecoderSession(path: golden.path, set, precision: .int8)
    let logits = try session.logits(ids)
    let error = try relativeError(logits, reference["p2_logits"].floats())
    #expect(error > 1e-4 && error < 0.05)
  }

  /// The same bits, however prompts are cut, on any number of threads, packed or as they are in the file, token by
  /// token and together.
  @Test(arguments: QuantizedGolden.all, InstructionSet.available)
  func bitsDoNotDependOnTheWay(model: QuantizedGolden, set: InstructionSet) throws {
    let ids = try model.golden.reference()["p2_ids"].elements(Int32.self)
    let whole = try DecoderSession(path: model.golden.path, set, threads: 1).logits(ids)
    for threads in [1, 2, 3] {
      for packs in [true, false] {
        let session = try DecoderSession(path: model.golden.path, set, threads: threads, packs: packs)
        for chunk in [1, 2, 3, 4, 7, 16, 33] {
          let logits = try session.logits(ids, chunk: chunk)
          #expect(logits == whole, "\(threads) threads, chunks of \(chunk), packed: \(packs)")
        }
      }
    }
  }
}
