import Benchmark
import Foundation
@_spi(Benchmarks) import Salangane

/// How often each benchmark measures, its ceiling as often beside it. The best counts, of both: whatever else the
/// machine does only takes time.
private let measurements = 30

/// Registers a benchmark of work that is held against one of the machine's ceilings, measured in the same run.
///
/// It reports the time and the share of the ceiling in millionths, and fails if the best share is below the one that
/// `Thresholds/shares.json` has under its name. Times are never compared: they say more of a machine than of a program.
///
/// - Parameters:
///   - name: The benchmark's name.
///   - make: Prepares the work.
func registerShare(_ name: String, _ make: @escaping @Sendable () async throws -> any Measurable) {
  let least = Shares.least[name]
  let state = ShareState()
  let configuration = Benchmark.Configuration(
    metrics: [.wallClock, shareMetric], warmupIterations: 0, maxDuration: .seconds(120),
    maxIterations: measurements)
  Benchmark(name, configuration: configuration) { benchmark in
    let share = try await state.measure(benchmark, make)
    benchmark.measurement(shareMetric, Int((share * 1e6).rounded()))
    guard state.count == measurements else { return }
    let best = state.finish(name)
    if let least, best < least {
      let text = "\(name): \(best) of \(state.ceiling), expected at least \(least)"
      // The benchmark package tells it to its own tool alone.
      FileHandle.standardError.write(Data("error: \(text)\n".utf8))
      benchmark.error(text)
    }
  }
}

private let shareMetric = BenchmarkMetric.custom(
  "share of the ceiling, millionths", polarity: .prefersLarger, useScalingFactor: false)

/// Work with an amount and a ceiling.
protocol Measurable: Sendable {
  /// `read`, `int8` or `f32`.
  var ceiling: String { get }
  /// Bytes or multiply-adds of one run.
  var amount: Double { get }
  /// The seconds that one run takes.
  func seconds() async throws -> Double
}

extension Workload: Measurable {
  func seconds() async throws -> Double { try await seconds(atLeast: 0.002) }
}

/// Work that a closure does, on the calling thread.
struct ClosureWork: Measurable {
  let ceiling: String
  let amount: Double
  let run: @Sendable () async throws -> Void

  func seconds() async throws -> Double {
    let start = ContinuousClock.now
    var count = 0
    repeat {
      try await run()
      count += 1
    } while ContinuousClock.now - start < .milliseconds(2)
    return (ContinuousClock.now - start) / .seconds(1) / Double(count)
  }
}

/// What a benchmark has seen so far.
///
/// `@unchecked Sendable`: benchmarks run one at a time, one iteration after the other.
private final class ShareState: @unchecked Sendable {
  private(set) var count = 0
  private(set) var ceiling = ""
  private var work: (any Measurable)?
  private var leastSeconds = Double.infinity
  private var bestRate = 0.0

  /// Measures once, the ceiling first, and gives the share of this time.
  func measure(_ benchmark: Benchmark, _ make: () async throws -> any Measurable) async throws -> Double {
    let work = if let work = self.work { work } else { try await make() }
    self.work = work
    ceiling = work.ceiling
    bestRate = try await Gauge.shared.rate(ceiling)
    benchmark.startMeasurement()
    let seconds = try await work.seconds()
    benchmark.stopMeasurement()
    leastSeconds = min(leastSeconds, seconds)
    count += 1
    return work.amount / seconds / bestRate
  }

  /// The best share; lets go of the work's memory.
  func finish(_ name: String) -> Double {
    defer { work = nil }
    guard let work else { return 0 }
    let share = (work.amount / leastSeconds / bestRate * 1e7).rounded() / 1e7
    Shares.record(name, share)
    return share
  }
}

/// The ceilings, which all benchmarks share.
private actor Gauge {
  static let shared = Gauge()
  private var gauge: CeilingGauge?

  func rate(_ ceiling: String) async throws -> Double {
    let gauge = if let gauge = self.gauge { gauge } else { try await CeilingGauge() }
    self.gauge = gauge
    return try await gauge.rate(of: ceiling)
  }
}

/// The least shares that benchmarks must reach, by name.
enum Shares {
  static let least: [String: Double] = {
    guard let data = try? Data(contentsOf: url) else { return [:] }
    return (try? JSONDecoder().decode([String: Double].self, from: data)) ?? [:]
  }()

  /// The committed file.
  private static let url = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().appending(path: "Thresholds/shares.json")

  /// Adds a line to the file that `SALANGANE_BENCHMARK_SHARES` names: `Thresholds/refresh.py` makes thresholds of it.
  static func record(_ name: String, _ share: Double) {
    guard let path = ProcessInfo.processInfo.environment["SALANGANE_BENCHMARK_SHARES"] else { return }
    let line = Data("\(name)\t\(share)\n".utf8)
    if let file = FileHandle(forWritingAtPath: path) {
      file.seekToEndOfFile()
      file.write(line)
      file.closeFile()
    } else {
      _ = FileManager.default.createFile(atPath: path, contents: line)
    }
  }
}
