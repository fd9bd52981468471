#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// The kinds of work that a model does, as profiles tell them apart.
package enum OperationKind: String, CaseIterable, Sendable {
  /// Looking up the vectors of tokens.
  case embedding
  /// Normalisation, and adding to the residual stream.
  case norm
  /// The products before and after attention.
  case projection
  /// Rotating queries and keys, and storing keys and values.
  case position
  /// Queries, keys and values.
  case attention
  /// Networks that all tokens go through.
  case feedForward = "feed-forward"
  /// Choosing experts.
  case router
  /// The chosen experts.
  case expert
  /// The product that gives logits.
  case head
  /// Making one vector of a text's hidden states.
  case pooling
  /// Choosing a token.
  case sampling
}

/// Where the time of a model's run goes.
///
/// A model does one kind of work after the other. So its code only says where each begins, and all the time until
/// the next beginning counts for it; nothing is measured twice or left out in between. Used by the thread that
/// leads the team.
package final class OperationProfile {
  /// What was measured of one kind.
  package struct Entry: Sendable {
    /// Which kind.
    package let kind: OperationKind
    /// How often it began.
    package fileprivate(set) var calls = 0
    /// How long it took.
    package fileprivate(set) var seconds = 0.0
    /// Bytes of weights, and of keys and values, that it met; each once a call.
    package fileprivate(set) var bytes = 0
  }

  private var all = OperationKind.allCases.map { Entry(kind: $0) }
  private var current: Int?
  private var start = 0.0

  /// Creates a profile of nothing.
  package init() {}

  /// The kinds that occurred.
  package var entries: [Entry] { all.filter { $0.calls > 0 } }

  fileprivate func begin(_ kind: OperationKind, bytes: Int) {
    end()
    let index = all.firstIndex { $0.kind == kind } ?? 0
    all[index].calls += 1
    all[index].bytes += bytes
    current = index
  }

  fileprivate func end() {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    let now = Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
    if let current { all[current].seconds += now - start }
    current = nil
    start = now
  }
}

extension ComputeContext {
  /// Says that work of a kind begins, and what was before has ended. Costs next to nothing without a profile.
  ///
  /// - Parameter bytes: The weights, keys and values that it meets.
  package func begin(_ kind: OperationKind, reading bytes: @autoclosure () -> Int = 0) {
    if let profile = team.profile { profile.begin(kind, bytes: bytes()) }
  }

  /// Says that what began last has ended, at the end of a run.
  package func endOperation() {
    if let profile = team.profile { profile.end() }
  }
}

extension ComputeQueue {
  /// Starts a profile of what runs on the computing threads from now on, and gives what the last one has seen.
  ///
  /// - Parameter isOn: Whether there is a new profile.
  /// - Throws: `CancellationError`.
  package func profile(_ isOn: Bool) async throws -> [OperationProfile.Entry] {
    try await run { team, _ in
      let entries = team.profile?.entries ?? []
      team.profile = isOn ? OperationProfile() : nil
      return entries
    }
  }
}
