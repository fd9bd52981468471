import ArgumentParser
import SalanganeTensors

/// Checks the kernels of this CPU.
struct SelfTest: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "selftest",
    abstract: "Checks every kernel of every instruction set of this CPU.",
    discussion: """
      Each kernel runs on fixed numbers; what comes out is compared with the portable kernels, with formulas in \
      double precision, and with values computed elsewhere. Errors are relative to the greatest expected magnitude. \
      Exit status 70 if one is above its ceiling.
      """)

  enum Format: String, ExpressibleByArgument, CaseIterable {
    case text, json
  }

  @Option(help: "How to print the results.")
  var format = Format.text

  func run() throws {
    let results = try KernelSelfTest().run()
    var output = try Output(path: nil)
    switch format {
    case .text: try output.write(text(results))
    case .json: try output.write(json(results))
    }
    try output.finish()
    let failures = results.count { !$0.passes }
    guard failures == 0 else {
      throw SelfTestFailure(failures: failures, total: results.count)
    }
  }

  private func text(_ results: [KernelSelfTest.Result]) -> [UInt8] {
    var lines = results.map { result in
      let name = "\(result.instructionSet.rawValue) \(result.kernel)"
      let padding = String(repeating: " ", count: max(1, 34 - name.utf8.count))
      return "\(result.passes ? "ok    " : "FAILED") \(name)\(padding)against \(result.oracle.rawValue): "
        + "\(brief(result.error)), ceiling \(brief(result.ceiling))"
    }
    lines.append("\(results.count { $0.passes }) of \(results.count) passed")
    return Array((lines.joined(separator: "\n") + "\n").utf8)
  }

  /// A number with two digits.
  private func brief(_ value: Double) -> String {
    guard value.isFinite, value > 0 else { return "\(value)" }
    var exponent = 0
    var digits = value
    while digits < 1 {
      digits *= 10
      exponent -= 1
    }
    return "\((digits * 10).rounded() / 10)e\(exponent)"
  }

  private func json(_ results: [KernelSelfTest.Result]) -> [UInt8] {
    var writer = JSONWriter()
    writer.array { writer in
      for result in results {
        writer.object { writer in
          writer.key("isa")
          writer.value(result.instructionSet.rawValue)
          writer.key("kernel")
          writer.value(result.kernel)
          writer.key("oracle")
          writer.value(result.oracle.rawValue)
          writer.key("error")
          writer.value(result.error)
          writer.key("ceiling")
          writer.value(result.ceiling)
          writer.key("passes")
          writer.value(result.passes)
        }
      }
    }
    return writer.bytes + [UInt8(ascii: "\n")]
  }
}

/// Kernels that compute something else than they should.
struct SelfTestFailure: Error, CustomStringConvertible {
  let failures: Int
  let total: Int

  var description: String { "selftest: \(failures) of \(total) checks are above their ceilings" }
}
