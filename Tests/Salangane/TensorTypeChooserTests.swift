import Foundation
import Salangane
import SalanganeFiles
import SalanganeTestSupport
import Testing

/// The types that llama.cpp chooses (`Tests/Goldens/make_tensor_types.py`).
private struct TensorTypeGolden: Decodable {
  struct Model: Decodable {
    let architecture: String
    let layers: Int
    let experts: Int
    let heads: Int
    let key_value_heads: Int
    let outside: [Tensor]
    let blocks: [Blocks]
    /// By scheme, a letter for each tensor.
    let types: [String: String]

    var facts: TensorTypeChooser.Model {
      .init(
        architecture: architecture, layers: layers, experts: experts,
        headsPerKeyValueHead: heads / key_value_heads)
    }

    var tensors: [(name: String, shape: [Int])] {
      var tensors = outside.map { ($0.name, $0.shape) }
      var layer = 0
      for run in blocks {
        for _ in 0..<run.count {
          tensors += run.tensors.map { ("blk.\(layer).\($0.name)", $0.shape) }
          layer += 1
        }
      }
      return tensors
    }
  }

  struct Tensor: Decodable {
    let name: String
    let shape: [Int]

    init(from decoder: any Decoder) throws {
      var values = try decoder.unkeyedContainer()
      name = try values.decode(String.self)
      shape = try values.decode([Int].self)
    }
  }

  struct Blocks: Decodable {
    let count: Int
    let tensors: [Tensor]

    init(from decoder: any Decoder) throws {
      var values = try decoder.unkeyedContainer()
      count = try values.decode(Int.self)
      tensors = try values.decode([Tensor].self)
    }
  }

  let types: [String]
  let models: [String: Model]

  /// Read once for all tests.
  static let shared = Result {
    try JSONDecoder().decode(
      TensorTypeGolden.self, from: Data(try TestFiles.read(TestFiles.golden("tensor_types.json"))))
  }
}

@Suite struct TensorTypeChooserTests {
  @Test(arguments: [
    "qwen2.5-0.5b", "qwen3-0.6b", "llama-3-8b", "llama-3-70b", "llama-65b", "mixtral-8x7b", "qwen3-30b-a3b",
    "odd", "narrow", "glm-4-9b", "minilm",
  ])
  func typesAreThoseOfTheReference(name: String) throws {
    let golden = try TensorTypeGolden.shared.get()
    let model = try #require(golden.models[name])
    let tensors = model.tensors
    #expect(model.types.count == QuantizationScheme.allCases.count - 1)
    for (scheme, letters) in model.types {
      let scheme = try #require(QuantizationScheme(rawValue: scheme))
      let expected = letters.utf8.map { golden.types[Int($0 - UInt8(ascii: "a"))] }
      #expect(expected.count == tensors.count)
      let types = TensorTypeChooser.types(scheme, model: model.facts, tensors: tensors)
      for (index, tensor) in tensors.enumerated() {
        // Whatever isn't quantised keeps the type of the golden's source: F32 for vectors, F16 for matrices.
        let type = types[index]?.name ?? (tensor.shape.count == 1 ? "F32" : "F16")
        #expect(type == expected[index], "\(scheme.rawValue) \(tensor.name)")
      }
    }
  }

  @Test func fourBitFloatsForAll() {
    let tensors = [
      ("token_embd.weight", [8, 64]), ("blk.0.attn_v.weight", [8, 64]),
      ("blk.0.ffn_up_exps.weight", [2, 8, 64]),
      ("blk.0.attn_norm.weight", [64]), ("blk.0.ffn_down.weight", [8, 40]), ("output.weight", [8, 64]),
    ]
    let model = TensorTypeChooser.Model(
      architecture: "any", layers: 1, experts: 0, headsPerKeyValueHead: 1)
    let types = TensorTypeChooser.types(.mxfp4, model: model, tensors: tensors)
    #expect(types == [.q8_0, .mxfp4, .mxfp4, nil, .f16, .q8_0])
  }
}
