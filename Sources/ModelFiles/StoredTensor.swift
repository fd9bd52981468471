/// A tensor as a file holds it: its name, its type, its shape and its bytes.
public struct StoredTensor: Sendable {
  /// The name, unique in its checkpoint.
  public let name: String
  /// How the elements are stored.
  public let type: TensorType
  /// The sizes of the dimensions, outermost first: `[rows, columns]` for a matrix.
  ///
  /// Blocks of quantised types lie along the last dimension. GGUF writes the sizes in the opposite order;
  /// here both formats look the same. A scalar has no dimension.
  public let shape: [Int]
  /// The file that holds the bytes, which live as long as it does.
  public let file: FileBytes
  /// The offset of the first byte in the file.
  public let offset: Int
  /// How many bytes the tensor takes.
  public let byteCount: Int

  /// How many elements the tensor has.
  public var elementCount: Int { shape.reduce(1, *) }

  /// The bytes, valid for as long as `file` lives.
  ///
  /// GGUF aligns tensors to 8 bytes at least; safetensors doesn't align them at all, so that elements must
  /// be loaded unaligned.
  public var bytes: UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(rebasing: file.bytes[offset..<offset + byteCount])
  }

  /// One of the tensors that are stacked in this one, of which it is the outermost dimension.
  ///
  /// - Parameter index: Which one, below `shape[0]`.
  package func slice(_ index: Int) -> StoredTensor {
    precondition(shape.count > 1 && index >= 0 && index < shape[0])
    let size = byteCount / shape[0]
    return StoredTensor(
      name: name, type: type, shape: Array(shape.dropFirst()), file: file, offset: offset + index * size,
      byteCount: size)
  }

  /// Calls `body` with the bytes, and keeps them alive meanwhile.
  public func withUnsafeBytes<Result, Failure: Error>(
    _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    defer { withExtendedLifetime(file) {} }
    return try body(bytes)
  }
}

extension StoredTensor: CustomStringConvertible {
  /// Name, type and shape: `blk.0.attn_q.weight Q4_K [64, 48]`.
  public var description: String { "\(name) \(type.name) \(shape)" }
}

/// A tensor that a writer is going to write: everything but the bytes.
public struct TensorDescription: Hashable, Sendable {
  /// The name.
  public var name: String
  /// How the elements are stored.
  public var type: TensorType
  /// The sizes of the dimensions, outermost first.
  public var shape: [Int]

  /// Describes a tensor.
  public init(name: String, type: TensorType, shape: [Int]) {
    self.name = name
    self.type = type
    self.shape = shape
  }

  /// How many bytes the tensor takes; nil if a size is negative, rows don't fill whole blocks, or the
  /// product overflows.
  public var byteCount: Int? { TensorSize.bytes(type: type, shape: shape) }
}

/// Sizes of tensors, with every product checked.
enum TensorSize {
  /// The product of `shape`, or nil if it overflows or a size is negative.
  static func elements(_ shape: [Int]) -> Int? {
    guard shape.allSatisfy({ $0 >= 0 }) else { return nil }
    if shape.contains(0) { return 0 }
    var product = 1
    for size in shape {
      let (next, overflow) = product.multipliedReportingOverflow(by: size)
      if overflow { return nil }
      product = next
    }
    return product
  }

  /// The bytes of a tensor, or nil if that isn't defined.
  static func bytes(type: TensorType, shape: [Int]) -> Int? {
    guard let elements = elements(shape), (shape.last ?? 1) % type.valuesPerBlock == 0 else { return nil }
    return type.byteCount(ofValues: elements)
  }
}
