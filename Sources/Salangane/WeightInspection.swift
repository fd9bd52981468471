import SalanganeFiles
import SalanganeTensors

extension NumericFault {
  /// Looks for the cause of a fault in the weights of its place.
  ///
  /// The model's files are opened once more: loaded weights no longer have names. Files that have gone or changed
  /// name nothing.
  ///
  /// - Throws: `CancellationError`.
  init(_ place: Place, inModelAt path: String, _ cancellation: Cancellation) throws {
    self.init(place)
    guard let checkpoint = try? Checkpoint(path: path) else { return }
    for stored in checkpoint.tensors where place.mayUse(stored.name) {
      if try Self.hasOddValues(stored, cancellation) {
        tensor = stored.name
        return
      }
    }
  }

  /// Whether a tensor of weights holds values that aren't finite.
  private static func hasOddValues(_ tensor: StoredTensor, _ cancellation: Cancellation) throws -> Bool {
    guard TensorEncoder.isFloat(tensor.type), let rows = try? StoredRows(tensor), rows.columns > 0 else {
      return false
    }
    let values = FloatBuffer(count: rows.columns)
    for row in 0..<rows.count {
      if row & 63 == 0 { try cancellation.check() }
      rows.decode(row..<row + 1, into: values.base)
      if !UnsafeBufferPointer(start: values.base, count: rows.columns).allSatisfy(\.isFinite) { return true }
    }
    return false
  }
}

extension NumericFault.Place {
  /// Whether a tensor of this name, in any of the formats that we read, belongs to the place.
  fileprivate func mayUse(_ name: String) -> Bool {
    // `blk.3.attn_q.weight`, `model.layers.3.mlp.experts.7.up_proj.weight`: the layer is the first number.
    let layer = name.split(separator: ".").lazy.compactMap { Int($0) }.first
    let isAttention = name.contains("attn") || name.contains("attention")
    let isEmbedding = name.contains("embd") || name.contains("embed")
    return switch self {
    case .embeddings: layer == nil && isEmbedding
    case .attention(let index): layer == index && isAttention
    case .feedForward(let index): layer == index && !isAttention
    // The embeddings may be the output matrix too.
    case .output: layer == nil
    }
  }
}
