import SalanganeFiles

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// Where the results of a command go: standard output, or a file that appears once it is complete.
struct Output {
  private let file: AtomicFileWriter?
  private var buffer: [UInt8] = []

  private static let bufferSize = 1 << 16

  /// True if a person reads the results as they come.
  let isTerminal: Bool

  /// Opens the output.
  ///
  /// - Parameters:
  ///   - path: The file to be; nil for standard output.
  ///   - model: The model that is read, whose files can't be the output.
  ///   - inputs: Other files that are read.
  /// - Throws: `ModelFileError` if it can't be written to; `UsageError` if it is read.
  init(path: String?, model: String? = nil, inputs: [String?] = []) throws {
    if let path, let identity = FileIdentity(path) {
      let read = (model.map(FileIdentity.model) ?? []) + inputs.compactMap { $0.flatMap(FileIdentity.init) }
      guard !read.contains(identity) else {
        throw UsageError("\(path): expected an output that isn't read too")
      }
    }
    file = try path.map { path throws(ModelFileError) in try AtomicFileWriter(path: path) }
    isTerminal = path == nil && isatty(STDOUT_FILENO) != 0
  }

  /// Writes bytes behind those written before.
  ///
  /// - Throws: `ModelFileError`; `ClosedOutput` if nobody reads standard output any more.
  mutating func write(_ bytes: [UInt8]) throws {
    if let file { return try file.write(bytes) }
    buffer.append(contentsOf: bytes)
    if buffer.count >= Self.bufferSize { try flush() }
  }

  /// Writes a text.
  mutating func write(_ text: String) throws { try write(Array(text.utf8)) }

  /// Hands on what has been written to a reader who may be waiting for it.
  mutating func flush() throws {
    var done = 0
    while done < buffer.count {
      let written = buffer.withUnsafeBytes { bytes in
        systemWrite(STDOUT_FILENO, bytes.baseAddress! + done, bytes.count - done)
      }
      if written < 0 {
        if errno == EINTR { continue }
        if errno == EPIPE { throw ClosedOutput() }
        throw ModelFileError(
          .unreadable, file: "standard output",
          expectation: "expected to write, found \(String(cString: strerror(errno)))")
      }
      done += written
    }
    buffer.removeAll(keepingCapacity: true)
  }

  /// Completes the output; without this call a file doesn't appear.
  mutating func finish() throws {
    try flush()
    try file?.commit()
  }
}
