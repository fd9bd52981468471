#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// Standard error, for messages and progress.
enum StandardError {
  /// True if a person may be watching.
  static let isTerminal = isatty(STDERR_FILENO) != 0

  /// Writes `text` as one line, whatever it holds.
  static func line(_ text: String) {
    write(String(text.map { $0.isNewline ? " " : $0 }) + "\n")
  }

  /// Writes `text` as it is; a standard error that can't be written to is no reason to fail.
  static func write(_ text: String) {
    var text = text
    text.withUTF8 { bytes in
      var done = 0
      while done < bytes.count {
        let written = systemWrite(STDERR_FILENO, bytes.baseAddress! + done, bytes.count - done)
        if written < 0 && errno == EINTR { continue }
        if written <= 0 { return }
        done += written
      }
    }
  }
}

/// The write of the system, which a method of that name would hide.
func systemWrite(_ descriptor: CInt, _ bytes: UnsafeRawPointer?, _ count: Int) -> Int {
  write(descriptor, bytes, count)
}
