import SalanganeFiles
import SalanganeKernels
import SalanganeTensors

extension WeightLoader {
  /// A bank out of the rows of stored matrices.
  ///
  /// - Parameters:
  ///   - members: For each member, the matrices whose rows follow each other: as many for each, with as many rows.
  ///   - inputs: Input features.
  /// - Throws: `ModelFileError` if there is no memory for it.
  func bank(_ members: [[RowSource]], inputs: Int) throws(ModelFileError) -> LinearBank {
    let forms = members[0].indices.map { form(of: members, part: $0) }
    var runs: [LinearBank.Run] = []
    var first = 0
    while first < forms.count {
      var end = first + 1
      while end < forms.count, forms[end] == forms[first] { end += 1 }
      let rows = BankRows(members.map { RowTable(Array($0[first..<end])) }, outputs: members[0][first..<end])
      if tally == nil {
        try expectMemory(
          for: forms[first].map { .quantized($0) } ?? .floats, rows: rows.count * rows.padded,
          columns: inputs,
          options)
      }
      runs.append(run(rows, form: forms[first], inputs: inputs))
      first = end
    }
    return LinearBank(runs, count: members.count, inputs: inputs)
  }

  /// A bank of floats.
  ///
  /// - Parameters:
  ///   - count: How many members there are.
  ///   - outputs: Output features of each.
  ///   - inputs: Input features of each.
  ///   - decodeRow: Writes the `inputs` weights of one output feature of a member; called from the team's
  ///     threads.
  func bank(
    count: Int, outputs: Int, inputs: Int,
    decodeRow: (_ member: Int, _ row: Int, _ destination: UnsafeMutablePointer<Float>) -> Void
  ) -> LinearBank {
    LinearBank(
      [floatRun(count: count, outputs: outputs, inputs: inputs, decodeRow: decodeRow)], count: count,
      inputs: inputs)
  }

  private func floatRun(
    count: Int, outputs: Int, inputs: Int,
    decodeRow: (_ member: Int, _ row: Int, _ destination: UnsafeMutablePointer<Float>) -> Void
  ) -> LinearBank.Run {
    let padded = (outputs + 15) & ~15
    let weights =
      tally?.weights(.floats, rows: count * padded, columns: inputs, options)
      ?? Linear.Weights(
        rows: count * padded, columns: inputs, backend: options.backend, context: context
      ) { row, destination in
        if row % padded < outputs {
          decodeRow(row / padded, row % padded, destination)
        } else {
          destination.update(repeating: 0, count: inputs)
        }
      }
    return LinearBank.Run(weights: weights, outputs: outputs)
  }

  /// The packed form that a matrix has in all members; nil if it is to be floats.
  private func form(of members: [[RowSource]], part: Int) -> QuantizedFormat? {
    let form = members[0][part].quantizedForm(options)
    return members.allSatisfy { $0[part].quantizedForm(options) == form } ? form : nil
  }

  private func run(_ rows: BankRows, form: QuantizedFormat?, inputs: Int) -> LinearBank.Run {
    guard let form else {
      return floatRun(count: rows.count, outputs: rows.outputs, inputs: inputs) { member, row, destination in
        rows.decode(member, row, into: destination)
      }
    }
    if let tally {
      let weights = tally.weights(.quantized(form), rows: rows.count * rows.padded, columns: inputs, options)
      return LinearBank.Run(weights: weights, outputs: rows.outputs)
    }
    let matrix = QuantizedMatrix(
      form, rows: rows.count * rows.padded, columns: inputs, packs: options.packs, source: rows,
      context: context)
    return LinearBank.Run(weights: .quantized(matrix), outputs: rows.outputs)
  }
}

/// The rows of all members, each member's from a multiple of 16 on.
private struct BankRows: QuantizedRowSource {
  private let members: [RowTable]
  let outputs: Int
  var padded: Int { (outputs + 15) & ~15 }
  var count: Int { members.count }

  init(_ members: [RowTable], outputs matrices: some Sequence<RowSource>) {
    self.members = members
    outputs = matrices.reduce(0) { $0 + $1.rows }
  }

  func decode(_ member: Int, _ row: Int, into destination: UnsafeMutablePointer<Float>) {
    members[member].decode(row, into: destination)
  }

  func split(_ row: Int, codes: UnsafeMutablePointer<UInt8>, scales: UnsafeMutableRawPointer) {
    // Rows in between keep the zeros that they are given.
    guard row % padded < outputs else { return }
    members[row / padded].split(row % padded, codes: codes, scales: scales)
  }
}
