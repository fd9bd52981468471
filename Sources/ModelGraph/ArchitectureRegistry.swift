import SalanganeFiles

/// An architecture that is a bidirectional encoder.
package protocol EncoderArchitecture: Sendable {
  /// The names by which files call it: `model_type` in `config.json`, `general.architecture` in GGUF.
  static var names: [String] { get }

  /// Loads a model of the architecture.
  ///
  /// - Throws: `ModelFileError` for a file that isn't what the architecture expects; `CancellationError`.
  static func loadEncoder(_ loader: WeightLoader) throws -> Encoder
}

/// The architectures that the library runs: one line each.
package enum ArchitectureRegistry {
  /// The bidirectional encoders.
  package static let encoders: [any EncoderArchitecture.Type] = [
    BERT.self
  ]

  /// The encoder architecture of a checkpoint.
  ///
  /// - Throws: `ModelFileError` (`unsupported`) naming the architecture if it isn't one of ours.
  package static func encoder(for checkpoint: Checkpoint) throws(ModelFileError)
    -> any EncoderArchitecture.Type
  {
    let name = checkpoint.architecture
    if let architecture = encoders.first(where: { $0.names.contains(name) }) { return architecture }
    let known = encoders.flatMap { $0.names }.joined(separator: ", ")
    throw ModelFileError(
      .unsupported, file: checkpoint.hyperparameters.file,
      subject: checkpoint.hyperparameters.isGGUF ? "general.architecture" : "model_type",
      expectation: "expected one of \(known), found \"\(name)\"")
  }
}
