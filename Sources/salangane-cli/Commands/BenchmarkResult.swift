import Salangane
import SalanganeTensors

/// What was measured of one test.
struct Measurements {
  /// The time of the first run, which isn't counted.
  let firstSeconds: Double
  /// The time that each repetition took.
  let seconds: [Double]
  /// Where the time of all repetitions went; nil if nobody asked.
  let operations: [OperationProfile.Entry]?
  /// The most memory that the process has had so far; nil where the system doesn't tell.
  let peakBytes: Int?
}

/// The measurements of one test, and what they were taken with.
struct BenchmarkResult {
  /// The name of the test.
  let test: String
  /// Tokens in the cache before.
  let depth: Int
  /// Texts or sequences of a batch.
  let batch: Int
  /// How many threads computed.
  let threads: Int
  /// The kernels.
  let instructionSet: String
  /// Who multiplied float matrices.
  let backend: String
  /// How keys and values are stored; nil for tests without.
  let cacheType: KVCacheType?
  /// Tokens of one repetition.
  let tokens: Int
  /// The time from the command's start until the model could run.
  let loadSeconds: Double
  /// What was measured.
  let measurements: Measurements

  private var seconds: [Double] { measurements.seconds }

  /// The middle, the least and the greatest of several measurements.
  private struct Summary {
    let median: Double
    let min: Double
    let max: Double

    init(_ values: [Double]) {
      let sorted = values.sorted()
      let middle = sorted.count / 2
      median = sorted.count % 2 == 0 ? (sorted[middle - 1] + sorted[middle]) / 2 : sorted[middle]
      min = sorted[0]
      max = sorted[sorted.count - 1]
    }
  }

  private var rates: Summary { Summary(seconds.map { Double(tokens) / $0 }) }
  private var times: Summary { Summary(seconds) }

  /// One JSON array, an object a test.
  static func json(_ results: [BenchmarkResult]) -> [UInt8] {
    var json = JSONWriter()
    json.array { json in
      for result in results {
        json.object { json in
          json.key("test")
          json.value(result.test)
          json.key("depth")
          json.value(result.depth)
          json.key("batch")
          json.value(result.batch)
          json.key("threads")
          json.value(result.threads)
          json.key("isa")
          json.value(result.instructionSet)
          json.key("backend")
          json.value(result.backend)
          if let cacheType = result.cacheType {
            json.key("kv_type")
            json.value(cacheType.rawValue)
          }
          for (name, summary) in [("tokens_per_second", result.rates), ("seconds", result.times)] {
            json.key(name)
            json.object { json in
              json.key("median")
              json.value(summary.median)
              json.key("min")
              json.value(summary.min)
              json.key("max")
              json.value(summary.max)
            }
          }
          json.key("samples")
          json.array { json in for seconds in result.seconds { json.value(seconds) } }
          json.key("first_seconds")
          json.value(result.measurements.firstSeconds)
          json.key("load_seconds")
          json.value(result.loadSeconds)
          if let bytes = result.measurements.peakBytes {
            json.key("peak_bytes")
            json.value(bytes)
          }
          if let operations = result.measurements.operations { result.write(operations, to: &json) }
        }
      }
    }
    json.newline()
    return json.bytes
  }

  /// A header and a line a test.
  static func csv(_ results: [BenchmarkResult]) -> String {
    var text = "test,depth,batch,threads,isa,backend,tokens_per_second_median,tokens_per_second_min,"
    text += "tokens_per_second_max,seconds_median,seconds_min,seconds_max\n"
    for result in results {
      let (rates, times) = (result.rates, result.times)
      let numbers = [rates.median, rates.min, rates.max, times.median, times.min, times.max]
      text +=
        "\(result.test),\(result.depth),\(result.batch),\(result.threads),\(result.instructionSet),\(result.backend),"
      text += numbers.map(\.description).joined(separator: ",") + "\n"
    }
    return text
  }

  /// A line a test, for people.
  static func text(_ results: [BenchmarkResult]) -> String {
    results.map { result in
      let rates = result.rates
      let milliseconds = (result.times.median * 1e5).rounded() / 100
      return "\(result.test): \(Int(rates.median)) tokens/s (\(Int(rates.min)) to \(Int(rates.max))), "
        + "\(milliseconds) ms, \(result.threads) threads, \(result.instructionSet), \(result.backend)\n"
        + (result.measurements.operations.map(result.table) ?? "")
    }.joined()
  }
}
