import SalanganeFiles
import SalanganeTestSupport
import Testing

@Suite struct HyperparametersTests {
  private func configuration(_ text: String) throws -> Hyperparameters {
    try Hyperparameters(configuration: JSONDocument(Array(text.utf8), file: "config.json"))
  }

  /// The metadata of a GGUF file of architecture `qwen3` with these values.
  private func metadata(_ values: [(String, GGUFValue)]) throws -> Hyperparameters {
    let directory = try TemporaryDirectory()
    var writer = GGUFWriter()
    writer.set("general.architecture", .string("qwen3"))
    for (key, value) in values { writer.set(key, value) }
    try writer.write(to: directory.path("f.gguf")) { _, _ in }
    return try Hyperparameters(metadata: GGUFFile(path: directory.path("f.gguf")).metadata)
  }

  @Test func readsTheOldDialect() throws {
    let parameters = try configuration(
      """
      {"model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"], "hidden_size": 64, "rope_theta": 1e6,
       "rope_scaling": {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768},
       "rms_norm_eps": 1e-06, "tie_word_embeddings": true, "num_key_value_heads": null, "eos_token_id": 7,
       "hidden_act": "silu", "layer_types": ["full", "sliding"]}
      """)
    #expect(parameters.architecture == "qwen2")
    #expect(parameters.architectures == ["Qwen2ForCausalLM"])
    #expect(parameters.textArchitecture == nil)
    #expect(!parameters.isGGUF)
    #expect(try parameters.int(.hiddenSize) == 64)
    #expect(try parameters.float(.rotaryBase) == 1e6)
    #expect(try parameters.string(.rotaryScalingType) == "yarn")
    #expect(try parameters.float(.rotaryScalingFactor) == 4)
    #expect(try parameters.int(.rotaryOriginalContextLength) == 32_768)
    #expect(try parameters.float(.rmsNormEpsilon, in: 0...1) == 1e-6)
    #expect(try parameters.bool(.tiesEmbeddings, default: false))
    #expect(try parameters.optionalInt(.keyValueHeadCount) == nil)
    #expect(!parameters.contains(.keyValueHeadCount))
    #expect(try parameters.ints("eos_token_id") == [7])
    #expect(try parameters.string(.activation) == "silu")
    #expect(try parameters.optionalStrings("layer_types") == ["full", "sliding"])
    #expect(parameters.isArray("layer_types"))
    #expect(try parameters.int("none", default: 5) == 5)
  }

  @Test func readsTheNewDialect() throws {
    let parameters = try configuration(
      """
      {"model_type": "qwen3_5", "tie_word_embeddings": true, "hidden_size": 1,
       "text_config": {"model_type": "qwen3_5_text", "hidden_size": 32, "eos_token_id": [1, 2], "num_mtp_layers": 1,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000000, "partial_rotary_factor": 0.25}}}
      """)
    #expect(parameters.architecture == "qwen3_5")
    #expect(parameters.textArchitecture == "qwen3_5_text")
    #expect(try parameters.int(.hiddenSize) == 32)
    #expect(try parameters.float(.rotaryBase) == 1e7)
    #expect(try parameters.float(.partialRotaryFactor) == 0.25)
    #expect(try parameters.string(.rotaryScalingType) == "default")
    #expect(try parameters.ints("eos_token_id") == [1, 2])
    #expect(try parameters.int(.predictionLayerCount) == 1)
    #expect(try parameters.bool(.tiesEmbeddings, default: false))
  }

