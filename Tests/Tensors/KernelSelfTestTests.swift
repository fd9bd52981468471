import SalanganeKernels
import SalanganeTensors
import Testing

@Suite struct KernelSelfTestTests {
  @Test func allKernelsPass() throws {
    let results = try KernelSelfTest().run()
    for result in results {
      #expect(
        result.passes, "\(result.instructionSet) \(result.kernel) against \(result.oracle): \(result.error)")
    }
    for set in InstructionSet.available {
      #expect(results.count { $0.instructionSet == set && $0.oracle == .reference } == 26)
    }
  }

  @Test func aWrongKernelIsFound() throws {
    var table = KernelTable.portable
    table.swigluRows = { rows, columns, gate, up, stride in
      KernelTable.portable.swigluRows(rows, columns, gate, up, stride)
      gate[columns - 1] *= 1.001
    }
    table.quantizeActivations = { rows, groups, x, xStride, step, codes, scales, sums in
      KernelTable.portable.quantizeActivations(rows, groups, x, xStride, step, codes, scales, sums)
      scales[0] *= 1.01
    }
    let failed = KernelSelfTest([table]).run().filter { !$0.passes }
    #expect(failed.contains { $0.kernel == "swiglu" && $0.oracle == .formula })
    #expect(failed.contains { $0.kernel == "vector Q4_K" && $0.oracle == .reference })
    #expect(!failed.contains { $0.kernel == "gelu" })
  }
}
