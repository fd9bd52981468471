import SalanganeKernels
import SalanganeModelGraph
import SalanganeTensors

/// A piece of work that is measured against one of the machine's ceilings: for benchmarks outside this package.
///
/// Everything is prepared when a workload is made; `seconds` is the time of the work alone.
@_spi(Benchmarks)
public struct Workload: Sendable {
  /// What is done, in a few words.
  public let name: String
  /// The ceiling that the work is held against: `read`, `int8` or `f32`.
  public var ceiling: String { against.rawValue }
  /// Bytes to read or multiply-adds of one run.
  public let amount: Double

  private let against: Ceiling
  private let prepared: LeaderState<(() -> Void)?>

  /// Prepares work on the computing threads.
  ///
  /// - Parameter make: Gives what is measured, and how many bytes or multiply-adds it takes.
  fileprivate init(
    _ name: String, _ against: Ceiling,
    make: @escaping @Sendable (ComputeContext) throws -> (amount: Double, run: () -> Void)
  ) async throws {
    let prepared = LeaderState<(() -> Void)?>(nil)
    amount = try await ComputeQueue.shared.run { team, _ in
      let kernels = try KernelTable.table(for: .preferred)
      let context = ComputeContext(team: team, threads: ThreadTeam.defaultThreadCount, kernels: kernels)
      let (amount, run) = try make(context)
      // The first time brings memory into place.
      run()
      prepared.value = run
      return amount
    }
    self.name = name
    self.against = against
    self.prepared = prepared
  }

  /// Runs it for at least some seconds, and gives the seconds that one run took.
  ///
  /// - Throws: `CancellationError`.
  public func seconds(atLeast least: Double = 0.002) async throws -> Double {
    try await ComputeQueue.shared.run { [prepared] _, _ in
      guard let run = prepared.value else { preconditionFailure("a workload is prepared when it is made") }
      let watch = Stopwatch(.wall)
      var count = 0
      repeat {
        run()
        count += 1
      } while watch.seconds < least
      return watch.seconds / Double(count)
    }
  }
}

/// The machine's ceilings, measured again and again beside workloads.
@_spi(Benchmarks)
public final class CeilingGauge: Sendable {
  private let meter: LeaderState<CeilingMeter?>

  /// Prepares the memory that is read.
  ///
  /// - Throws: `InstructionSetError`; `CancellationError`.
  public init() async throws {
    let meter = LeaderState<CeilingMeter?>(nil)
    self.meter = meter
    try await ComputeQueue.shared.run { team, _ in
      let kernels = try KernelTable.table(for: .preferred)
      let context = ComputeContext(team: team, threads: ThreadTeam.defaultThreadCount, kernels: kernels)
      meter.value = CeilingMeter(
        context: context, clock: .wall, memoryBytes: Roofline.Scale.full.memoryBytes)
    }
  }

  /// Measures a ceiling once more, and gives the best rate so far, in bytes or multiply-adds a second.
  ///
  /// - Parameter name: `read`, `int8` or `f32`.
  /// - Throws: `CancellationError`.
  public func rate(of name: String) async throws -> Double {
    guard let ceiling = Ceiling(rawValue: name) else { preconditionFailure("\(name): expected a ceiling") }
    return try await ComputeQueue.shared.run { [meter] _, _ in
      meter.value?.measure(ceiling)
      return meter.value?.results[ceiling] ?? 0
    }
  }
}

@_spi(Benchmarks)
extension Workload {
  /// The types of weights whose products can be measured.
  public static var weightTypes: [String] { Roofline.knownTypes }

  /// The product of `rows` rows with weights of `columns` output and `depth` input features. With one row the weights
  /// are far larger than the caches, and taken in turn.
  ///
  /// - Throws: `InstructionSetError`; `CancellationError`.
  public static func product(
    type: String, rows: Int, columns: Int, depth: Int
  ) async throws -> Workload {
    guard let form = WeightForm.all.first(where: { $0.type == type && $0.backend == "native" }) else {
      preconditionFailure("\(type): expected one of weightTypes")
    }
    let readsMemory = rows == 1
    return try await Workload(
      "product \(type) \(rows)x\(columns)x\(depth)", readsMemory ? .read : form.ceiling
    ) { context in
      let make = form.prepare(depth, context)
      var weights = [make(columns)]
      while readsMemory, weights.count * weights[0].byteCount < Roofline.Scale.full.coldBytes {
        weights.append(make(columns))
      }
      let x = Matrix(rows: rows, columns: depth)
      let out = Matrix(rows: rows, columns: columns)
      for row in 0..<rows { WeightForm.random(depth)(row, x.row(row)) }
      var next = 0
      let amount = readsMemory ? weights[0].byteCount : rows * columns * depth
      return (
        Double(amount),
        {
          weights[next].multiply(x, out)
          next = (next + 1) % weights.count
        }
      )
    }
  }

