import SalanganeFiles

/// An architecture that is a bidirectional encoder.
package protocol EncoderArchitecture: Sendable {
  /// The names by which files call it: `model_type` in `config.json`, `general.architecture` in GGUF.
  static var names: [String] { get }

  /// Checks the hyper-parameters.
  ///
  /// - Throws: `ModelFileError` naming the key and what was expected.
  static func checkHyperparameters(_ checkpoint: Checkpoint) throws(ModelFileError)

  /// Loads a model of the architecture.
  ///
  /// - Throws: `ModelFileError` for a file that isn't what the architecture expects; `CancellationError`.
  static func loadEncoder(_ loader: WeightLoader) throws -> Encoder
}

/// An architecture that is a causal decoder: its hyper-parameters and its tensors' names.
package protocol DecoderArchitecture: Sendable {
  /// The names by which files call it: `model_type` in `config.json`, `general.architecture` in GGUF.
  static var names: [String] { get }

  /// Reads and checks the hyper-parameters.
  ///
  /// - Throws: `ModelFileError` naming the key and what was expected.
  static func configuration(_ checkpoint: Checkpoint) throws(ModelFileError) -> DecoderConfiguration

  /// What the tensors are called in safetensors.
  static func tensorNames(_ checkpoint: Checkpoint) -> DecoderTensorNames

  /// Loads a model of the architecture.
  ///
  /// - Parameters:
  ///   - loader: Reads the checkpoint.
  ///   - loadsHead: Whether logits will be asked for.
  /// - Throws: `ModelFileError` for a file that isn't what the architecture expects; `CancellationError`.
  static func loadDecoder(_ loader: WeightLoader, loadsHead: Bool) throws -> Decoder
}

extension DecoderArchitecture {
  /// Loads a model whose blocks are all alike.
  package static func loadDecoder(_ loader: WeightLoader, loadsHead: Bool) throws -> Decoder {
    let checkpoint = loader.checkpoint
    var configuration = try configuration(checkpoint)
    if let count = loader.options.usedExperts { configuration.setUsedExperts(count) }
    return try DecoderLoader(loader, configuration, tensorNames(checkpoint)).decoder(loadsHead: loadsHead)
  }
}

/// The architectures that the library runs: one line each.
package enum ArchitectureRegistry {
  /// The bidirectional encoders.
  package static let encoders: [any EncoderArchitecture.Type] = [
    BERT.self
  ]

  /// The causal decoders.
  package static let decoders: [any DecoderArchitecture.Type] = [
    Qwen.self,
    Qwen2.self,
    Qwen2MoE.self,
    Qwen3.self,
    Qwen3MoE.self,
    Llama.self,
    GLM.self,
    GLM4.self,
    GLM4MoE.self,
    GLM4MoELite.self,
    DeepSeek.self,
    DeepSeekV2.self,
    DeepSeekV3.self,
  ]

  /// The encoder architecture of a checkpoint.
  ///
  /// - Throws: `ModelFileError` (`unsupported`) naming the architecture if it isn't one of ours.
  package static func encoder(for checkpoint: Checkpoint) throws(ModelFileError)
    -> any EncoderArchitecture.Type
  {
    let name = checkpoint.architecture
    if let architecture = encoders.first(where: { $0.names.contains(name) }) { return architecture }
    throw unknown(checkpoint, known: encoders.flatMap { $0.names })
  }

  /// The decoder architecture of a checkpoint.
  ///
  /// - Throws: `ModelFileError` (`unsupported`) naming the architecture if it isn't one of ours.
  package static func decoder(for checkpoint: Checkpoint) throws(ModelFileError)
    -> any DecoderArchitecture.Type
  {
    let name = checkpoint.architecture
    if let architecture = decoders.first(where: { $0.names.contains(name) }) { return architecture }
    throw unknown(checkpoint, known: decoders.flatMap { $0.names })
  }

  /// What a model is made of.
  package enum Architecture: Sendable {
    /// A bidirectional encoder.
    case encoder(any EncoderArchitecture.Type)
    /// A causal decoder.
    case decoder(any DecoderArchitecture.Type)
  }

  /// The architecture of a checkpoint, of either kind.
  ///
  /// - Throws: `ModelFileError` (`unsupported`) naming the architecture if it isn't one of ours.
  package static func architecture(for checkpoint: Checkpoint) throws(ModelFileError) -> Architecture {
    let name = checkpoint.architecture
    if let architecture = encoders.first(where: { $0.names.contains(name) }) { return .encoder(architecture) }
    if let architecture = decoders.first(where: { $0.names.contains(name) }) { return .decoder(architecture) }
    throw unknown(checkpoint, known: encoders.flatMap { $0.names } + decoders.flatMap { $0.names })
  }

  /// Whether an architecture of this name is one of ours.
  package static func contains(_ name: String) -> Bool {
    encoders.contains { $0.names.contains(name) } || decoders.contains { $0.names.contains(name) }
  }

  /// Checks the hyper-parameters of a checkpoint without loading its weights.
  ///
  /// - Throws: `ModelFileError` naming the key and what was expected, or `unsupported`.
  package static func checkHyperparameters(of checkpoint: Checkpoint) throws(ModelFileError) {
    switch try architecture(for: checkpoint) {
    case .encoder(let architecture): try architecture.checkHyperparameters(checkpoint)
    case .decoder(let architecture): _ = try architecture.configuration(checkpoint)
    }
  }

  private static func unknown(_ checkpoint: Checkpoint, known: [String]) -> ModelFileError {
    ModelFileError(
      .unsupported, file: checkpoint.hyperparameters.file,
      subject: checkpoint.hyperparameters.isGGUF ? "general.architecture" : "model_type",
      expectation: "expected one of \(known.joined(separator: ", ")), found \"\(checkpoint.architecture)\"")
  }
}
