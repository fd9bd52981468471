import Foundation
import SalanganeStress
import SalanganeTestSupport

/// `salangane-stress SECONDS SEED [MODEL]`, which Scripts/stress calls.
///
/// A program of its own: Swift Testing keeps a backtrace of every error that is thrown, which for a long run with many
/// cancellations is more memory than is left for the library to grow by.
@main
enum StressCommand {
  static func main() async throws {
    let words = CommandLine.arguments
    guard (3...4).contains(words.count), let seconds = Double(words[1]), let seed = UInt64(words[2]) else {
      FileHandle.standardError.write(Data("usage: salangane-stress SECONDS SEED [MODEL]\n".utf8))
      exit(64)
    }
    let directory = try TemporaryDirectory()
    let work = try await StressWork(in: directory, large: words.count == 4 ? words[3] : nil)
    let report = await StressRun(work, seconds: seconds, isVerbose: true)(workers: 8, seed: seed)
    print(report.description)
    var faults: [String] = []
    if !report.failures.isEmpty { faults.append("\(report.failures.count) answers that are wrong") }
    if report.answers.isEmpty || report.cancelled == 0 { faults.append("no answers, or no cancellations") }
    if report.cancellation(percentile: 99) >= 0.1 { faults.append("cancellations that take 100 ms and more") }
    if report.samples.contains(where: { $0.threads >= 64 }) { faults.append("64 threads and more") }
    if let growth = report.growth, growth >= 16 << 10 {
      faults.append("memory that grows by 16 MiB and more")
    }
    for fault in faults { print("FAILED: \(fault)") }
    exit(faults.isEmpty ? 0 : 1)
  }
}
