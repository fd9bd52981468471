import SalanganeKernels

/// Runs every kernel on numbers that are the same each time, and compares what comes out with the portable kernels
/// and with reference values that were computed elsewhere.
package struct KernelSelfTest: Sendable {
  /// How one kernel did.
  package struct Result: Sendable, Equatable {
    /// The instruction set.
    package let instructionSet: InstructionSet
    /// The kernel, and the type of weights for products with quantised ones.
    package let kernel: String
    /// What it was compared with.
    package let oracle: Oracle
    /// The greatest difference, relative to the greatest magnitude of what was expected; infinite if something isn't a
    /// number that should be.
    package let error: Double
    /// The greatest difference that passes.
    package let ceiling: Double

    /// Whether the difference is within the ceiling.
    package var passes: Bool { error <= ceiling }
  }

  /// What kernels are compared with.
  package enum Oracle: String, Sendable {
    /// The portable kernels.
    case portable
    /// Formulas in double precision.
    case formula
    /// Values computed elsewhere, which are part of the program.
    case reference
  }

  private let tables: [KernelTable]

  /// Tests the kernels of every instruction set of this CPU.
  package init() throws(InstructionSetError) {
    var tables: [KernelTable] = []
    for set in InstructionSet.available { tables.append(try KernelTable.table(for: set)) }
    self.init(tables)
  }

  /// Tests some kernels.
  package init(_ tables: [KernelTable]) { self.tables = tables }

  /// Runs all tests.
  package func run() -> [Result] {
    var results: [Result] = []
    for table in tables {
      for test in FloatKernelTest.all {
        let found = test.run(table)
        if table.instructionSet != .portable {
          results.append(
            Result(
              instructionSet: table.instructionSet, kernel: test.name, oracle: .portable,
              error: Self.difference(found, test.run(.portable)), ceiling: test.ceiling))
        }
        if let expected = test.expected {
          results.append(
            Result(
              instructionSet: table.instructionSet, kernel: test.name, oracle: .formula,
              error: Self.difference(found, expected()), ceiling: test.ceiling))
        }
      }
      results += QuantizedKernelTest.run(table)
    }
    return results
  }

  /// The greatest difference, relative to the greatest magnitude of what is expected.
  static func difference(_ found: [Double], _ expected: [Double]) -> Double {
    guard found.count == expected.count else { return .infinity }
    var greatest = 0.0
    var scale = 0.0
    for (a, b) in zip(found, expected) {
      if a == b { continue }
      guard a.isFinite, b.isFinite else { return .infinity }
      greatest = max(greatest, (a - b).magnitude)
    }
    for value in expected where value.isFinite { scale = max(scale, value.magnitude) }
    return scale > 0 ? greatest / scale : greatest
  }

  /// Numbers from -1 to 1 that are the same each time.
  static func numbers(_ count: Int, seed: Int) -> [Float] {
    (0..<count).map { Float(($0 * 7919 + seed * 104_729) % 2003 - 1001) / 1001 }
  }
}
