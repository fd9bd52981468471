import ArgumentParser
import Salangane
import SalanganeKernels

/// Measures the machine's ceilings, and how near the kernels come to them.
struct RooflineCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "roofline",
    abstract: "Measures what share of the machine's ceilings the kernels reach.",
    discussion: """
      The ceilings are the rate at which memory can be read, and the multiply-adds of 8-bit integers and of \
      floats that the processor can do in its registers. Products with many rows (gemm) are measured against \
      the multiply-adds, products with one row (gemv) against the memory that their weights are read from. \
      All are taken in turn, several times: of multiply-adds the best counts, of memory's rate the median of \
      a kernel's shares, since that rate changes all the time.
      """)

  enum Format: String, ExpressibleByArgument, CaseIterable {
    case text, json
  }

  @OptionGroup var threads: ThreadOptions

  @Option(
    help: ArgumentHelp(
      "The kernels: portable, avx2 or avx512; otherwise SALANGANE_ISA, or the fastest available.",
      valueName: "name"))
  var isa: String?

  @Option(
    help: ArgumentHelp(
      "Only weights of these types, separated by commas: \(Roofline.knownTypes.joined(separator: ", ")).",
      valueName: "types"))
  var type: String?

  @Option(help: ArgumentHelp("Only weights of this many output features.", valueName: "features"))
  var columns: Int?

  @Option(help: ArgumentHelp("Only weights of this many input features.", valueName: "features"))
  var depth: Int?

  @Flag(help: "Measure the ceilings only.")
  var ceilings = false

  @Option(
    name: .customShort("r"),
    help: "How many measurements of a kernel in a row must bring nothing better before the next one's turn.")
  var repetitions = 20

  @Flag(
    name: .customLong("cpu-time"),
    help: "Count the time that the thread computes, on a busy machine; with -t 1 only.")
  var usesProcessorTime = false

  @Option(help: "How to print the results.")
  var format = Format.text

  func run() async throws {
    guard repetitions >= 1 else { throw UsageError("-r: expected at least 1, found \(repetitions)") }
    guard !ceilings || type == nil && columns == nil && depth == nil else {
      throw UsageError("--ceilings: expected no --type, --columns or --depth, since no kernel is measured")
    }
    let types = ceilings ? [] : try types()
    let threads = try threads.count
    guard !usesProcessorTime || threads == 1 else {
      throw UsageError("--cpu-time: expected one thread (-t 1), found \(threads)")
    }
    let roofline = Roofline(
      threads: threads, instructionSet: try isa.map { try .named($0) } ?? .preferred,
      repetitions: repetitions, types: types, shape: try shape(types), usesProcessorTime: usesProcessorTime)
    let bar = ProgressBar("measuring", isShown: true)
    defer { bar.finish() }
    let report = try await roofline.run { bar.update($0) }
    bar.finish()
    var output = try Output(path: nil)
    switch format {
    case .text: try output.write(RooflineReport.text(report))
    case .json: try output.write(RooflineReport.json(report))
    }
    try output.finish()
  }

  private func shape(_ types: Set<String>?) throws -> Roofline.Shape? {
    switch (columns, depth) {
    case (nil, nil): return nil
    case (let columns?, let depth?):
      for (name, value) in [("--columns", columns), ("--depth", depth)]
      where !(1...Self.mostFeatures).contains(value) {
        throw UsageError("\(name): expected 1 to \(Self.mostFeatures), found \(value)")
      }
      let block = Roofline.blockLength(of: types)
      guard depth % block == 0 else {
        throw UsageError("--depth: expected a multiple of \(block) for these types, found \(depth)")
      }
      return Roofline.Shape(columns: columns, depth: depth)
    default: throw UsageError("--columns, --depth: expected both or neither")
    }
  }

  private static let mostFeatures = 1 << 16

  private func types() throws -> Set<String>? {
    guard let type else { return nil }
    let names = type.split(separator: ",").map { $0.uppercased() }
    for name in names where !Roofline.knownTypes.contains(name) {
      throw UsageError(
        "--type: expected some of \(Roofline.knownTypes.joined(separator: ", ")), found '\(name)'")
    }
    guard !names.isEmpty else { throw UsageError("--type: expected at least one type") }
    return Set(names)
  }
}

/// The forms in which a roofline report is printed.
enum RooflineReport {
  /// One JSON object.
  static func json(_ report: Roofline.Report) -> [UInt8] {
    var json = JSONWriter()
    json.object { json in
      json.key("threads")
      json.value(report.threads)
      json.key("isa")
      json.value(report.instructionSet.rawValue)
      json.key("ceilings")
      json.object { json in
        for ceiling in Ceiling.allCases {
          json.key(ceiling.key)
          json.value(ceiling.inUnits(report.ceilings[ceiling] ?? 0))
        }
      }
      json.key("kernels")
      json.array { json in
        for entry in report.kernels {
          json.object { json in
            json.key("kernel")
            json.value(entry.kernel)
            json.key("type")
            json.value(entry.type)
            json.key("backend")
            json.value(entry.backend)
            json.key("rows")
            json.value(entry.rows)
            json.key("columns")
            json.value(entry.shape.columns)
            json.key("depth")
            json.value(entry.shape.depth)
            json.key("share")
            json.value((entry.share * 10000).rounded() / 10000)
            json.key("of")
            json.value(entry.ceiling.rawValue)
          }
        }
      }
    }
    json.newline()
    return json.bytes
  }

  /// A table for people.
  static func text(_ report: Roofline.Report) -> String {
    var text = "\(report.threads) threads, \(report.instructionSet.rawValue)\n"
    for ceiling in Ceiling.allCases {
      let rate = ceiling.inUnits(report.ceilings[ceiling] ?? 0)
      text += "\(padded(ceiling.rawValue, 5)) \(padded("\(rate)", 9, right: true)) \(ceiling.unit)\n"
    }
    guard !report.kernels.isEmpty else { return text }
    text += "\nkernel type     backend    rows columns depth         rate         share of\n"
    for entry in report.kernels {
      let rate = "\(entry.ceiling.inUnits(entry.rate)) \(entry.ceiling.unit)"
      let share = "\(Int((entry.share * 100).rounded())) %"
      text +=
        [
          padded(entry.kernel, 6), padded(entry.type, 8), padded(entry.backend, 9),
          padded("\(entry.rows)", 5, right: true), padded("\(entry.shape.columns)", 7, right: true),
          padded("\(entry.shape.depth)", 5, right: true), padded(rate, 18, right: true),
          padded(share, 7, right: true), entry.ceiling.rawValue,
        ].joined(separator: " ") + "\n"
    }
    return text
  }

  private static func padded(_ text: String, _ width: Int, right: Bool = false) -> String {
    let spaces = String(repeating: " ", count: max(0, width - text.count))
    return right ? spaces + text : text + spaces
  }
}

extension Ceiling {
  /// The key in the report.
  fileprivate var key: String {
    switch self {
    case .read: "read_gb_per_s"
    case .int8: "int8_gmac_per_s"
    case .f32: "f32_gflop_per_s"
    }
  }

  /// The unit, for people.
  fileprivate var unit: String {
    switch self {
    case .read: "GB/s"
    case .int8: "GMAC/s"
    case .f32: "GFLOP/s"
    }
  }

  /// A rate in that unit, to a hundredth: a float's multiply-add is two operations.
  fileprivate func inUnits(_ rate: Double) -> Double {
    ((self == .f32 ? 2 : 1) * rate / 1e7).rounded() / 100
  }
}
