#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// Writes a file so that its final name never shows half of it.
///
/// The bytes go to a temporary file in the same directory; `commit()` syncs it and renames it. Without
/// that, the temporary file goes with the object, and a file that was there before stays as it is.
public final class AtomicFileWriter {
  /// The path of the file to be.
  public let path: String
  /// How many bytes were written.
  public private(set) var count = 0

  private let temporaryPath: String
  private var descriptor: CInt
  private var buffer: [UInt8] = []
  private var isRenamed = false

  private static let bufferSize = 1 << 18

  /// Creates the temporary file.
  ///
  /// - Parameter path: The path of the file to be; its directory must exist.
  /// - Throws: `ModelFileError`: `missing` if there is no such directory, `unreadable` if nothing can be
  ///   written there or `path` is no regular file.
  public init(path: String) throws(ModelFileError) {
    try FileSystem.check(path)
    let item = FileSystem.item(at: path)
    let (directory, name) = FileSystem.split(path)
    guard item == .nothing || item == .file, !name.isEmpty else {
      throw ModelFileError(
        .unreadable, file: path, expectation: "expected a regular file or nothing at the destination")
    }
    var attempt = 0
    var temporaryPath = ""
    repeat {
      let suffix = String(UInt64.random(in: 0...UInt64.max), radix: 36)
      // The name may be as long as the file system allows already.
      temporaryPath = FileSystem.join(directory, ".\(suffix).partial")
      descriptor = open(temporaryPath, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
      attempt += 1
    } while descriptor < 0 && (errno == EINTR || errno == EEXIST) && attempt < 100
    self.path = path
    self.temporaryPath = temporaryPath
    guard descriptor >= 0 else {
      isRenamed = true
      throw FileSystem.failure(path, "expected a directory that can be written to, found")
    }
    buffer.reserveCapacity(Self.bufferSize)
  }

  deinit {
    if descriptor >= 0 { close(descriptor) }
    if !isRenamed { unlink(temporaryPath) }
  }

  /// Writes bytes behind those written before.
  ///
  /// - Throws: `ModelFileError` of the kind `unreadable`, for a full disk for instance.
  public func write(_ bytes: UnsafeRawBufferPointer) throws(ModelFileError) {
    precondition(!isRenamed, "writes after commit")
    count += bytes.count
    if bytes.count >= Self.bufferSize {
      try flush()
      try Self.writeAll(bytes, to: descriptor, path: path)
      return
    }
    buffer.append(contentsOf: bytes)
    if buffer.count >= Self.bufferSize { try flush() }
  }

  /// Writes bytes behind those written before.
  public func write(_ bytes: [UInt8]) throws(ModelFileError) {
    try bytes.withUnsafeBufferPointer { (bytes) throws(ModelFileError) in
      try write(UnsafeRawBufferPointer(bytes))
    }
  }

  /// Writes zeros until the count is a multiple of `alignment`.
  public func pad(to alignment: Int) throws(ModelFileError) {
    let rest = count % alignment
    if rest > 0 { try write([UInt8](repeating: 0, count: alignment - rest)) }
  }

  /// Syncs the file and gives it its name.
  ///
  /// - Throws: `ModelFileError` of the kind `unreadable`; the final name is then as it was before.
  public func commit() throws(ModelFileError) {
    precondition(!isRenamed, "a second commit")
    try flush()
    guard fsync(descriptor) == 0 else { throw FileSystem.failure(path, "expected to sync the file, found") }
    let result = close(descriptor)
    descriptor = -1
    guard result == 0 || errno == EINTR else {
      throw FileSystem.failure(path, "expected to close the file, found")
    }
    guard rename(temporaryPath, path) == 0 else {
      throw FileSystem.failure(path, "expected to rename the finished file, found")
    }
    isRenamed = true
    // The new name lasts once the directory is synced, which not every file system offers.
    let directory = open(FileSystem.split(path).directory, O_RDONLY | O_CLOEXEC)
    if directory >= 0 {
      fsync(directory)
      close(directory)
    }
  }

  private func flush() throws(ModelFileError) {
    try buffer.withUnsafeBufferPointer { (bytes) throws(ModelFileError) in
      try Self.writeAll(UnsafeRawBufferPointer(bytes), to: descriptor, path: path)
    }
    buffer.removeAll(keepingCapacity: true)
  }

  /// Writes all of `bytes` to an open file, whatever portions the system takes.
  package static func writeAll(
    _ bytes: UnsafeRawBufferPointer, to descriptor: CInt, path: String
  ) throws(ModelFileError) {
    var done = 0
    while done < bytes.count {
      let portion = UnsafeRawBufferPointer(rebasing: bytes[done..<min(bytes.count, done + 1 << 30)])
      #if canImport(Darwin)
        let written = Darwin.write(descriptor, portion.baseAddress, portion.count)
      #elseif canImport(Musl)
        let written = Musl.write(descriptor, portion.baseAddress, portion.count)
      #else
        let written = Glibc.write(descriptor, portion.baseAddress, portion.count)
      #endif
      if written < 0 {
        if errno == EINTR { continue }
        throw FileSystem.failure(path, "expected to write the file, found")
      }
      done += written
    }
  }
}

/// Takes the bytes of one tensor after another while a model file is written.
public struct TensorSink {
  let output: AtomicFileWriter
  let description: TensorDescription
  let end: Int

  init(_ output: AtomicFileWriter, _ description: TensorDescription, byteCount: Int) {
    self.output = output
    self.description = description
    end = output.count + byteCount
  }

  /// Writes the next bytes of the tensor.
  ///
  /// - Throws: `ModelFileError` if they can't be written or are more than the tensor has.
  public func write(_ bytes: UnsafeRawBufferPointer) throws(ModelFileError) {
    guard bytes.count <= end - output.count else {
      throw failure("expected \(description.byteCount ?? 0) bytes to write, found more")
    }
    try output.write(bytes)
  }

  /// Writes the next elements of the tensor.
  public func write<Element: BitwiseCopyable>(_ elements: [Element]) throws(ModelFileError) {
    try elements.withUnsafeBufferPointer { (elements) throws(ModelFileError) in
      try write(UnsafeRawBufferPointer(elements))
    }
  }

  /// Checks that the tensor has got all its bytes.
  func finish() throws(ModelFileError) {
    guard output.count == end else {
      throw failure("expected \(end - output.count) more bytes to write")
    }
  }

  private func failure(_ expectation: String) -> ModelFileError {
    ModelFileError(.malformed, file: output.path, subject: description.name, expectation: expectation)
  }
}
