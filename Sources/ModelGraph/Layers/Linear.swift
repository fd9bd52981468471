import SalanganeTensors

/// How float matrix products are computed.
public enum MatmulBackend: String, CaseIterable, Sendable {
  /// Own kernels: every sum in one fixed order, so that results don't depend on the batch or the threads.
  case native
  /// The system's OpenBLAS: results may differ in the last bits from batch to batch.
  case openBLAS = "openblas"
}

/// A linear layer, `y = x w^T + b`, with its weights in the form that its backend takes.
///
/// Its output features may come in several runs whose weights have different forms.
package struct Linear: Sendable {
  /// The forms of weights.
  enum Weights: Sendable {
    case packed(PackedMatrix)
    case dense(DenseMatrix)
    case quantized(QuantizedMatrix)

    /// Bytes that the weights take in memory.
    var byteCount: Int {
      switch self {
      case .packed(let matrix): matrix.byteCount
      case .dense(let matrix): matrix.byteCount
      case .quantized(let matrix): matrix.byteCount
      }
    }
  }

  /// Some output features that follow each other.
  struct Run: Sendable {
    let weights: Weights
    let outputs: Int
  }

  let runs: [Run]
  private let bias: FloatBuffer?

  /// Input features.
  package let inputs: Int
  /// Output features.
  package let outputs: Int

  /// Puts runs together.
  ///
  /// - Parameters:
  ///   - inputs: Input features.
  ///   - bias: As many floats as there are output features, or nil.
  init(_ runs: [Run], inputs: Int, bias: [Float]?) {
    let outputs = runs.reduce(0) { $0 + $1.outputs }
    self.runs = runs
    self.outputs = outputs
    self.inputs = inputs
    self.bias = bias.map { bias in
      precondition(bias.count == outputs)
      // Whole panels for every run: the kernels read 16 at a time.
      let buffer = FloatBuffer(count: outputs + 16)
      buffer.base.initialize(repeating: 0, count: buffer.count)
      buffer.base.update(from: bias, count: outputs)
      return buffer
    }
  }

  /// Loads a layer of float weights.
  ///
  /// - Parameters:
  ///   - outputs: Output features.
  ///   - inputs: Input features.
  ///   - bias: `outputs` floats, or nil.
  ///   - decodeRow: Writes the `inputs` weights of one output feature; called from the team's threads.
  package init(
    outputs: Int, inputs: Int, bias: [Float]?, backend: MatmulBackend, context: ComputeContext,
    decodeRow: (_ row: Int, _ destination: UnsafeMutablePointer<Float>) -> Void
  ) {
    let weights = Weights(
      rows: outputs, columns: inputs, backend: backend, context: context, decodeRow: decodeRow)
    self.init([Run(weights: weights, outputs: outputs)], inputs: inputs, bias: bias)
  }

  /// Bytes that the weights take in memory.
  package var byteCount: Int { runs.reduce(0) { $0 + $1.weights.byteCount } }

  /// `out = activation(x w^T + b)`; `x` is `[rows, inputs]`, `out` `[rows, outputs]`.
  package func callAsFunction(
    _ x: Matrix, activation: Activation = .none, into out: Matrix, _ context: ComputeContext
  ) {
    var first = 0
    var isQuantized = false
    for run in runs {
      let bias = bias.map { UnsafePointer($0.base + first) }
      let place = runs.count == 1 ? out : out.columns(first..<first + run.outputs)
      switch run.weights {
      case .packed(let matrix): context.matmul(x, matrix, bias: bias, activation: activation, into: place)
      case .dense(let matrix): context.matmul(x, matrix, bias: bias, activation: activation, into: place)
      case .quantized(let matrix):
        if !isQuantized { context.quantize(x) }
        isQuantized = true
        context.multiplyQuantized(matrix, bias: bias, activation: activation, into: place)
      }
      first += run.outputs
    }
  }
}

extension Linear.Weights {
  /// Float weights in the form of a backend.
  init(
    rows: Int, columns: Int, backend: MatmulBackend, context: ComputeContext,
    decodeRow: (_ row: Int, _ destination: UnsafeMutablePointer<Float>) -> Void
  ) {
    switch backend {
    case .native:
      self = .packed(PackedMatrix(rows: rows, columns: columns, context: context, decodeRow: decodeRow))
    case .openBLAS:
      self = .dense(DenseMatrix(rows: rows, columns: columns, context: context, decodeRow: decodeRow))
    }
  }
}
