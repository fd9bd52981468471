import Salangane
import SalanganeTestSupport
import Testing

@Suite struct RooflineTests {
  @Test(arguments: InstructionSet.available)
  func everyFormIsMeasured(set: InstructionSet) async throws {
    let threads = set == .portable ? 1 : 2
    let shape = Roofline.Shape(columns: 48, depth: 256)
    let report = try await Roofline(
      threads: threads, instructionSet: set, repetitions: 1, shape: shape,
      usesProcessorTime: threads == 1, scale: .test
    ).run()
    #expect(report.threads == threads && report.instructionSet == set)
    #expect(Ceiling.allCases.allSatisfy { (report.ceilings[$0] ?? 0) > 0 })
    #expect(Set(report.kernels.map(\.type)) == Set(Roofline.knownTypes))
    for entry in report.kernels {
      #expect(entry.shape.columns == 48 && entry.shape.depth == 256)
      #expect(entry.kernel == (entry.rows == 1 ? "gemv" : "gemm"))
      #expect((entry.ceiling == .read) == (entry.rows == 1))
      let ceiling = try #require(report.ceilings[entry.ceiling])
      #expect(entry.rate > 0 && entry.share > 0 && entry.share.isFinite)
      // The rate of memory changes with what the neighbours do: shares of it are those of single measurements.
      #expect(entry.ceiling == .read || abs(entry.share * ceiling / entry.rate - 1) < 1e-9)
    }
    // Every form both ways.
    let forms = Set(report.kernels.map { "\($0.type) \($0.backend)" })
    #expect(report.kernels.count == 2 * forms.count)
  }

  @Test func onlyTheTypesAskedFor() async throws {
    let roofline = Roofline(
      threads: 2, instructionSet: .portable, repetitions: 1, types: ["F32"],
      shape: .init(columns: 16, depth: 16), scale: .test)
    let report = try await roofline.run()
    #expect(Set(report.kernels.map(\.type)) == ["F32"])
    #expect(Set(report.kernels.map(\.backend)) == ["native", "openblas"])
  }
}
