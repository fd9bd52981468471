import ArgumentParser
import SalanganeFiles

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// The `salangane` command; Docs/Command.md describes it.
struct SalanganeCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "salangane",
    abstract:
      "Runs transformer models on the CPU: embeddings, search, generation, and a look into model files.",
    discussion: """
      Exit status: 0 success, 64 bad usage, 65 bad data, 66 a file that is missing or can't be read or \
      written, 69 a model that isn't supported, 70 a defect of salangane.
      """,
    version: "0.1.0-dev",
    subcommands: [
      Inspect.self, Tokenize.self, Detokenize.self, Embed.self, Search.self, Rerank.self, Logits.self,
      Generate.self, Bench.self, Quantize.self, Synthesize.self, RooflineCommand.self, SelfTest.self,
    ])
}

@main
enum Main {
  static func main() async {
    occupyStandardDescriptors()
    // A reader that closes the pipe early makes writes fail with EPIPE instead of ending the process.
    signal(SIGPIPE, SIG_IGN)
    // So does a limit on the size of files.
    signal(SIGXFSZ, SIG_IGN)
    // And a model file that is cut short while it is used is reported.
    MappedFiles.catchShrinking()
    do {
      try checkArguments()
      var command = try SalanganeCommand.parseAsRoot()
      if var asynchronous = command as? any AsyncParsableCommand {
        try await asynchronous.run()
      } else {
        try command.run()
      }
    } catch {
      ExitStatus.exit(for: error)
    }
  }

  /// Puts something in the place of standard input, output or error where we were started without.
  ///
  /// The next file that is opened would take it, and get what is written there.
  private static func occupyStandardDescriptors() {
    for descriptor in [STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO] where fcntl(descriptor, F_GETFD) < 0 {
      // The other way round, so that reading and writing fail.
      _ = open("/dev/null", descriptor == STDIN_FILENO ? O_WRONLY : O_RDONLY)
    }
  }

  /// Refuses arguments that aren't UTF-8, which would reach us with replacement characters in them.
  private static func checkArguments() throws {
    for (position, argument) in CommandLine.arguments.enumerated() {
      guard let bytes = CommandLine.unsafeArgv[position] else { break }
      let raw = UnsafeBufferPointer(start: bytes, count: strlen(bytes))
      if !raw.elementsEqual(argument.utf8.lazy.map { CChar(bitPattern: $0) }) {
        throw UsageError("argument \(position): expected UTF-8")
      }
    }
  }
}