  @Test func newerPlacesGoBeforeOlderOnes() throws {
    let parameters = try configuration(
      #"{"model_type": "x", "rope_theta": 1, "rope_parameters": {"rope_theta": 2}, "rope_scaling": null}"#)
    #expect(try parameters.float(.rotaryBase) == 2)
    #expect(parameters.name(of: .rotaryBase) == "rope_parameters.rope_theta")
  }

  @Test func readsGGUF() throws {
    let parameters = try metadata([
      ("qwen3.embedding_length", .uint32(64)), ("qwen3.rope.freq_base", .float32(1e6)),
      ("qwen3.block_count", .int64(2)), ("tokenizer.ggml.token_type_count", .uint8(2)),
      ("qwen3.attention.head_count_kv", .array(GGUFArray([2, 4] as [Int32]))), ("qwen3.flag", .bool(true)),
      ("llama.context_length", .uint32(1)),
    ])
    #expect(parameters.architecture == "qwen3")
    #expect(parameters.isGGUF)
    #expect(try parameters.int(.hiddenSize) == 64)
    #expect(try parameters.int(.layerCount) == 2)
    #expect(try parameters.float(.rotaryBase) == 1e6)
    #expect(try parameters.int(.tokenTypeCount) == 2)
    #expect(try parameters.ints(.keyValueHeadCount) == [2, 4])
    #expect(parameters.isArray(.keyValueHeadCount))
    #expect(try parameters.ints(.layerCount) == [2])
    #expect(try parameters.optionalBool(.gguf("flag")) == true)
    #expect(try parameters.optionalInt(.contextLength) == nil)
    #expect(parameters.name(of: .contextLength) == "qwen3.context_length")
  }

  @Test(arguments: [
    ("1e30", "hidden_size: expected an integer from 1 to 100, found 1e+30"), ("0", "found 0"),
    ("101", "found 101"),
    ("1.5", "found 1.5"), ("\"64\"", "found \"64\""), ("true", "found true"), ("[64]", "found an array"),
    ("{}", "found an object"), ("null", "found nothing"), ("99999999999999999999", "found 1e+20"),
  ])
  func refusesBadIntegers(_ value: String, _ message: String) throws {
    let parameters = try configuration("{\"model_type\": \"x\", \"hidden_size\": \(value)}")
    let error = #expect(throws: ModelFileError.self) { try parameters.int(.hiddenSize, in: 1...100) }
    #expect(error?.kind == .malformed)
    #expect(error?.description.contains(message) == true, "\(error.map(\.description) ?? "")")
    #expect(error?.description.hasPrefix("config.json: hidden_size: ") == true)
  }

  @Test func refusesOtherBadValues() throws {
    let parameters = try configuration(
      #"{"model_type": "x", "a": [1, "2"], "b": "true", "c": 3, "rope_theta": -1}"#)
    #expect(throws: ModelFileError.self) { try parameters.optionalInts("a") }
    #expect(throws: ModelFileError.self) { try parameters.optionalFloats("a") }
    #expect(throws: ModelFileError.self) { try parameters.optionalStrings("a") }
    #expect(throws: ModelFileError.self) { try parameters.optionalBool("b") }
    #expect(throws: ModelFileError.self) { try parameters.string("c") }
    #expect(throws: ModelFileError.self) { try parameters.float(.rotaryBase, in: 1...1e12) }
    #expect(throws: ModelFileError.self) { try parameters.string("none") }

    let metadata = try metadata([
      ("qwen3.rope.freq_base", .float32(.infinity)), ("qwen3.block_count", .float32(2)),
      ("qwen3.embedding_length", .uint64(.max)), ("qwen3.x", .array(GGUFArray([.nan] as [Float]))),
      ("qwen3.y", .int32(-1)),
    ])
    #expect(throws: ModelFileError.self) { try metadata.float(.rotaryBase) }
    #expect(throws: ModelFileError.self) { try metadata.int(.layerCount) }
    #expect(throws: ModelFileError.self) { try metadata.int(.hiddenSize) }
    #expect(throws: ModelFileError.self) { try metadata.optionalFloats(.gguf("x")) }
    let error = #expect(throws: ModelFileError.self) { try metadata.int(.gguf("y")) }
    #expect(error?.description.hasSuffix("qwen3.y: expected an integer of at least 0, found -1") == true)
  }
}
