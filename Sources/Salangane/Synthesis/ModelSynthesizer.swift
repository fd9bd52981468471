import SalanganeFiles
import SalanganeQuantization
import SalanganeTensors

/// Writes models with random weights in the shape of published ones, as GGUF files that llama.cpp loads too.
///
/// They compute as fast as the models they are shaped after, so they serve to measure speed where there is no
/// room or right for real weights. What they say means nothing. Weights are normally distributed with a
/// deviation of one over the root of the number of inputs, and norms are near 1, so that activations and
/// logits stay in a common range.
package struct ModelSynthesizer: Sendable {
  /// The sizes.
  package let shape: ModelShape
  /// How the weights are quantised; norms, biases and routers are float32.
  package let scheme: QuantizationScheme
  /// What the random numbers come from: equal seeds give equal files.
  package let seed: UInt64
  /// How many runs of values are encoded, as a power of two, before rows of large matrices are put together of
  /// them: 3 to 14.
  package let unitBits: Int

  /// Values of a unit, at most: a block of the K types.
  private static let longestUnit = 256
  /// Bytes that are put together before they are written.
  fileprivate static let chunkBytes = 8 << 20

  /// Prepares a model.
  package init(_ shape: ModelShape, scheme: QuantizationScheme, seed: UInt64 = 0, unitBits: Int = 14) {
    precondition((3...14).contains(unitBits))
    self.unitBits = unitBits
    self.shape = shape
    self.scheme = scheme
    self.seed = seed
  }

  /// Writes the file, which appears under its name once it is complete.
  ///
  /// - Parameters:
  ///   - path: The file to be.
  ///   - threads: How many threads compute; the file doesn't depend on it.
  ///   - progress: Told which share of the file is written, 0 to 1.
  /// - Throws: `ModelFileError` if it can't be written; `CancellationError`.
  package func write(
    to path: String, threads: Int? = nil, progress: (@Sendable (Double) -> Void)? = nil
  ) async throws {
    try await ComputeQueue.shared.run { [self] team, cancellation in
      let run = SynthesisRun(
        synthesizer: self, team: team, threads: threads ?? ThreadTeam.defaultThreadCount,
        cancellation: cancellation, progress: progress)
      try run.write(to: path)
    }
  }

  /// The tensors as they are written.
  package var descriptions: [TensorDescription] {
    zip(shape.tensors, shape.types(scheme)).map {
      TensorDescription(name: $0.name, type: $1, shape: $0.shape)
    }
  }

  /// The units that the rows of a matrix are put together of; nil if every value is encoded on its own.
  fileprivate func unitKey(_ tensor: SyntheticTensor, _ type: TensorType) -> RandomUnits.Key? {
    guard case .weights(let inputs) = tensor.content, let length = tensor.shape.last,
      tensor.shape.dropLast().reduce(1, *) <= RandomUnits.mostRows(countBits: unitBits)
    else { return nil }
    // Whole blocks, and at least two units a row.
    var unit = Self.longestUnit
    while unit >= type.valuesPerBlock {
      if length % unit == 0, length >= 2 * unit, unit % type.valuesPerBlock == 0 {
        return RandomUnits.Key(type: type, length: unit, inputs: inputs)
      }
      unit /= 2
    }
    return nil
  }
}

/// The writing of one file.
private final class SynthesisRun {
  let synthesizer: ModelSynthesizer
  let team: ThreadTeam
  let threads: Int
  let cancellation: Cancellation
  let progress: (@Sendable (Double) -> Void)?
  /// The units made so far.
  var units: [RandomUnits.Key: RandomUnits] = [:]
  /// How many values of the file come out of units of a kind.
  var valueCounts: [RandomUnits.Key: Int] = [:]
  var writtenBytes = 0
  var totalBytes = 0

  init(
    synthesizer: ModelSynthesizer, team: ThreadTeam, threads: Int, cancellation: Cancellation,
    progress: (@Sendable (Double) -> Void)?
  ) {
    self.synthesizer = synthesizer
    self.team = team
    self.threads = threads
    self.cancellation = cancellation
    self.progress = progress
  }

