import Foundation
import Salangane
import SalanganeFiles
import SalanganeTestSupport

/// What a stress run has seen.
package struct StressReport: Sendable {
  /// Requests that were answered with the reference, by kind.
  package fileprivate(set) var answers: [String: Int] = [:]
  /// Requests that were answered with other bits, or failed.
  package fileprivate(set) var failures: [String] = []
  /// How many requests came back cancelled.
  package private(set) var cancelled = 0
  /// How many of them took so many tenths of a millisecond; the last those that took longer. A list of all would grow
  /// with the run, whose memory is watched.
  private var latencies = [Int](repeating: 0, count: 10_001)
  /// How many of them were more than 0.1 seconds.
  package private(set) var slow = 0
  /// The longest of them, and what was cancelled.
  private var slowest: [(seconds: Double, name: String)] = []
  /// Requests that were through before their cancellation came.
  fileprivate var tooLate = 0
  /// Samples of the process, one a second.
  package fileprivate(set) var samples: [ProcessSample] = []

  fileprivate mutating func addCancellation(_ seconds: Double, _ name: String) {
    cancelled += 1
    latencies[min(Int((seconds * 1e4).rounded(.up)), latencies.count - 1)] += 1
    if seconds > 0.1 { slow += 1 }
    slowest.append((seconds, name))
    guard slowest.count > 40 else { return }
    slowest.sort { $0.seconds > $1.seconds }
    slowest.removeLast(20)
  }

  /// The seconds within which a share of the cancelled requests came back, rounded up to tenths of a millisecond; NaN
  /// if there was none.
  package func cancellation(percentile: Double) -> Double {
    guard cancelled > 0 else { return .nan }
    let wanted = max(1, Int((percentile / 100 * Double(cancelled)).rounded(.up)))
    var count = 0
    for (tenths, number) in latencies.enumerated() {
      count += number
      if count >= wanted {
        return tenths == latencies.count - 1 ? slowest.map(\.seconds).max() ?? .nan : Double(tenths) * 1e-4
      }
    }
    return .nan
  }
}

/// What a process takes at some moment.
package struct ProcessSample: Sendable {
  package var seconds: Double
  /// Memory of its own, resident or swapped out, in KiB.
  package var memory: Int
  /// How many threads it has.
  package var threads: Int

  /// Reads `/proc/self/status`; nil where there is no such file.
  static func current(seconds: Double) -> ProcessSample? {
    guard let bytes = try? TestFiles.read("/proc/self/status") else { return nil }
    var values: [Substring: Int] = [:]
    for line in String(decoding: bytes, as: UTF8.self).split(separator: "\n") {
      let parts = line.split(separator: ":")
      guard parts.count == 2 else { continue }
      values[parts[0]] = parts[1].split(whereSeparator: { !$0.isNumber }).first.flatMap { Int($0) }
    }
    guard let anonymous = values["RssAnon"], let threads = values["Threads"] else { return nil }
    return ProcessSample(seconds: seconds, memory: anonymous + (values["VmSwap"] ?? 0), threads: threads)
  }
}