  /// Attention of `rows` tokens behind `depth` others, with the heads of Qwen3-0.6B and keys and values in half
  /// precision: one token reads them from memory, many compute.
  ///
  /// - Throws: `InstructionSetError`; `CancellationError`.
  public static func attention(rows: Int, depth: Int) async throws -> Workload {
    let shape = AttentionShape(heads: 16, keyValueHeads: 8, headDimension: 128)
    // As many layers as a model has, so that no cache holds them all.
    let layers = rows == 1 ? 28 : 1
    return try await Workload("attention \(rows) behind \(depth)", rows == 1 ? .read : .f32) { context in
      let layer = KVCache.LayerShape(
        heads: shape.keyValueHeads, keyDimension: shape.headDimension, valueDimension: shape.headDimension)
      let positions = depth + rows
      let cache = KVCache(
        layers: Array(repeating: layer, count: layers), elementType: .f16, capacity: positions)
      try cache.reserve(positions)
      let vectors = Matrix(rows: 1, columns: 2 * shape.headDimension)
      let scratch = FloatBuffer(count: KVCache.storeScratchCount(dimension: shape.headDimension))
      for position in 0..<positions {
        WeightForm.random(2 * shape.headDimension)(position, vectors.row(0))
        for index in 0..<layers {
          for head in 0..<shape.keyValueHeads {
            cache.store(
              layer: index, head: head, position: position, key: vectors.row(0),
              value: vectors.row(0) + shape.headDimension, scratch: scratch.base, kernels: context.kernels)
          }
        }
      }
      let queries = Matrix(rows: rows, columns: shape.queryFeatures)
      let out = Matrix(rows: rows, columns: shape.outputFeatures)
      for row in 0..<rows { WeightForm.random(shape.queryFeatures)(row, queries.row(row)) }
      let span = SequenceSpan(cache: cache, firstRow: 0, count: rows, start: depth)
      // A row sees itself and all before it; scores and weighted values take a multiply-add a feature each.
      let seen = rows * depth + rows * (rows + 1) / 2
      let bytes = layers * positions * layer.bytesPerPosition(.f16)
      let amount = rows == 1 ? bytes : seen * shape.heads * 2 * shape.headDimension
      return (
        Double(amount),
        {
          withUnsafePointer(to: span) { span in
            for index in 0..<layers {
              context.causalAttention(
                queries: queries, spans: UnsafeBufferPointer(start: span, count: 1), layer: index,
                shape: shape,
                scale: 0.088, window: nil, into: out)
            }
          }
        }
      )
    }
  }

  /// The choice of experts for 512 tokens, as Qwen3-30B-A3B (8 of 128) or, `grouped`, as DeepSeek-V3 (8 of 256 in
  /// groups) makes it: a logit counts as a multiply-add.
  ///
  /// - Throws: `InstructionSetError`; `CancellationError`.
  public static func routing(grouped: Bool) async throws -> Workload {
    try await Workload("routing \(grouped ? "8 of 256 in groups" : "8 of 128")", .f32) { _ in
      let router =
        grouped
        ? Router(
          experts: 256, used: 8, gate: .sigmoid, bias: [Float](repeating: 0.1, count: 256),
          groups: Router.Groups(count: 8, used: 4, score: .sumOfBestTwo), normalizes: true)
        : Router(experts: 128, used: 8, gate: .softmax, normalizes: true)
      let rows = 512
      let logits = Matrix(rows: rows, columns: router.experts)
      for row in 0..<rows { WeightForm.random(router.experts)(row, logits.row(row)) }
      let scratch = FloatBuffer(count: router.scratchCount)
      let weights = FloatBuffer(count: router.used)
      var chosen = [Int32](repeating: 0, count: router.used)
      return (
        Double(rows * router.experts),
        {
          chosen.withUnsafeMutableBufferPointer { chosen in
            guard let chosen = chosen.baseAddress else { return }
            for row in 0..<rows {
              router.route(logits.row(row), chosen: chosen, weights: weights.base, scratch: scratch.base)
            }
          }
        }
      )
    }
  }

  /// The choice of a token from Qwen3's 151,936 logits: each counts as a multiply-add.
  ///
  /// - Throws: `InstructionSetError`; `CancellationError`.
  public static func sampling(_ name: String, _ options: SamplingOptions) async throws -> Workload {
    try await Workload("sampling \(name)", .f32) { _ in
      let count = 151_936
      let source = FloatBuffer(count: count)
      let logits = FloatBuffer(count: count)
      WeightForm.random(count)(0, source.base)
      var sampler = Sampler(options, vocabularySize: count, seed: 1)
      return (
        Double(count),
        {
          logits.base.update(from: source.base, count: count)
          sampler.accept(sampler.choose(UnsafeMutableBufferPointer(start: logits.base, count: count)))
        }
      )
    }
  }
}
