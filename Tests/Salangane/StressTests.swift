import SalanganeStress
import SalanganeTestSupport
import Testing

/// Everything at once: embeddings, texts, scores and logits from many models, loading and dropping of models, and
/// cancellations in the middle.
///
/// `Scripts/stress` runs it for longer, and with a larger model.
@Suite struct StressTests {
  @Test func everythingAtOnce() async throws {
    let directory = try TemporaryDirectory()
    let run = StressRun(try await StressWork(in: directory, large: nil), seconds: 3, isVerbose: false)
    let report = await run(workers: 8, seed: 1)
    #expect(report.failures.isEmpty, "\(report.failures.prefix(5))")
    #expect(report.answers.values.reduce(0, +) > 0 && report.cancelled > 0)
  }
}