/// Sends requests of all kinds from many tasks at once, and cancels some of them, for a given time.
package final class StressRun: Sendable {
  private let work: StressWork
  private let seconds: Double
  private let isVerbose: Bool
  private let start = ContinuousClock.now
  private let report = Locked(StressReport())

  /// Prepares a run.
  ///
  /// - Parameter isVerbose: Whether every minute is reported on standard output.
  package init(_ work: StressWork, seconds: Double, isVerbose: Bool) {
    self.work = work
    self.seconds = seconds
    self.isVerbose = isVerbose
  }

  private var elapsed: Double { (ContinuousClock.now - start) / .seconds(1) }

  /// Sends requests from so many tasks until the time is up.
  package func callAsFunction(workers: Int, seed: UInt64) async -> StressReport {
    await withTaskGroup(of: Void.self) { group in
      for worker in 0..<workers {
        group.addTask { await self.work(SplitMix64(seed: seed &+ UInt64(worker) &* 0x9E37_79B9)) }
      }
      group.addTask { await self.watch() }
    }
    return report.withLock { $0 }
  }

  private func work(_ random: consuming SplitMix64) async {
    while elapsed < seconds {
      let request = work.requests[Int.random(in: work.requests.indices, using: &random)]
      if Bool.random(using: &random) {
        await cancel(request, &random)
      } else {
        await note(request, random.next())
      }
    }
  }

  /// Sends a request, and notes its answer.
  private func note(_ request: StressRequest, _ seed: UInt64) async {
    do {
      var random = SplitMix64(seed: seed)
      let isReference = try await request.run(&random, StressPhase())
      report.withLock { report in
        report.answers[request.name, default: 0] += isReference ? 1 : 0
        if !isReference { report.failures.append("\(request.name): other bits, seed \(seed)") }
      }
    } catch {
      report.withLock { $0.failures.append("\(request.name): \(error), seed \(seed)") }
    }
  }

  /// Sends a request, and cancels it after a moment.
  private func cancel(_ request: StressRequest, _ random: inout SplitMix64) async {
    let seed = random.next()
    let phase = StressPhase()
    let task = Task {
      var random = SplitMix64(seed: seed)
      return try await request.run(&random, phase)
    }
    // As often at once as much later.
    let moment = Double.random(in: 0...1, using: &random)
    let delay = UInt64(moment * moment * moment * 100_000_000)
    if delay > 100_000 { try? await Task.sleep(nanoseconds: delay) }
    let phaseName = phase.name
    let cancelled = ContinuousClock.now
    task.cancel()
    let result = await task.result
    let latency = (ContinuousClock.now - cancelled) / .seconds(1)
    report.withLock { report in
      switch result {
      case .success(true): report.tooLate += 1
      case .success(false):
        report.failures.append("\(request.name): other bits though cancelled, seed \(seed)")
      case .failure(is CancellationError):
        report.addCancellation(latency, "\(request.name), \(phaseName)")
      case .failure(let error): report.failures.append("\(request.name), cancelled: \(error), seed \(seed)")
      }
    }
  }

  /// Looks at memory and threads once a second.
  private func watch() async {
    var minute = 1.0
    while elapsed < seconds {
      try? await Task.sleep(nanoseconds: 1_000_000_000)
      guard let sample = ProcessSample.current(seconds: elapsed) else { return }
      report.withLock { $0.samples.append(sample) }
      if isVerbose, sample.seconds >= minute * 60 {
        print(report.withLock { $0.summary(ofMinute: Int(minute)) })
        fflush(nil)
        minute += 1
      }
    }
  }
}

extension StressReport {
  /// The greatest memory within a minute, counted from 1, in KiB.
  private func memory(inMinute minute: Int) -> Int? {
    samples.lazy.filter { Int($0.seconds / 60) == minute - 1 }.map(\.memory).max()
  }

  fileprivate func summary(ofMinute minute: Int) -> String {
    let samples = samples.filter { Int($0.seconds / 60) == minute - 1 }
    return "minute \(minute): \(answers.values.reduce(0, +)) answers, \(cancelled) cancelled, "
      + "\(failures.count) failures, \(samples.map(\.memory).max() ?? 0) KiB, "
      + "\(samples.map(\.threads).max() ?? 0) threads"
  }

  /// How much the memory has grown after the fifth minute, in KiB; nil for a run that wasn't longer.
  package var growth: Int? {
    let last = Int((samples.last?.seconds ?? 0) / 60)
    guard last > 5, let fifth = memory(inMinute: 5), let end = memory(inMinute: last) else { return nil }
    return end - fifth
  }

  /// Lines for people.
  package var description: String {
    var lines = answers.sorted { $0.key < $1.key }.map { "\($0.value)\t\($0.key)" }
    lines.append("\(answers.values.reduce(0, +)) answers, each bit-identical to its reference")
    let percentiles = [50.0, 90, 99, 99.9, 100].map { percentile in
      "\(percentile) %: \((cancellation(percentile: percentile) * 10_000).rounded() / 10) ms"
    }
    lines.append(
      "\(cancelled) cancelled, \(tooLate) came too late; " + percentiles.joined(separator: ", "))
    lines.append("\(slow) cancellations took more than 100 ms; the slowest:")
    lines += slowest.sorted { $0.seconds > $1.seconds }.prefix(max(10, min(slow, 20))).map {
      "\(($0.seconds * 10_000).rounded() / 10) ms\t\($0.name)"
    }
    if let threads = samples.map(\.threads).max() { lines.append("at most \(threads) threads") }
    if let growth { lines.append("memory: grown by \(growth) KiB since minute 5") }
    lines.append("\(failures.count) failures")
    lines += failures.prefix(20)
    return lines.joined(separator: "\n")
  }
}
