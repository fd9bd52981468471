import SalanganeKernels
import SalanganeTensors

/// Several linear layers of one shape and without biases, whose weights lie in one store: the experts of a
/// mixture, or the heads of an attention. Each row of an input goes through one of them.
///
/// How weights are stored is `Linear`'s business: the bank is one layer with the features of all members, each
/// from a multiple of 16 on. As there, output features may come in several runs whose weights have different forms.
package struct LinearBank: Sendable {
  /// Some output features of all members.
  struct Run: Sendable {
    let weights: Linear.Weights
    /// Output features of each member.
    let outputs: Int
  }

  /// How many layers there are.
  package let count: Int
  /// Output features of each.
  package let outputs: Int
  /// Input features of each.
  package let inputs: Int

  let runs: [Run]

  /// Puts runs together.
  init(_ runs: [Run], count: Int, inputs: Int) {
    self.runs = runs
    self.count = count
    self.inputs = inputs
    outputs = runs.reduce(0) { $0 + $1.outputs }
  }

  /// Bytes that the weights take in memory.
  package var byteCount: Int { runs.reduce(0) { $0 + $1.weights.byteCount } }

  /// Runs every group through its member.
  ///
  /// - Parameters:
  ///   - x: The groups' input: how far its rows are apart, and what is done to them.
  ///   - outStride: Floats from one row of the results to the next.
  ///   - groups: The groups.
  package func callAsFunction(
    _ input: GroupedProduct.Input = .plain, xStride: Int, outStride: Int,
    _ groups: UnsafeMutableBufferPointer<ProductGroup>, _ context: ComputeContext
  ) {
    var first = 0
    for run in runs {
      let product = GroupedProduct(
        xStride: xStride, input: input, outputs: run.outputs, firstColumn: first, outStride: outStride)
      switch run.weights {
      case .packed(let matrix): context.groupedMatmul(product, matrix, groups: groups)
      case .dense(let matrix): context.groupedMatmul(product, matrix, groups: groups)
      case .quantized(let matrix): context.groupedMatmul(product, matrix, groups: groups)
      }
      first += run.outputs
    }
  }
}
