import Foundation
import Salangane
import SalanganeTestSupport
import Testing

#if canImport(Glibc)
  import Glibc
#endif

@Suite struct GenerationConcurrencyTests {
  static let options = GenerationOptions(maximumTokens: 12, ignoresEndOfSequence: true)

  @Test func leavingTheLoop() async throws {
    let golden = try GenerationGolden()
    let session = try await GenerationGolden.model().makeSession()
    for count in 1...4 {
      var seen: [Int32] = []
      for try await event in session.generate(tokens: golden.prompt, options: Self.options) {
        if case .text(let piece) = event { seen += piece.ids }
        if seen.count == count { break }
      }
      #expect(seen == Array(golden.ids.prefix(count)))
      let next = try await session.generate(tokens: golden.prompt, options: Self.options).summary()
      #expect(next.ids == Array(golden.ids.prefix(12)))
      #expect(next.cachedTokens == golden.prompt.count - 1)
    }
  }

  @Test func oneGenerationASession() async throws {
    let golden = try GenerationGolden()
    let session = try await GenerationGolden.model().makeSession()
    var first = session.generate(tokens: golden.prompt, options: Self.options).makeAsyncIterator()
    _ = try await first.next()
    await #expect(throws: GenerationError.sessionInUse) {
      try await session.generate(tokens: golden.prompt, options: Self.options).summary()
    }
    // The one that was refused has not disturbed the other, nor freed its session.
    await #expect(throws: GenerationError.sessionInUse) {
      try await session.generate("swift").summary()
    }
    var ids: [Int32] = []
    while let event = try await first.next() {
      if case .finished(let summary) = event { ids = summary.ids }
    }
    #expect(ids == Array(golden.ids.prefix(12)))
    #expect(try await first.next() == nil)
    #expect(try await session.generate(tokens: golden.prompt, options: Self.options).summary().ids == ids)
  }

  @Test func manyAtOnce() async throws {
    let golden = try GenerationGolden()
    let model = try await GenerationGolden.model()
    let requests = (0..<12).map { index -> (tokens: [Int32], options: GenerationOptions) in
      var options = Self.options
      if index % 2 == 1 { options.sampling = .init(temperature: 1, seed: UInt64(index)) }
      return (Array(golden.prompt.dropFirst(index)) + golden.ids.prefix(3 * index), options)
    }
    var alone: [[Int32]] = []
    for request in requests {
      alone.append(try await model.generate(tokens: request.tokens, options: request.options).summary().ids)
    }
    let together = try await withThrowingTaskGroup(of: (Int, [Int32]).self) { group in
      for (index, request) in requests.enumerated() {
        group.addTask {
          (index, try await model.generate(tokens: request.tokens, options: request.options).summary().ids)
        }
      }
      return try await group.reduce(into: [Int: [Int32]]()) { $0[$1.0] = $1.1 }
    }
    for index in requests.indices { #expect(together[index] == alone[index]) }
  }

  /// Generates and cancels at random moments, on a session that is kept and on new ones.
  ///
  /// - Returns: How many were cancelled before they were through.
  static func cancel(
    _ count: Int, _ model: LanguageModel, _ kept: Session, _ random: inout SplitMix64
  ) async throws -> Int {
    let golden = try GenerationGolden()
    var cancelled = 0
    for index in 0..<count {
      let session = index % 2 == 0 ? kept : model.makeSession()
      // Moments within the prompt, within the text, and before either.
      let prompt = (0..<Int(random.next() % 250) + 20).map { golden.prompt[$0 % golden.prompt.count] }
      let task = Task { try await session.generate(tokens: prompt, options: Self.options).summary().ids }
      let delay = random.next() % 6_000_000
      if delay > 500_000 { try await Task.sleep(nanoseconds: delay) }
      task.cancel()
      do {
        _ = try await task.value
      } catch is CancellationError {
        cancelled += 1
      }
      guard index % 10 == 0 else { continue }
      let next = try await session.generate(tokens: golden.prompt, options: Self.options).summary()
      #expect(next.ids == Array(golden.ids.prefix(12)), "after \(index) cancellations")
    }
    return cancelled
  }

  @Test func cancelling() async throws {
    let golden = try GenerationGolden()
    let model = try await GenerationGolden.model()
    let session = model.makeSession()
    var random = SplitMix64(seed: 11)
    let cancelled = try await Self.cancel(200, model, session, &random)
    #expect(cancelled > 50)
    let next = try await session.generate(tokens: golden.prompt, options: Self.options).summary()
    #expect(next.ids == Array(golden.ids.prefix(12)))
  }

  #if os(Linux)
    /// What `/proc/self/status` says: kilobytes of anonymous memory, and threads.
    static func status() throws -> (memory: Int, threads: Int) {
      let text = String(decoding: try TestFiles.read("/proc/self/status"), as: UTF8.self)
      func number(_ name: String) throws -> Int {
        let line = try #require(text.split(separator: "\n").first { $0.hasPrefix(name + ":") })
        return try #require(line.split(whereSeparator: { !$0.isNumber }).first.flatMap { Int($0) })
      }
      return (try number("RssAnon"), try number("Threads"))
    }

    /// In a process of its own, so that no other test's memory and threads are counted.
    @Test func cancellingLeaksNothing() async {
      await #expect(processExitsWith: .success) {
        let model = try await GenerationGolden.model()
        let session = model.makeSession()
        var random = SplitMix64(seed: 12)
        _ = try await GenerationConcurrencyTests.cancel(50, model, session, &random)
        let before = try GenerationConcurrencyTests.status()
        _ = try await GenerationConcurrencyTests.cancel(200, model, session, &random)
        let after = try GenerationConcurrencyTests.status()
        // A cache of one session takes some 130 KB a block: 100 leaked ones would be far beyond this.
        #expect(after.memory - before.memory < 8 * 1024, "\(before) before, \(after) after")
        #expect(after.threads <= before.threads + 2, "\(before) before, \(after) after")
      }
    }
  #endif

  /// Nothing holds on to a session, or a model, that nobody uses any more.
  @Test func whatIsLeftIsFreed() async throws {
    weak var session: Session?
    weak var model: LanguageModel?
    do {
      let golden = try GenerationGolden()
      let loaded = try await GenerationGolden.model()
      let used = loaded.makeSession()
      (model, session) = (loaded, used)
      for try await event in used.generate(tokens: golden.prompt, options: Self.options) {
        if case .text = event { break }
      }
      let task = Task { try await used.generate(tokens: golden.prompt, options: Self.options).summary() }
      task.cancel()
      _ = try? await task.value
    }
    // The job that ran last is let go by its own thread, and what was cancelled when its turn comes. The computing
    // threads are the process's: under a sanitizer other tests may keep them for seconds.
    for _ in 0..<24_000 {
      if session == nil && model == nil { break }
      try await Task.sleep(nanoseconds: 5_000_000)
    }
    #expect(session == nil && model == nil)
  }
}
