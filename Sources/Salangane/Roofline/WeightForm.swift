import SalanganeFiles
import SalanganeKernels
import SalanganeQuantization
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
  /// Values that a row is cut into, so that only multiples of it can be input features.
  let blockLength: Int
  /// Prepares random rows of as many values as there are input features, and returns what makes matrices of as
  /// many rows as there are output features.
  let prepare: @Sendable (_ inputs: Int, ComputeContext) -> (_ outputs: Int) -> Weights

  /// All forms that are measured, in the order of the report.
  static let all: [WeightForm] = [
    .float("F32", "native") { outputs, inputs, context in
      let weights = PackedMatrix(rows: outputs, columns: inputs, context: context, decodeRow: random(inputs))
      return Weights(byteCount: weights.byteCount) { context.matmul($0, weights, bias: nil, into: $1) }
    },
    .float("F32", "openblas") { outputs, inputs, context in
      let weights = DenseMatrix(rows: outputs, columns: inputs, context: context, decodeRow: random(inputs))
      return Weights(byteCount: weights.byteCount) { context.matmul($0, weights, bias: nil, into: $1) }
    },
    .quantized(.q4_0), .quantized(.q4_1), .quantized(.q5_0), .quantized(.q5_1), .quantized(.q8_0),
    .quantized(.q2_K), .quantized(.q3_K), .quantized(.q4_K), .quantized(.q5_K), .quantized(.q6_K),
    .quantized(.iq4_NL), .quantized(.iq4_XS), .quantized(.mxfp4),
  ]

  /// Weights that are multiplied by floats.
  private static func float(
    _ type: String, _ backend: String,
    make: @escaping @Sendable (_ outputs: Int, _ inputs: Int, ComputeContext) -> Weights
  ) -> WeightForm {
    WeightForm(type: type, backend: backend, ceiling: .f32, blockLength: 1) { inputs, context in
      { outputs in make(outputs, inputs, context) }
    }
  }

  /// Weights that are multiplied as they are stored, by activations of 8 bits.
  private static func quantized(_ type: TensorType) -> WeightForm {
    WeightForm(type: type.name, backend: "native", ceiling: .int8, blockLength: type.valuesPerBlock) {
      inputs, context in
      guard let form = QuantizedFormat(type), let rows = RandomBlocks(type, columns: inputs) else {
        preconditionFailure("\(type.name) has a packed form and an encoder")
      }
      return { outputs in
        let weights = QuantizedMatrix(
          form, rows: outputs, columns: inputs, packs: true, source: rows, context: context)
        return Weights(byteCount: weights.byteCount) { context.matmul($0, weights, bias: nil, into: $1) }
      }
    }
  }

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

/// Quantised rows, of which there is a limited number.
private struct RandomBlocks: QuantizedRowSource {
  private static let rowCount = 8

  private let bytes: [UInt8]
  private let rowBytes: Int
  private let blocksPerRow: Int
  private let format: any IntegerBlockFormat.Type

  /// Encodes rows of `columns` values; nil if the type has no encoder or no codes.
  init?(_ type: TensorType, columns: Int) {
    guard let format = Quantizer.format(of: type) as? any (EncodableBlockFormat & IntegerBlockFormat).Type
    else { return nil }
    self.format = format
    let blocks = columns / format.valuesPerBlock
    let rowBytes = blocks * format.bytesPerBlock
    blocksPerRow = blocks
    self.rowBytes = rowBytes
    let fill = WeightForm.random(columns)
    bytes = [UInt8](unsafeUninitializedCapacity: Self.rowCount * rowBytes) { buffer, count in
      withUnsafeTemporaryAllocation(of: Float.self, capacity: columns) { values in
        guard let values = values.baseAddress, let base = UnsafeMutableRawPointer(buffer.baseAddress) else {
          return
        }
        for row in 0..<Self.rowCount {
          fill(row, values)
          format.encode(values, count: blocks, into: base + row * rowBytes)
        }
      }
      count = Self.rowCount * rowBytes
    }
  }

  func split(_ row: Int, codes: UnsafeMutablePointer<UInt8>, scales: UnsafeMutableRawPointer) {
    bytes.withUnsafeBytes { bytes in
      guard let base = bytes.baseAddress else { return }
      format.split(
        base + row % Self.rowCount * rowBytes, count: blocksPerRow, codes: codes, scales: scales)
    }
  }
}
