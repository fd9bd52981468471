import ArgumentParser
import Salangane
import SalanganeFiles
import SalanganeKernels
import SalanganeTokenizers

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// The exit statuses of the command, a part of its interface.
enum ExitStatus: Int32 {
  case success = 0
  /// The command line asks for what isn't offered.
  case usage = 64
  /// A file breaks its format, or an input line isn't what it should be.
  case data = 65
  /// A file is missing, or can't be read or written.
  case file = 66
  /// A valid model that isn't supported.
  case unsupported = 69
  /// A defect of this program.
  case software = 70

  /// The status that `error` leads to.
  init(for error: any Error) {
    switch error {
    case let error as ModelFileError:
      switch error.kind {
      case .missing, .unreadable: self = .file
      case .malformed, .foreign: self = .data
      case .unsupported: self = .unsupported
      }
    case is InputError: self = .data
    case let error as EmbeddingError:
      if case .notFinite = error { self = .data } else { self = .usage }
    case let error as GenerationError:
      if case .notFinite = error { self = .data } else { self = .usage }
    case ComputeError.noThread, ComputeError.outOfMemory: self = .usage
    case is UsageError, is InstructionSetError, is TokenizerError: self = .usage
    case is ClosedOutput: self = .success
    default: self = .software
    }
  }

  /// Ends the process: with one line on standard error, or with the help that was asked for.
  static func exit(for error: any Error) -> Never {
    if let code = parserStatus(of: error) {
      if code == ExitStatus.success.rawValue { SalanganeCommand.exit(withError: error) }
      StandardError.line("error: " + SalanganeCommand.message(for: error))
      end(code)
    }
    let status = ExitStatus(for: error)
    if !(error is ClosedOutput) {
      let prefix = status == .software ? "error: a defect of salangane: " : "error: "
      StandardError.line(prefix + "\(error)")
    }
    end(status.rawValue)
  }

  /// The status that ArgumentParser gives to an error of its own; nil for other errors.
  private static func parserStatus(of error: any Error) -> Int32? {
    let code = SalanganeCommand.exitCode(for: error).rawValue
    // Everything that it doesn't know is a failure to it, status 1.
    return code == ExitCode.failure.rawValue ? nil : code
  }

  private static func end(_ status: Int32) -> Never {
    #if canImport(Glibc)
      Glibc.exit(status)
    #else
      Darwin.exit(status)
    #endif
  }
}

/// The command line asks for something that isn't offered.
struct UsageError: Error, CustomStringConvertible {
  let description: String

  init(_ description: String) { self.description = description }
}

/// Lines of the input couldn't be processed; each was reported on its own.
struct InputError: Error, CustomStringConvertible {
  let description: String

  init(_ description: String) { self.description = description }
}

/// Nobody reads standard output any more.
struct ClosedOutput: Error {}