  func write(to path: String) throws {
    var writer = GGUFWriter()
    synthesizer.shape.setMetadata(of: &writer, scheme: synthesizer.scheme)
    writer.tensors = synthesizer.descriptions
    totalBytes = writer.tensors.reduce(0) { $0 + ($1.byteCount ?? 0) }
    let all = synthesizer.shape.tensors
    for (tensor, description) in zip(all, writer.tensors) {
      guard let key = synthesizer.unitKey(tensor, description.type) else { continue }
      valueCounts[key, default: 0] += tensor.shape.reduce(1, *)
    }
    var tensors = all.makeIterator()
    try writer.write(to: path) { description, sink in
      guard let tensor = tensors.next() else { return }
      let salt = mixed(synthesizer.seed, stableHash(tensor.name))
      try write(tensor, description, salt: salt, to: sink)
    }
  }

  private func write(
    _ tensor: SyntheticTensor, _ description: TensorDescription, salt: UInt64, to sink: TensorSink
  ) throws {
    let length = tensor.shape[tensor.shape.count - 1]
    let rows = tensor.shape.dropLast().reduce(1, *)
    let writeRow: (_ row: Int, _ destination: UnsafeMutableRawPointer) -> Void
    switch tensor.content {
    case .weights(let inputs):
      guard let format = Quantizer.format(of: description.type) else {
        preconditionFailure("every scheme's types have encoders")
      }
      if let key = synthesizer.unitKey(tensor, description.type), let pool = units(key, format: format) {
        writeRow = { pool.write(row: $0, units: length / key.length, salt: salt, to: $1) }
      } else {
        let deviation = 1 / Float(inputs).squareRoot()
        writeRow = { row, destination in
          withUnsafeTemporaryAllocation(of: Float.self, capacity: length) { values in
            guard let source = values.baseAddress else { return }
            var normals = NormalGenerator(seed: mixed(salt, UInt64(row)))
            normals.fill(source, count: length, deviation: deviation)
            format.encode(source, count: length / format.valuesPerBlock, into: destination)
          }
        }
      }
    case .norm: writeRow = Self.floats(length, salt: salt, mean: 1, deviation: 0.05)
    case .bias: writeRow = Self.floats(length, salt: salt, mean: 0, deviation: 0.02)
    }
    try write(rows: rows, rowBytes: (description.byteCount ?? 0) / rows, to: sink, writeRow)
  }

  /// Writes the rows of a tensor, a chunk of them after the other.
  private func write(
    rows: Int, rowBytes: Int, to sink: TensorSink, _ writeRow: (Int, UnsafeMutableRawPointer) -> Void
  ) throws {
    let rowsPerTask = max(1, (64 << 10) / rowBytes)
    let rowsPerChunk = max(1, min(rows, ModelSynthesizer.chunkBytes / rowBytes))
    let chunk = UnsafeMutableRawBufferPointer.allocate(byteCount: rowsPerChunk * rowBytes, alignment: 64)
    defer { chunk.deallocate() }
    guard let base = chunk.baseAddress else { return }
    var first = 0
    while first < rows {
      try cancellation.check()
      let count = min(rowsPerChunk, rows - first)
      let tasks = (count + rowsPerTask - 1) / rowsPerTask
      withoutActuallyEscaping(writeRow) { writeRow in
        team.run(tasks: tasks, width: threads) { task, _ in
          for row in task * rowsPerTask..<min(count, (task + 1) * rowsPerTask) {
            writeRow(first + row, base + row * rowBytes)
          }
        }
      }
      try sink.write(UnsafeRawBufferPointer(rebasing: chunk[..<(count * rowBytes)]))
      first += count
      writtenBytes += count * rowBytes
      progress?(Double(writtenBytes) / Double(max(1, totalBytes)))
    }
  }

  /// The units for a matrix, made when they are first needed; nil where that takes longer than to do without.
  private func units(_ key: RandomUnits.Key, format: any EncodableBlockFormat.Type) -> RandomUnits? {
    if let known = units[key] { return known }
    guard valueCounts[key, default: 0] > key.length << synthesizer.unitBits else { return nil }
    let made = RandomUnits(
      key, format: format, countBits: synthesizer.unitBits, seed: synthesizer.seed, team: team,
      threads: threads)
    units[key] = made
    return made
  }

  /// Writes rows of float32.
  private static func floats(
    _ length: Int, salt: UInt64, mean: Float, deviation: Float
  ) -> (Int, UnsafeMutableRawPointer) -> Void {
    { row, destination in
      let values = destination.bindMemory(to: Float.self, capacity: length)
      var normals = NormalGenerator(seed: mixed(salt, UInt64(row)))
      normals.fill(values, count: length, deviation: deviation)
      for index in 0..<length { values[index] += mean }
    }
  }
}

/// A number for a name, the same in every run (FNV-1a, 64 bits).
private func stableHash(_ name: String) -> UInt64 {
  name.utf8.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
}
