import SalanganeFiles
import SalanganeModelGraph
import SalanganeTensors

/// How much work generations were.
package struct GenerationWork: Sendable {
  /// How often the weights were gone through.
  package var steps = 0
  /// The most sequences that went together.
  package var largest = 0
}

/// Runs the sequences that a model generates at the same time, together: all that are ready go through the weights
/// in one batch, step by step, and each may join or leave between two steps.
///
/// A step is a turn of the compute queue. A sequence is ready from when it enters until its reader falls behind: then it
/// waits for the event to be read, and enters again. Prompts are read in parts, and beside tokens that are generated in
/// smaller ones, so that others don't wait for long. A sequence's tokens don't depend on those beside it, since every
/// row of a batch has the bits that it has alone.
///
/// `@unchecked Sendable`: `state` is locked, and everything else belongs to the leading thread.
final class BatchScheduler: ComputeTurn, @unchecked Sendable {
  /// Rows of prompts in a batch with generated tokens: enough to read weights for, and few enough that those don't wait
  /// several times as long as without.
  static let sharedPromptRows = 128

  private struct State {
    /// Sequences that entered since the last step.
    var entered: [GeneratingSequence] = []
    /// Whether a turn has been asked for that isn't over.
    var isQueued = false
    /// The sequences of the step that runs.
    var members: [GeneratingSequence] = []
    var work = GenerationWork()
    var cancellation = Cancellation()
  }

  private let engine: DecoderEngine
  private let maximumBatch: Int
  private let state = Locked(State())

  /// All that are ready, the next first.
  private var line: [GeneratingSequence] = []
  /// Those that a step chooses from them, and those for which it has no place.
  private var chosen: [GeneratingSequence] = []
  private var kept: [GeneratingSequence] = []
  /// Those that run.
  private var members: [GeneratingSequence] = []
  /// Those of them for which a token is chosen, and their choosers.
  private var takers: [GeneratingSequence] = []
  private var choosers: [TokenChooser] = []
  private var batch = DecoderBatch()

  /// Creates a scheduler.
  ///
  /// - Parameter maximumBatch: The most sequences of a step.
  init(_ engine: DecoderEngine, maximumBatch: Int) {
    precondition(maximumBatch > 0 && maximumBatch < Decoder.promptChunk)
    self.engine = engine
    self.maximumBatch = maximumBatch
  }

  /// Takes a sequence into the next step; called once to start it, and again whenever it has waited for its reader.
  func enter(_ sequence: GeneratingSequence) {
    let mustAsk = state.withLock { state in
      state.entered.append(sequence)
      defer { state.isQueued = true }
      return !state.isQueued
    }
    if mustAsk { ComputeQueue.shared.add(self) }
  }

  /// Ends the step that runs if none of its sequences is wanted any more; called when one was left.
  func memberLeft() {
    state.withLock { state in
      guard !state.members.isEmpty, state.members.allSatisfy(\.hasEnded) else { return }
      state.cancellation.cancel()
    }
  }

  /// What was done so far.
  var work: GenerationWork { state.withLock { $0.work } }

  // MARK: Steps

  var canInterrupt: Bool { !engine.isBusy }

  func take(_ team: ThreadTeam) {
    state.withLock { state in
      line += state.entered
      state.entered.removeAll(keepingCapacity: true)
    }
    fillBatch()
    if !members.isEmpty { run(team) }
    let isQueued = state.withLock { state in
      state.isQueued = !(line.isEmpty && state.entered.isEmpty)
      return state.isQueued
    }
    if isQueued { ComputeQueue.shared.add(self) }
  }

  /// Chooses the members of the next batch, and their rows.
  private func fillBatch() {
    for sequence in line where isReady(sequence) {
      if chosen.count < maximumBatch { chosen.append(sequence) } else { kept.append(sequence) }
    }
    line.removeAll(keepingCapacity: true)
    // The tokens that were generated come first, and what is left of the rows goes to prompts.
    for sequence in chosen where !sequence.isReading { addRows(of: sequence, most: 1) }
    let generated = batch.rows
    for sequence in chosen where sequence.isReading {
      var room = Decoder.promptChunk - batch.rows
      if generated > 0 { room = min(room, Self.sharedPromptRows + generated - batch.rows) }
      if room > 0 { addRows(of: sequence, most: room) } else { line.append(sequence) }
    }
    chosen.removeAll(keepingCapacity: true)
    // Who didn't get anything this time is first in the next step.
    line += kept
    kept.removeAll(keepingCapacity: true)
  }

  private func isReady(_ sequence: GeneratingSequence) -> Bool {
    guard !sequence.hasEnded else { return false }
    do { try sequence.prepare() } catch { sequence.fail(engine.translate(error)) }
    return !sequence.hasEnded
  }

  private func addRows(of sequence: GeneratingSequence, most: Int) {
    do {
      if try sequence.addRows(to: &batch, most: most) {
        takers.append(sequence)
        choosers.append(sequence.chooser)
      }
      members.append(sequence)
    } catch {
      sequence.fail(engine.translate(error))
    }
  }

  /// Ends a sequence whose logits aren't finite, with an error that says where that began.
  private func explain(_ sequence: GeneratingSequence, _ team: ThreadTeam) {
    guard !sequence.hasEnded else { return }
    do {
      let fault = try engine.run(team, Cancellation()) { step, workspace in
        try engine.fault(in: sequence.tokens, step, &workspace)
      }
      sequence.fail(GenerationError.notFinite(position: sequence.tokens.count - 1, fault: fault))
    } catch {
      sequence.fail(error)
    }
  }

  private func run(_ team: ThreadTeam) {
    let cancellation = state.withLock { state in
      state.members += members
      state.work.steps += 1
      state.work.largest = max(state.work.largest, members.count)
      return state.cancellation
    }
    do {
      let faults = MappedFiles.faults
      try engine.run(team, cancellation) { step, workspace in
        try step.run(batch, choosers, workspace: &workspace)
      }
      try MappedFiles.check(since: faults)
      for sequence in members { sequence.didRun() }
      for sequence in members where sequence.isReading { line.append(sequence) }
      for sequence in takers {
        if sequence.chooser.choice == nil {
          explain(sequence, team)
        } else if sequence.take() {
          line.append(sequence)
        }
      }
    } catch {
      for sequence in members { sequence.fail(error) }
    }
    state.withLock { state in
      state.members.removeAll(keepingCapacity: true)
      if state.cancellation.isCancelled { state.cancellation = Cancellation() }
    }
    members.removeAll(keepingCapacity: true)
    takers.removeAll(keepingCapacity: true)
    choosers.removeAll(keepingCapacity: true)
    batch.removeAll()
  }
}
