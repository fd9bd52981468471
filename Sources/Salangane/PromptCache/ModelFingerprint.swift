import SalanganeFiles
import SalanganeKernels
import SalanganeModelGraph

/// A number for everything that the keys and values of a token depend on, besides the tokens before it and how they
/// are stored: keys and values are good for every model with the same fingerprint, and for no other.
///
/// It covers the version of the computation, the instruction set, the forms of the weights, how many experts a token
/// uses, all metadata of the files, the names, types and shapes of all tensors, and of their bytes a sample: tensors
/// up to 64 KiB whole (norms, biases, routers), of larger ones 256 pieces of 256 bytes, evenly spread. Two models that
/// were trained differ nearly everywhere, so that a sample tells them apart; a file in which somebody changed a few
/// numbers by hand may have the fingerprint of the original. A sample is read in milliseconds, whatever the size of
/// the files. Threads, the context length and the order of weights in memory are left out, since results don't depend
/// on them.
struct ModelFingerprint: Equatable, Sendable {
  /// Raised whenever a change to the engine changes the bits of keys and values.
  static let computationVersion: UInt64 = 4

  /// The fingerprint.
  private(set) var value: UInt64 = computationVersion

  private static let wholeBytes = 64 << 10
  private static let pieceCount = 256
  private static let pieceBytes = 256

  /// Takes a model's fingerprint.
  ///
  /// - Parameters:
  ///   - checkpoint: The model's files.
  ///   - options: How it is loaded.
  ///   - usedExperts: How many experts a token uses; 0 without a mixture.
  ///   - set: The kernels.
  /// - Throws: `ModelFileError` if its configuration can't be read.
  init(
    _ checkpoint: Checkpoint, _ options: ModelOptions, usedExperts: Int, _ set: InstructionSet
  ) throws(ModelFileError) {
    #if arch(x86_64)
      add("x86_64")
    #else
      add("arm64")
    #endif
    add(set.rawValue)
    add(options.backend.rawValue)
    add(options.precision.rawValue)
    add(usedExperts)
    add(checkpoint.format.rawValue)
    if let gguf = checkpoint.gguf {
      for file in gguf.files { add(header: file, checkpoint) }
    } else if let directory = checkpoint.directory {
      add(try directory.bytes("config.json"))
    }
    add(checkpoint.tensors.count)
    for tensor in checkpoint.tensors { add(tensor) }
  }

  /// What stands before the first tensor: the metadata.
  private mutating func add(header file: FileBytes, _ checkpoint: Checkpoint) {
    var end = file.count
    for tensor in checkpoint.tensors where tensor.file === file { end = min(end, tensor.offset) }
    add(UnsafeRawBufferPointer(rebasing: file.bytes[..<end]))
    withExtendedLifetime(file) {}
  }

  private mutating func add(_ tensor: StoredTensor) {
    add(tensor.name)
    add(tensor.type.name)
    add(tensor.shape.count)
    for size in tensor.shape { add(size) }
    tensor.withUnsafeBytes { bytes in
      guard bytes.count > Self.wholeBytes else { return add(bytes) }
      let last = bytes.count - Self.pieceBytes
      for piece in 0..<Self.pieceCount {
        // The first piece lies at the start, the last one at the end.
        let start = Int((Double(piece) / Double(Self.pieceCount - 1) * Double(last)).rounded(.down))
        add(UnsafeRawBufferPointer(rebasing: bytes[start..<start + Self.pieceBytes]))
      }
    }
  }

  private mutating func add(_ bytes: UnsafeRawBufferPointer) { value = Checksum.hash(bytes, seed: value) }

  private mutating func add(_ bytes: [UInt8]) { value = Checksum.hash(bytes, seed: value) }

  private mutating func add(_ text: String) { add(Array(text.utf8)) }

  private mutating func add(_ number: Int) {
    withUnsafeBytes(of: UInt64(bitPattern: Int64(number)).littleEndian) { add($0) }
  }
}
