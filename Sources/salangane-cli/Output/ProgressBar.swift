import Synchronization

/// A bar on standard error that shows how far a long run has come; silent unless that is a terminal.
final class ProgressBar: Sendable {
  private let label: String
  private let isShown: Bool
  private let state = Mutex(State())

  private struct State {
    var last: ContinuousClock.Instant?
    var isDrawn = false
  }

  private static let interval = Duration.milliseconds(100)
  private static let width = 30

  /// Prepares a bar.
  ///
  /// - Parameters:
  ///   - label: What is being done.
  ///   - isShown: False where the bar would be in the way, on a terminal that shows results too.
  init(_ label: String, isShown: Bool) {
    self.label = label
    self.isShown = isShown && StandardError.isTerminal
  }

  /// Shows that `fraction`, 0 to 1, is done, or only `note` if the whole isn't known.
  func update(_ fraction: Double?, note: String = "") {
    guard isShown else { return }
    state.withLock { state in
      let now = ContinuousClock.now
      if let last = state.last, now - last < Self.interval { return }
      state.last = now
      state.isDrawn = true
      var line = "\r\u{1B}[K\(label)"
      if let fraction {
        let filled = Int(max(0, min(1, fraction)) * Double(Self.width))
        line += " [" + String(repeating: "=", count: filled)
        line += String(repeating: " ", count: Self.width - filled) + "] \(Int(fraction * 100)) %"
      }
      StandardError.write(line + (note.isEmpty ? "" : "  \(note)"))
    }
  }

  /// Takes the bar away.
  func finish() {
    state.withLock { state in
      if state.isDrawn { StandardError.write("\r\u{1B}[K") }
      state.isDrawn = false
    }
  }
}
