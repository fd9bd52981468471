import SalanganeFiles
import SalanganeModelGraph

/// A model in the form in which GGUF has it: metadata and tensors, before their types are chosen.
struct ExportedModel: Sendable {
  /// A tensor that is written.
  struct Tensor: Sendable {
    /// Its name in GGUF.
    let name: String
    /// The sizes of its dimensions, outermost first.
    let shape: [Int]
    /// The type it has if nothing else is asked for.
    let type: TensorType
    /// The stored tensor, if its bytes can be written as they are.
    let unchanged: StoredTensor?
    /// The file and the tensor that errors about its values name.
    let origin: (file: String, tensor: String)
    /// Its values.
    let rows: @Sendable () throws -> any TensorRows
  }

  /// A writer with all metadata, and without tensors.
  let writer: GGUFWriter
  /// The tensors, in the order in which they are written.
  let tensors: [Tensor]
  /// What the choice of types depends on.
  let facts: TensorTypeChooser.Model

  /// Prepares a checkpoint.
  ///
  /// - Throws: `ModelFileError` for a model that can't be converted.
  init(_ checkpoint: Checkpoint) throws(ModelFileError) {
    if let gguf = checkpoint.gguf {
      try self.init(gguf, checkpoint.hyperparameters)
    } else if let directory = checkpoint.directory {
      try self.init(checkpoint, directory)
    } else {
      preconditionFailure("what isn't a GGUF file is in a directory")
    }
  }

  /// Converts a model directory.
  private init(_ checkpoint: Checkpoint, _ directory: ModelDirectory) throws(ModelFileError) {
    let converter: ModelConverter
    if BERT.names.contains(checkpoint.architecture) {
      converter = try .bert(checkpoint, directory)
    } else if let family = DecoderFamily(checkpoint.architecture) {
      converter = try .decoder(checkpoint, directory, family)
    } else {
      throw ModelFileError(
        .unsupported, file: checkpoint.hyperparameters.file, subject: "model_type",
        expectation:
          "expected one of \(DecoderFamily.modelTypes.joined(separator: ", ")) or bert to convert, "
          + "found \"\(checkpoint.architecture)\"")
    }
    writer = converter.writer
    tensors = converter.tensors
    facts = converter.facts
  }

  /// Takes over a GGUF file as it is, but for the division into parts.
  private init(_ gguf: GGUFFile, _ values: Hyperparameters) throws(ModelFileError) {
    var writer = GGUFWriter(metadata: gguf.metadata)
    for key in ["split.no", "split.count", "split.tensors.count"] { writer.remove(key) }
    self.writer = writer
    tensors = gguf.tensors.map { stored in
      Tensor(
        name: stored.name, shape: stored.shape, type: stored.type, unchanged: stored,
        origin: (stored.file.path, stored.name), rows: { try StoredRows(stored) })
    }
    let heads = try values.optionalInts(.headCount)?.first ?? 1
    let keyValueHeads = try values.optionalInts(.keyValueHeadCount)?.first ?? heads
    facts = TensorTypeChooser.Model(
      architecture: values.architecture, layers: try values.int(.layerCount, in: 0...1024, default: 0),
      experts: try values.int(.expertCount, default: 0),
      headsPerKeyValueHead: keyValueHeads > 0 ? heads / keyValueHeads : 0)
  }

  /// Chooses the tensors' types.
  ///
  /// - Throws: `ModelFileError` for a tensor that is quantised already, in another type, unless the options
  ///   allow that, and for one that has no decoding.
  func types(_ options: ModelQuantizer.Options) throws(ModelFileError) -> [TensorType] {
    let choices = TensorTypeChooser.types(
      options.scheme, model: facts, tensors: tensors.map { ($0.name, $0.shape) })
    var types: [TensorType] = []
    for (tensor, choice) in zip(tensors, choices) {
      // Counts and ids aren't weights.
      let type = TensorEncoder.isFloat(tensor.type) ? choice ?? tensor.type : tensor.type
      if type != tensor.type, tensor.type.isQuantized, !options.allowsRequantizing {
        throw ModelFileError(
          .unsupported, file: tensor.origin.file, subject: tensor.origin.tensor,
          expectation:
            "expected float weights, found \(tensor.type.name); to quantise them again adds errors "
            + "to errors and must be allowed (--allow-requantize)")
      }
      types.append(type)
    }
    return types
  }
}
