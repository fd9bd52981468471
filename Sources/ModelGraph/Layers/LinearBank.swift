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
    let padded = (outputs + 15) & ~15
    let weights = Linear.Weights(
      rows: count * padded, columns: inputs, backend: backend, context: context
    ) { row, destination in
      let feature = row % padded
      if feature < outputs {
        decodeRow(row / padded, feature, destination)
      } else {
        destination.update(repeating: 0, count: inputs)
      }
    }
    self.init(count: count, outputs: outputs, inputs: inputs, weights: weights)
  }

  /// Loads a bank whose members have the rows of some matrices, one after the other, in the form that the options
  /// give them.
  ///
  /// - Parameters:
  ///   - members: The matrices of each member.
  ///   - outputs: Output features of each.
  ///   - inputs: Input features of each.
  init(_ members: [[RowSource]], outputs: Int, inputs: Int, options: WeightOptions, context: ComputeContext) {
    let forms = members.joined().map { $0.quantizedForm(options) }
    let tables = members.map { RowTable($0) }
    guard let first = forms.first, let form = first, forms.allSatisfy({ $0 == form }) else {
      self.init(
        count: members.count, outputs: outputs, inputs: inputs, backend: options.backend, context: context
      ) { member, row, destination in tables[member].decode(row, into: destination) }
      return
    }
    let padded = (outputs + 15) & ~15
    let matrix = QuantizedMatrix(
      form, rows: members.count * padded, columns: inputs, packs: options.packs,
      source: BankRows(tables: tables, outputs: outputs, padded: padded), context: context)
    self.init(count: members.count, outputs: outputs, inputs: inputs, weights: .quantized(matrix))
  }

  private init(count: Int, outputs: Int, inputs: Int, weights: Linear.Weights) {
    self.count = count
    self.outputs = outputs
    self.inputs = inputs
    self.weights = weights
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
    case .quantized(let matrix): context.groupedMatmul(product, matrix, groups: groups)
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
    case .quantized: preconditionFailure("the heads' matrices are loaded as floats")
    }
  }
}

/// The rows of all members of a bank, each member's from a multiple of 16 on.
private struct BankRows: QuantizedRowSource {
  let tables: [RowTable]
  let outputs: Int
  let padded: Int

  func split(_ row: Int, codes: UnsafeMutablePointer<UInt8>, scales: UnsafeMutableRawPointer) {
    // Rows in between keep the zeros that they are given.
    guard row % padded < outputs else { return }
    tables[row / padded].split(row % padded, codes: codes, scales: scales)
  }
}
