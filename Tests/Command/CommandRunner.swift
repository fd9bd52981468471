import Foundation
import SalanganeTestSupport

/// What a run of the command left behind.
struct CommandResult {
  /// The exit status; above 128 if a signal ended it, as shells count.
  let status: Int32
  /// Standard output.
  let output: [UInt8]
  /// Standard error.
  let errors: String

  /// Standard output as text.
  var text: String { String(decoding: output, as: UTF8.self) }
  /// The lines of standard output.
  var lines: [String] { text.split(separator: "\n", omittingEmptySubsequences: true).map(String.init) }
  /// The lines of standard error.
  var errorLines: [String] { errors.split(separator: "\n").map(String.init) }

  /// Every line of standard output as a JSON object.
  func rows() throws -> [[String: Any]] {
    try lines.map { line in
      let value = try JSONSerialization.jsonObject(with: Data(line.utf8))
      guard let row = value as? [String: Any] else { throw CommandTestError("no object: \(line)") }
      return row
    }
  }

  /// Standard output as one JSON value.
  func json() throws -> Any {
    try JSONSerialization.jsonObject(with: Data(output), options: .fragmentsAllowed)
  }
}

/// A test that can't go on.
struct CommandTestError: Error, CustomStringConvertible {
  let description: String

  init(_ description: String) { self.description = description }
}

/// The command that was built with these tests.
enum Command {
  /// The path of the program, which lies next to the tests.
  static let path: String = {
    #if canImport(Darwin)
      let tests = Bundle(for: BundleMarker.self).bundleURL
    #else
      let tests = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
    #endif
    return tests.deletingLastPathComponent().appendingPathComponent("salangane").path
  }()

  private final class BundleMarker {}

  /// What runs the program: nothing, or an emulator of another CPU.
  static let runner =
    (ProcessInfo.processInfo.environment["SALANGANE_TEST_RUNNER"] ?? "").split(separator: " ").map(
      String.init)

  /// Runs the command to its end.
  ///
  /// - Parameters:
  ///   - arguments: Its arguments.
  ///   - input: What it finds on standard input.
  ///   - environment: Variables on top of our own.
  static func run(
    _ arguments: [String], input: [UInt8] = [], environment: [String: String] = [:]
  ) async throws -> CommandResult {
    try await launch(runner + [path] + arguments, input: input, environment: environment)
  }

  /// Runs a line of shell in which `"$@"` is the command and its arguments.
  static func shell(_ line: String, _ arguments: [String]) async throws -> CommandResult {
    try await launch(["sh", "-c", line, "sh"] + runner + [path] + arguments, input: [], environment: [:])
  }

  /// The errors without what qemu says of features that it can't emulate.
  private static func withoutEmulator(_ errors: [UInt8]) -> String {
    let text = String(decoding: errors, as: UTF8.self)
    guard !runner.isEmpty else { return text }
    return text.split(separator: "\n", omittingEmptySubsequences: false)
      .filter { !$0.contains(": warning: TCG doesn't support requested feature") }.joined(separator: "\n")
  }

  private static func launch(
    _ words: [String], input: [UInt8], environment: [String: String]
  ) async throws -> CommandResult {
    // Files instead of pipes: nothing can wait for us to read or write.
    let directory = try TemporaryDirectory()
    try directory.write(input, to: "input")
    let output = try directory.write("", to: "output")
    let errors = try directory.write("", to: "errors")
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = words
    process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
    process.standardInput = try FileHandle(forReadingFrom: URL(fileURLWithPath: directory.path("input")))
    process.standardOutput = try FileHandle(forWritingTo: URL(fileURLWithPath: output))
    process.standardError = try FileHandle(forWritingTo: URL(fileURLWithPath: errors))
    try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
      process.terminationHandler = { _ in continuation.resume() }
      do {
        try process.run()
      } catch {
        continuation.resume(throwing: error)
      }
    }
    let status = process.terminationStatus
    return CommandResult(
      status: process.terminationReason == .exit ? status : 128 + status,
      output: try directory.read("output"), errors: withoutEmulator(try directory.read("errors")))
  }
}

/// The tiny models that the tests use.
enum TinyModel {
  /// A model of 64 features, normalised, with prompts, up to 40 tokens.
  static let directory = TestFiles.golden("bert/wide")
  /// The same weights in one file.
  static let gguf = TestFiles.golden("bert/wide-f32.gguf")

  /// Copies the model directory, so that a test can spoil it.
  static func copy(to directory: TemporaryDirectory) throws -> String {
    let destination = directory.path("model")
    try FileManager.default.copyItem(atPath: Self.directory, toPath: destination)
    return destination
  }

  /// Texts of many kinds, none of which holds a line end.
  static let texts = [
    "The swiftlet nests in a cave by the sea.", "", "   ", "Swifts fly high; they eat insects!",
    "[CLS] the [MASK] flies [SEP]", "鳥 flies über the 海 🐦", "tab\there \"quoted\" \\ back",
    String(repeating: "one ", count: 100), "\u{1}\u{7F}\u{85}\u{2028}x", "e\u{301}\u{200D}",
  ]
}
