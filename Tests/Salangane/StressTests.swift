import Foundation
import Salangane
import SalanganeTestSupport
import Testing

/// Everything at once: embeddings, texts, scores and logits from many models, loading and dropping of models, and
/// cancellations in the middle.
///
/// `Scripts/stress` runs it for longer, and with a larger model.
@Suite struct StressTests {
  @Test func everythingAtOnce() async throws {
    let variables = ProcessInfo.processInfo.environment
    let seconds = variables["SALANGANE_STRESS_SECONDS"].flatMap { Double($0) }
    let directory = try TemporaryDirectory()
    let work = try await StressWork(in: directory, large: variables["SALANGANE_STRESS_MODEL"])
    let run = StressRun(work, seconds: seconds ?? 3, isVerbose: seconds != nil)
    let report = await run(workers: 8, seed: variables["SALANGANE_STRESS_SEED"].flatMap { UInt64($0) } ?? 1)
    #expect(report.failures.isEmpty, "\(report.failures.prefix(5))")
    #expect(report.answers.values.reduce(0, +) > 0 && !report.cancellations.isEmpty)
    guard seconds != nil else { return }
    print(report.description)
    // Alone in its process, memory and threads are its own, and so are its times.
    #expect(report.cancellation(percentile: 99) < 0.1)
    if let threads = report.samples.map(\.threads).max() { #expect(threads < 64) }
    let last = Int((report.samples.last?.seconds ?? 0) / 60)
    if last > 5, let fifth = report.memory(inMinute: 5), let end = report.memory(inMinute: last) {
      #expect(end - fifth < 16 << 10)
    }
  }
}
