import SalanganeTensors

extension BenchmarkResult {
  /// What one repetition does of each kind of work, on average.
  private func perRepetition(
    _ entry: OperationProfile.Entry
  ) -> (calls: Double, seconds: Double, bytes: Double) {
    let count = Double(measurements.seconds.count)
    return (Double(entry.calls) / count, entry.seconds / count, Double(entry.bytes) / count)
  }

  private var meanSeconds: Double {
    measurements.seconds.reduce(0, +) / Double(measurements.seconds.count)
  }

  /// Writes the key `phases`: an object for each kind of work.
  func write(_ operations: [OperationProfile.Entry], to json: inout JSONWriter) {
    json.key("phases")
    json.array { json in
      for entry in operations {
        let mean = perRepetition(entry)
        json.object { json in
          json.key("phase")
          json.value(entry.kind.rawValue)
          json.key("calls")
          json.value(mean.calls)
          json.key("seconds")
          json.value(mean.seconds)
          json.key("bytes")
          json.value(mean.bytes)
        }
      }
    }
  }

  /// A line for each kind of work, for people: calls, time, its share, bytes and their rate.
  func table(_ operations: [OperationProfile.Entry]) -> String {
    var text = "  phase            calls          ms   share          MB     GB/s\n"
    var rest = meanSeconds
    for entry in operations {
      let mean = perRepetition(entry)
      rest -= mean.seconds
      text += line(entry.kind.rawValue, calls: mean.calls, seconds: mean.seconds, bytes: mean.bytes)
    }
    return text + line("other", calls: nil, seconds: max(0, rest), bytes: 0)
  }

  private func line(_ name: String, calls: Double?, seconds: Double, bytes: Double) -> String {
    let hasBytes = bytes > 0 && seconds > 0
    let columns = [
      (calls.map { Self.fixed($0, 0) } ?? "", 8), (Self.fixed(seconds * 1e3, 3), 12),
      (Self.fixed(seconds / meanSeconds * 100, 1) + " %", 8),
      (hasBytes ? Self.fixed(bytes / 1e6, 2) : "", 12),
      (hasBytes ? Self.fixed(bytes / seconds / 1e9, 2) : "", 9),
    ]
    let start = "  " + name + String(repeating: " ", count: max(0, 14 - name.count))
    return columns.reduce(start) { text, column in
      text + String(repeating: " ", count: max(0, column.1 - column.0.count)) + column.0
    } + "\n"
  }

  /// A number with so many digits behind the point.
  private static func fixed(_ value: Double, _ digits: Int) -> String {
    let scale = digits == 0 ? 1 : (0..<digits).reduce(1.0) { scale, _ in scale * 10 }
    let scaled = Int((value * scale).rounded())
    guard digits > 0 else { return "\(scaled)" }
    let fraction = "\(scaled % Int(scale))"
    return "\(scaled / Int(scale))." + String(repeating: "0", count: digits - fraction.count) + fraction
  }
}
