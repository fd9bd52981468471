/// What is wrong with a file that was asked for: which file, which tensor or key in it, and what was
/// expected there.
///
/// The description is one line, and the command prints it as it is.
public struct ModelFileError: Error, Equatable, Sendable {
  /// The kind of failure; the command derives its exit status from it.
  public enum Kind: Equatable, Sendable {
    /// The file or directory doesn't exist (exit status 66).
    case missing
    /// The file exists but can't be opened, mapped, read or written (exit status 66).
    case unreadable
    /// The file breaks its format, or its parts contradict each other (exit status 65).
    case malformed
    /// The file is valid, but this library doesn't run what it holds (exit status 69).
    case unsupported
    /// The file is whole, but belongs to another model, or to another way of running it (exit status 65).
    case foreign
  }

  /// The kind of failure.
  public var kind: Kind
  /// The path of the file at fault.
  public var file: String
  /// The tensor, key or part of the file at fault, if one can be named.
  public var subject: String?
  /// What was expected, and what was found instead.
  public var expectation: String

  /// Creates an error from its parts.
  public init(_ kind: Kind, file: String, subject: String? = nil, expectation: String) {
    self.kind = kind
    self.file = file
    self.subject = subject
    self.expectation = expectation
  }
}

extension ModelFileError: CustomStringConvertible {
  /// `file: subject: expectation`, on one line, with control characters escaped.
  public var description: String {
    let parts = [file, subject, expectation].compactMap { $0 }
    return parts.map(Self.singleLine).joined(separator: ": ")
  }

  /// Names out of untrusted files may hold anything: keep the message on one line and of bounded length.
  private static func singleLine(_ text: String) -> String {
    var line = ""
    var count = 0
    for scalar in text.unicodeScalars {
      count += 1
      if count > 400 {
        line += "..."
        break
      }
      switch scalar.properties.generalCategory {
      case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .privateUse, .unassigned:
        line += "\\u{" + String(scalar.value, radix: 16) + "}"
      default:
        line.unicodeScalars.append(scalar)
      }
    }
    return line
  }
}
