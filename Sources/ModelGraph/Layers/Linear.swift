import SalanganeTensors

/// How float matrix products are computed.
public enum MatmulBackend: String, CaseIterable, Sendable {
  /// Own kernels: every sum in one fixed order, so that results don't depend on the batch or the threads.
  case native
  /// The system's OpenBLAS: results may differ in the last bits from batch to batch.
  case openBLAS = "openblas"
}

/// A linear layer, `y = x w^T + b`, with its weights in the form that its backend takes.
package struct Linear: Sendable {
  private enum Weights: Sendable {
    case packed(PackedMatrix)
    case dense(DenseMatrix)
  }

  private let weights: Weights
  private let bias: FloatBuffer?

  /// Input features.
  package let inputs: Int
  /// Output features.
  package let outputs: Int

  /// Loads a layer whose weights are computed with as floats.
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
    switch backend {
    case .native:
      let matrix = PackedMatrix(rows: outputs, columns: inputs, context: context, decodeRow: decodeRow)
      self.init(.packed(matrix), outputs: outputs, inputs: inputs, bias: bias)
    case .openBLAS:
      let matrix = DenseMatrix(rows: outputs, columns: inputs, context: context, decodeRow: decodeRow)
      self.init(.dense(matrix), outputs: outputs, inputs: inputs, bias: bias)
    }
  }

  /// Loads a layer whose weights stay as they are stored, for own kernels.
  ///
  /// - Parameters:
  ///   - element: What the weights are stored as.
  ///   - copyRow: Writes the `inputs` weights of one output feature, each an `element`; called from the team's
  ///     threads.
  package init(
    outputs: Int, inputs: Int, bias: [Float]?, element: PackedMatrix.Element, context: ComputeContext,
    copyRow: (_ row: Int, _ destination: UnsafeMutableRawPointer) -> Void
  ) {
    let matrix = PackedMatrix(
      rows: outputs, columns: inputs, element: element, context: context, copyRow: copyRow)
    self.init(.packed(matrix), outputs: outputs, inputs: inputs, bias: bias)
  }

  private init(_ weights: Weights, outputs: Int, inputs: Int, bias: [Float]?) {
    self.weights = weights
    self.outputs = outputs
    self.inputs = inputs
    self.bias = bias.map { bias in
      precondition(bias.count == outputs)
      // Whole panels: the kernels read 16 at a time.
      let buffer = FloatBuffer(count: (outputs + 15) & ~15)
      buffer.base.initialize(repeating: 0, count: buffer.count)
      buffer.base.update(from: bias, count: outputs)
      return buffer
    }
  }

  /// Bytes that the weights take in memory.
  package var byteCount: Int {
    switch weights {
    case .packed(let matrix): matrix.byteCount
    case .dense(let matrix): matrix.byteCount
    }
  }

  /// `out = activation(x w^T + b)`; `x` is `[rows, inputs]`, `out` `[rows, outputs]`.
  package func callAsFunction(
    _ x: Matrix, activation: Activation = .none, into out: Matrix, _ context: ComputeContext
  ) {
    let bias = bias.map { UnsafePointer($0.base) }
    switch weights {
    case .packed(let matrix): context.matmul(x, matrix, bias: bias, activation: activation, into: out)
    case .dense(let matrix): context.matmul(x, matrix, bias: bias, activation: activation, into: out)
    }
  }
}
