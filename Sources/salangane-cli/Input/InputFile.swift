import SalanganeFiles

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// A file of text that is read from its beginning to its end: a file, a pipe or standard input.
final class InputFile {
  /// What messages call it.
  let name: String
  /// The size in bytes; nil if it isn't known beforehand.
  let size: Int?

  private let descriptor: CInt
  private let isOwned: Bool

  /// Opens a file.
  ///
  /// - Parameter path: The path; `-` is standard input.
  /// - Throws: `ModelFileError` of the kinds `missing` and `unreadable`.
  init(path: String) throws(ModelFileError) {
    guard path != "-" else {
      name = "standard input"
      descriptor = STDIN_FILENO
      isOwned = false
      size = nil
      return
    }
    name = path
    isOwned = true
    descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else {
      let code = errno
      throw ModelFileError(
        code == ENOENT || code == ENOTDIR ? .missing : .unreadable, file: path,
        expectation: "expected a readable file, found \(String(cString: strerror(code)))")
    }
    var status = stat()
    let isRegular = fstat(descriptor, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
    size = isRegular ? Int(status.st_size) : nil
  }

  deinit {
    if isOwned { close(descriptor) }
  }

  /// Appends what comes next to `bytes`, at most about `count` bytes; false at the end.
  ///
  /// - Throws: `ModelFileError` of the kind `unreadable`.
  func read(_ count: Int = 1 << 18, into bytes: inout [UInt8]) throws(ModelFileError) -> Bool {
    let start = bytes.count
    bytes.append(contentsOf: repeatElement(0, count: count))
    var result: Int
    repeat {
      result = bytes.withUnsafeMutableBytes { buffer in
        systemRead(descriptor, buffer.baseAddress! + start, count)
      }
    } while result < 0 && errno == EINTR
    let code = errno
    bytes.removeLast(count - max(0, result))
    guard result >= 0 else {
      throw ModelFileError(
        .unreadable, file: name,
        expectation: "expected readable text, found \(String(cString: strerror(code)))")
    }
    return result > 0
  }

  /// Everything up to the end.
  ///
  /// - Throws: `ModelFileError`: `unreadable`, or `malformed` beyond 1 GiB.
  func readAll() throws(ModelFileError) -> [UInt8] {
    var bytes: [UInt8] = []
    while try read(into: &bytes) {
      guard bytes.count <= 1 << 30 else {
        throw ModelFileError(.malformed, file: name, expectation: "expected a text of at most 1 GiB")
      }
    }
    return bytes
  }
}

/// The read of the system, which a method of that name would hide.
private func systemRead(_ descriptor: CInt, _ bytes: UnsafeMutableRawPointer?, _ count: Int) -> Int {
  read(descriptor, bytes, count)
}
