import SalanganeKernels
import SalanganeTensors

/// Several linear layers of one shape and without biases, whose weights lie in one store: the experts of a
/// mixture, or the heads of an attention. Each row of an input goes through one of them.
///
/// How weights are stored is `Linear`'s business: the bank is one layer with the features of all members, each
/// from a multiple of 16 on.
package struct LinearBank: Sendable {
  /// How many layers there are.
  package let count: Int
  /// Output features of each.
  package let outputs: Int
  /// Input features of each.
  package let inputs: Int

  private let weights: Linear.Weights

  /// Loads a bank.
  ///
  /// - Parameters:
  ///   - count: How many layers there are.
  ///   - outputs: Output features of each.
  ///   - inputs: Input features of each.
  ///   - decodeRow: Writes the `inputs` weights of one output feature of a member; called from the team's
  ///     threads.
  package init(
    count: Int, outputs: Int, inputs: Int, backend: MatmulBackend, context: ComputeContext,
    decodeRow: (_ member: Int, _ row: Int, _ destination: UnsafeMutablePointer<Float>) -> Void
  ) {
    self.count = count
    self.outputs = outputs
    let padded = (outputs + 15) & ~15
    self.inputs = inputs
    weights = Linear.Weights(
      rows: count * padded, columns: inputs, backend: backend, context: context
    ) { row, destination in
      let feature = row % padded
      if feature < outputs {
        decodeRow(row / padded, feature, destination)
      } else {
        destination.update(repeating: 0, count: inputs)
      }
    }
  }

  /// Bytes that the weights take in memory.
  package var byteCount: Int { weights.byteCount }

  /// Panels of a member's weights: a member begins with panel `panels * member`.
  package var panels: Int { (outputs + 15) / 16 }

  /// Runs every group through the member that its first panel belongs to.
  ///
  /// - Parameters:
  ///   - product: What the groups have in common; its `outputs` are the bank's.
  ///   - groups: The groups.
  package func callAsFunction(
    _ product: GroupedProduct, _ groups: UnsafeMutableBufferPointer<ProductGroup>, _ context: ComputeContext
  ) {
    precondition(product.outputs == outputs)
    switch weights {
    case .packed(let matrix): context.groupedMatmul(product, matrix, groups: groups)
    case .dense(let matrix): context.groupedMatmul(product, matrix, groups: groups)
    case .quantized: preconditionFailure("a bank is loaded as floats")
    }
  }
}

extension LinearBank: HeadMatrices {
  package func copyRows(
    ofHead head: Int, to destination: UnsafeMutablePointer<Float>, kernels: KernelTable
  ) {
    switch weights {
    case .packed(let matrix):
      for panel in 0..<panels {
        matrix.copyRows(
          ofPanel: head * panels + panel, to: destination + panel * 16 * inputs, kernels: kernels)
      }
    case .dense(let matrix):
      destination.update(from: matrix.row(head * panels * 16), count: outputs * inputs)
    case .quantized: preconditionFailure("a bank is loaded as floats")
    }
  }
}
