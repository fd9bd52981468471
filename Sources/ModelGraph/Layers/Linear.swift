import SalanganeKernels
import SalanganeTensors

/// How float matrix products are computed.
public enum MatmulBackend: String, CaseIterable, Sendable {
  /// Own kernels: every sum in one fixed order, so that results don't depend on the batch or the threads.
  case native
  /// The system's OpenBLAS: results may differ in the last bits from batch to batch.
  case openBLAS = "openblas"
}

/// What a linear layer takes: rows, and whether the context has them quantised already.
struct ProductInput {
  /// `[rows, inputs]`.
  let rows: Matrix
  /// Whether these are the rows that the context quantised last.
  let isQuantized: Bool

  init(_ rows: Matrix, isQuantized: Bool = false) {
    self.rows = rows
    self.isQuantized = isQuantized
  }
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
    multiply(ProductInput(x), activation: activation, into: out, context)
  }

  /// `out = x w^T + b`, of rows that may be quantised already.
  func callAsFunction(_ x: ProductInput, into out: Matrix, _ context: ComputeContext) {
    multiply(x, into: out, context)
  }

  /// `out = next(activation(x w^T + b))`, without writing what lies between if weights are quantised.
  ///
  /// - Parameters:
  ///   - x: `[rows, inputs]`.
  ///   - inner: `[rows, outputs]`, for temporary values.
  ///   - next: The layer that takes the result.
  ///   - out: `[rows, next.outputs]`.
  func callAsFunction(
    _ x: ProductInput, activation: Activation, then next: Linear, through inner: Matrix, into out: Matrix,
    _ context: ComputeContext
  ) {
    guard next.isQuantized, runs.count == 1, case .quantized(let matrix) = runs[0].weights,
      ComputeContext.canQuantizeResults(of: matrix)
    else {
      multiply(x, activation: activation, into: inner, context)
      return next(inner, into: out, context)
    }
    if !x.isQuantized { context.quantize(x.rows) }
    context.multiplyQuantizedInPlace(
      matrix, bias: bias.map { UnsafePointer($0.base) }, activation: activation)
    next(ProductInput(inner, isQuantized: true), into: out, context)
  }

  /// Whether all weights are quantised.
  var isQuantized: Bool {
    runs.allSatisfy { if case .quantized = $0.weights { true } else { false } }
  }

  /// `out = (silu(first half) * second half) w^T + b`, the end of a feed-forward network whose two first products
  /// lie side by side (SwiGLU; Shazeer, 2020).
  ///
  /// - Parameters:
  ///   - inner: `[rows, 2 * inputs]`; its first half may be written.
  ///   - out: `[rows, outputs]`.
  package func callAsFunction(gated inner: Matrix, into out: Matrix, _ context: ComputeContext) {
    let product = inner.columns(0..<inputs)
    if isQuantized {
      context.quantize(.gated(inner))
    } else {
      let phase = GatePhase(kernels: context.kernels, inner: inner, size: inputs)
      context.parallel(tasks: phase.tasks, phase)
    }
    multiply(ProductInput(product, isQuantized: isQuantized), into: out, context)
  }

  /// The product as it is computed for `x`, but where weights are quantised with activations of about 16 bits: what
  /// rounding to 8 bits leaves over is quantised once more, and multiplied too.
  ///
  /// - Parameters:
  ///   - x: `[rows, inputs]`.
  ///   - doubled: `[2 * rows, inputs]`, for temporary values.
  ///   - out: `[2 * rows, outputs]`; the result is in the first half of the rows.
  func refined(_ x: Matrix, doubled: Matrix, into out: Matrix, _ context: ComputeContext) {
    guard isQuantized else { return self(x, into: out.rows(0..<x.rows), context) }
    precondition(doubled.rows == 2 * x.rows && out.rows == 2 * x.rows)
    for row in 0..<x.rows { doubled.row(row).update(from: x.row(row), count: x.columns) }
    context.quantize(x)
    context.copyResiduals(of: x, to: doubled.rows(x.rows..<2 * x.rows))
    self(doubled, into: out, context)
    let sum = RefinementSum(
      kernels: context.kernels, rows: x.rows, bias: bias.map { UnsafePointer($0.base) }, out: out)
    context.parallel(tasks: sum.rows, sum)
  }

  /// The product, of rows that have been quantised or not.
  private func multiply(
    _ input: ProductInput, activation: Activation = .none, into out: Matrix, _ context: ComputeContext
  ) {
    let x = input.rows
    var first = 0
    var isQuantized = input.isQuantized
    for run in runs {
      let bias = bias.map { UnsafePointer($0.base + first) }
      // Kernels write whole panels: where the last one of a run would reach into the next row, the run's result is
      // computed elsewhere.
      let fits = first + (run.outputs + 15) & ~15 <= (outputs + 15) & ~15
      let place =
        runs.count == 1
        ? out : fits ? out.columns(first..<first + run.outputs) : Matrix(rows: x.rows, columns: run.outputs)
      switch run.weights {
      case .packed(let matrix): context.matmul(x, matrix, bias: bias, activation: activation, into: place)
      case .dense(let matrix): context.matmul(x, matrix, bias: bias, activation: activation, into: place)
      case .quantized(let matrix):
        if !isQuantized { context.quantize(x) }
        isQuantized = true
        context.multiplyQuantized(matrix, bias: bias, activation: activation, into: place)
      }
      if !fits {
        for row in 0..<x.rows { (out.row(row) + first).update(from: place.row(row), count: run.outputs) }
      }
      first += run.outputs
    }
  }
}

/// The sum of a product and of that of what was left over, a row a task.
private struct RefinementSum: ScratchPhase {
  let kernels: KernelTable
  let rows: Int
  let bias: UnsafePointer<Float>?
  /// `[2 * rows, outputs]`; the sum goes to the first half of the rows.
  let out: Matrix

  func run(task: Int, worker: Int, scratch: UnsafeMutablePointer<Float>) {
    let sum = out.row(task)
    kernels.addInPlace(out.columns, out.row(rows + task), sum)
    guard let bias else { return }
    // The bias came twice.
    for index in 0..<out.columns { sum[index] -= bias[index] }
  }
}

extension Linear.Weights {
  /// The bytes that float weights take in the form of a backend.
  static func byteCount(rows: Int, columns: Int, backend: MatmulBackend) -> Int {
    switch backend {
    case .native: PackedMatrix.byteCount(rows: rows, columns: columns)
    case .openBLAS: rows * columns * MemoryLayout<Float>.stride
    }
  }

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
