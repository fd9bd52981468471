import SalanganeTensors

/// A form of weights whose products are measured: add one to `all` and it is in the report.
struct WeightForm: Sendable {
  /// Weights in memory, and the product with them.
  struct Weights {
    /// Bytes that a product reads of them.
    let byteCount: Int
    /// `out = x w^T`.
    let multiply: (_ x: Matrix, _ out: Matrix) -> Void
  }

  /// The type in the field's name.
  let type: String
  /// Who multiplies.
  let backend: String
  /// The ceiling of products with many rows; that of products with one row is always memory.
  let ceiling: Ceiling
  /// Makes random weights `[outputs, inputs]`.
  let make: @Sendable (_ outputs: Int, _ inputs: Int, ComputeContext) -> Weights

  /// All forms that are measured, in the order of the report.
  static let all: [WeightForm] = [
    WeightForm(type: "F32", backend: "native", ceiling: .f32) { outputs, inputs, context in
      let weights = PackedMatrix(rows: outputs, columns: inputs, context: context, decodeRow: random(inputs))
      return Weights(byteCount: weights.byteCount) { x, out in
        context.matmul(x, weights, bias: nil, into: out)
      }
    },
    WeightForm(type: "F32", backend: "openblas", ceiling: .f32) { outputs, inputs, context in
      let weights = DenseMatrix(rows: outputs, columns: inputs, context: context, decodeRow: random(inputs))
      return Weights(byteCount: weights.byteCount) { x, out in
        context.matmul(x, weights, bias: nil, into: out)
      }
    },
  ]

  /// Writes rows of normally distributed numbers, of which there is a limited number.
  static func random(_ count: Int) -> (_ row: Int, _ destination: UnsafeMutablePointer<Float>) -> Void {
    { row, destination in
      numbers.withUnsafeBufferPointer { numbers in
        guard let base = numbers.baseAddress else { return }
        var position = row * 4099 % numbers.count
        var done = 0
        while done < count {
          let part = min(count - done, numbers.count - position)
          (destination + done).update(from: base + position, count: part)
          done += part
          position = 0
        }
      }
    }
  }

  private static let numbers = [Float](unsafeUninitializedCapacity: 1 << 16) { buffer, count in
    var normals = NormalGenerator(seed: 1)
    if let base = buffer.baseAddress { normals.fill(base, count: buffer.count, deviation: 1) }
    count = buffer.count
  }
}
