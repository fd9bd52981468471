import ArgumentParser
import Salangane

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// Writes a model with quantised weights.
struct Quantize: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Writes a model as a GGUF file with quantised weights.",
    discussion: """
      Types: \(QuantizationScheme.allCases.map(\.rawValue).joined(separator: ", ")).

      Names with S, M or L are mixes, as are Q2_K and IQ4: tensors that matter more get more bits. Vectors and \
      other small tensors stay floats. Prints how many tensors have which type, and the size. The file appears \
      once it is complete.
      """)

  @Option(help: ArgumentHelp("The type of the weights.", valueName: "type"))
  var type: QuantizationScheme

  @Flag(help: "Quantise weights again that are quantised already, which adds errors to errors.")
  var allowRequantize = false

  @Option(
    name: [.customShort("t"), .long],
    help: "How many threads compute; otherwise SALANGANE_THREADS, or the online processors.")
  var threads: Int?

  @Flag(name: .customLong("no-mmap"), help: "Read the files instead of mapping them.")
  var noMmap = false

  @Argument(
    help: ArgumentHelp(
      "A .gguf file (the first of a split set), or a directory with a model.", valueName: "source"))
  var source: String

  @Argument(help: ArgumentHelp("The .gguf file to write.", valueName: "destination"))
  var destination: String

  func run() async throws {
    let quantizer = try await ModelQuantizer(
      contentsOf: URL(filePath: source),
      options: .init(
        scheme: type, threads: threads, allowsRequantizing: allowRequantize, isMemoryMapped: !noMmap))
    let bar = ProgressBar("quantising", isShown: true)
    defer { bar.finish() }
    try await quantizer.write(to: URL(filePath: destination)) { bar.update($0) }
    bar.finish()
    var output = try Output(path: nil)
    try output.write(Self.report(quantizer))
    try output.finish()
  }

  /// Lines of type, tensors and bytes, the largest first, and one for all of them.
  private static func report(_ quantizer: ModelQuantizer) -> String {
    var sizes: [String: (tensors: Int, bytes: Int)] = [:]
    for tensor in quantizer.tensors {
      sizes[tensor.typeName, default: (0, 0)].tensors += 1
      sizes[tensor.typeName, default: (0, 0)].bytes += tensor.byteCount
    }
    var text = ""
    for (name, size) in sizes.sorted(by: { ($0.value.bytes, $1.key) > ($1.value.bytes, $0.key) }) {
      text += "\(name)\t\(size.tensors) tensors\t\(size.bytes) bytes\n"
    }
    let bits = Double(quantizer.byteCount) * 8 / Double(max(1, quantizer.valueCount))
    let hundredths = Int((bits * 100).rounded())
    let digits = String(hundredths % 100)
    text += "all\t\(quantizer.tensors.count) tensors\t\(quantizer.byteCount) bytes"
    text += ", of \(quantizer.sourceByteCount)"
    text += "\t\(hundredths / 100).\(digits.count < 2 ? "0" : "")\(digits) bits a weight\n"
    return text
  }
}

extension QuantizationScheme: ExpressibleByArgument {
  /// Takes the scheme's name, in letters of either case.
  public init?(argument: String) {
    self.init(rawValue: argument.uppercased())
  }
}
