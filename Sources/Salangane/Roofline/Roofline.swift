import SalanganeKernels
import SalanganeTensors

/// Measures what share of the machine's ceilings the kernels reach.
///
/// Ceilings and kernels take turns, so that both meet the same disturbances. A kernel is measured until it has got no
/// faster for `repetitions` times, its ceiling as often beside it. Of multiply-adds the best measurement counts, for the
/// kernel and for the ceiling of the whole run: disturbances only take time. The rate of memory is another matter, as
/// it goes up and down with what the neighbours on the same machine do: there each measurement of a kernel is held
/// against those of the ceiling right before and after it, and the median of these shares counts.
package struct Roofline: Sendable {
  /// How many threads compute.
  package let threads: Int
  /// The kernels.
  package let instructionSet: InstructionSet
  /// How many measurements in a row must bring nothing better.
  package let repetitions: Int
  /// The types to measure, nil for all.
  package let types: Set<String>?
  /// The only shape to measure, nil for all.
  package let shape: Shape?
  /// Whether the time counts that the thread computes, instead of the time that passes; for one thread only.
  package let usesProcessorTime: Bool
  /// How much is done for a measurement.
  package let scale: Scale

  private var clock: MeasuringClock { usesProcessorTime ? .thread : .wall }

  /// The size of a weight matrix.
  package struct Shape: Sendable {
    /// Output features.
    package let columns: Int
    /// Input features.
    package let depth: Int

    /// A size from 1 on.
    package init(columns: Int, depth: Int) {
      precondition(columns > 0 && depth > 0)
      self.columns = columns
      self.depth = depth
    }
  }

  /// What was measured.
  package struct Report: Sendable {
    /// How many threads computed.
    package let threads: Int
    /// The kernels.
    package let instructionSet: InstructionSet
    /// Bytes or multiply-adds a second.
    package let ceilings: [Ceiling: Double]
    /// The kernels in the order in which they were measured.
    package let kernels: [Entry]
  }

  /// A kernel's measurement.
  package struct Entry: Sendable {
    /// `gemm` for products with many rows, `gemv` for those with one.
    package let kernel: String
    /// The type of the weights.
    package let type: String
    /// Who multiplied: `native` or `openblas`.
    package let backend: String
    /// Rows of the activations.
    package let rows: Int
    /// The weights.
    package let shape: Shape
    /// Bytes of weights or multiply-adds a second.
    package let rate: Double
    /// What the rate is a share of.
    package let ceiling: Ceiling
    /// The median of the shares of what the ceiling was around each measurement; nil if the best counts.
    fileprivate let pairedShare: Double?
    /// The share.
    package fileprivate(set) var share = 0.0
  }

  /// The rows of products with many rows: a prompt's chunk.
  static let manyRows = 512
  /// Weights of products with many rows: matrices of the smaller models of Qwen3, and a square one.
  static let shapes = [
    (1024, 1024), (3072, 1024), (1024, 3072), (4096, 4096), (9728, 2560), (2560, 9728),
  ].map { Shape(columns: $0.0, depth: $0.1) }
  /// Weights of products with one row.
  static let vectorShapes = [Shape(columns: 4096, depth: 4096)]
  /// Measurements of a kernel in a row that bring nothing better, at least, however long they take.
  static let fewestMeasurements = 3

  /// How much is done for a measurement.
  package struct Scale: Sendable {
    /// Bytes that are read for the rate of memory: some times the third-level cache of a large server CPU.
    let memoryBytes: Int
    /// Bytes of the weights that products with one row take in turn, at least: far more than the caches hold.
    let coldBytes: Int
    /// Seconds of one measurement, at least: short, so that some are over before anything disturbs them.
    let leastSeconds: Double
    /// Seconds after which disturbed measurements count too, for each repetition.
    let secondsPerRepetition: Double

    /// What gives figures that mean something.
    package static let full = Scale(
      memoryBytes: 512 << 20, coldBytes: 256 << 20, leastSeconds: 0.002, secondsPerRepetition: 0.025)
    /// What is quick.
    package static let test = Scale(
      memoryBytes: 8 << 20, coldBytes: 1 << 17, leastSeconds: 0.001, secondsPerRepetition: 0)
  }

  /// The types that can be measured.
  package static var knownTypes: [String] {
    var names: [String] = []
    for form in WeightForm.all where !names.contains(form.type) { names.append(form.type) }
    return names
  }

  /// The least number of which input features are a multiple for all the types of a run.
  package static func blockLength(of types: Set<String>?) -> Int {
    WeightForm.all.filter { types?.contains($0.type) ?? true }.map(\.blockLength).max() ?? 1
  }

  /// Prepares a run.
  ///
  /// The input features of `shape` must be a multiple of `blockLength(of:)`.
  package init(
    threads: Int? = nil, instructionSet: InstructionSet, repetitions: Int = 20, types: Set<String>? = nil,
    shape: Shape? = nil, usesProcessorTime: Bool = false, scale: Scale = .full
  ) {
    self.threads = threads ?? ThreadTeam.defaultThreadCount
    self.instructionSet = instructionSet
    precondition((shape?.depth ?? 0) % Self.blockLength(of: types) == 0, "the caller checks the shape")
    precondition(!usesProcessorTime || self.threads == 1, "other threads' time isn't measured")
    self.usesProcessorTime = usesProcessorTime
    self.repetitions = max(1, repetitions)
    self.types = types
    self.shape = shape
    self.scale = scale
  }

  /// Measures everything.
  ///
  /// - Parameter progress: Told which share is done, 0 to 1.
  /// - Throws: `InstructionSetError`; `CancellationError`.
  package func run(progress: (@Sendable (Double) -> Void)? = nil) async throws -> Report {
    let kernels = try KernelTable.table(for: instructionSet)
    return try await ComputeQueue.shared.run { [self] team, cancellation in
      let context = ComputeContext(team: team, threads: threads, kernels: kernels)
      let meter = CeilingMeter(context: context, clock: clock, memoryBytes: scale.memoryBytes)
      for _ in 0..<repetitions { for ceiling in Ceiling.allCases { meter.measure(ceiling) } }
      let forms = WeightForm.all.filter { types?.contains($0.type) ?? true }
      let many = shape.map { [$0] } ?? Self.shapes
      let single = shape.map { [$0] } ?? Self.vectorShapes
      let total = forms.count * (many.count + single.count)
      var entries: [Entry] = []
      for form in forms {
        for (rows, shapes) in [(Self.manyRows, many), (1, single)] {
          for shape in shapes {
            try cancellation.check()
            entries.append(measure(form, rows: rows, shape, context, meter))
            progress?(Double(entries.count) / Double(total))
          }
        }
      }
      for _ in 0..<repetitions { for ceiling in Ceiling.allCases { meter.measure(ceiling) } }
      let ceilings = meter.results
      for index in entries.indices {
        let entry = entries[index]
        entries[index].share = entry.pairedShare ?? entry.rate / (ceilings[entry.ceiling] ?? .infinity)
      }
      return Report(
        threads: threads, instructionSet: instructionSet, ceilings: ceilings, kernels: entries)
    }
  }

  /// Measures the products of one shape.
  private func measure(
    _ form: WeightForm, rows: Int, _ shape: Shape, _ context: ComputeContext, _ meter: CeilingMeter
  ) -> Entry {
    let (columns, depth) = (shape.columns, shape.depth)
    let ceiling = rows == 1 ? .read : form.ceiling
    let make = form.prepare(depth, context)
    var weights = [make(columns)]
    if ceiling == .read {
      while weights.count * weights[0].byteCount < scale.coldBytes {
        weights.append(make(columns))
      }
    }
    let work =
      ceiling == .read ? Double(weights[0].byteCount) : Double(rows) * Double(columns) * Double(depth)
    let x = Matrix(rows: rows, columns: depth)
    let out = Matrix(rows: rows, columns: columns)
    let fill = WeightForm.random(depth)
    for row in 0..<rows { fill(row, x.row(row)) }
    var next = 0
    func slice() -> Double {
      let watch = Stopwatch(clock)
      var count = 0
      repeat {
        weights[next].multiply(x, out)
        next = (next + 1) % weights.count
        count += 1
      } while watch.seconds < scale.leastSeconds
      return work * Double(count) / watch.seconds
    }
    // The first time brings memory into place.
    for weights in weights { weights.multiply(x, out) }
    var rates: [Double] = []
    var peaks: [Double] = []
    var best = 0.0
    var fruitless = 0
    let watch = Stopwatch(.wall)
    let limit = Double(repetitions) * scale.secondsPerRepetition
    while fruitless < repetitions, fruitless < Self.fewestMeasurements || watch.seconds < limit {
      peaks.append(meter.measure(ceiling))
      let before = Disturbances()
      let rate = slice()
      rates.append(rate)
      // What is less than half a percent better is noise, and would go on for long.
      if rate > best * 1.005 {
        fruitless = 0
      } else if clock == .thread || Disturbances() == before || watch.seconds > limit {
        fruitless += 1
      }
      best = max(best, rate)
    }
    peaks.append(meter.measure(ceiling))
    let shares = rates.indices.map { rates[$0] / ((peaks[$0] + peaks[$0 + 1]) / 2) }
    return Entry(
      kernel: rows == 1 ? "gemv" : "gemm", type: form.type, backend: form.backend, rows: rows,
      shape: shape, rate: clock.result(of: rates), ceiling: ceiling,
      pairedShare: ceiling == .read ? shares.sorted()[shares.count / 2] : nil)
  }
}
