#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// Writes a file so that its final name never shows half of it.
///
/// The bytes go to a file without a name in the same directory, which `commit()` syncs and names. Without that,
/// a file that was there before stays as it is, and the bytes go with the object, or with the process, however
/// that ends. Only where the file system has no such files do they go to one named `.*.partial`, which a process
/// that is killed leaves behind.
public final class AtomicFileWriter {
  /// The path of the file to be.
  public let path: String
  /// How many bytes were written.
  public private(set) var count = 0

  /// The name of the file until it gets its own; nil as long as it has none.
  private var temporaryPath: String?
  private var descriptor: CInt
  private var buffer: [UInt8] = []
  private var isCommitted = false

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
    self.path = path
    descriptor = Self.openUnnamed(in: directory)
    if descriptor < 0 {
      temporaryPath = Self.inventName(in: directory) { name in
        descriptor = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
        return descriptor >= 0
      }
    }
    guard descriptor >= 0 else {
      throw FileSystem.failure(path, "expected a directory that can be written to, found")
    }
    buffer.reserveCapacity(Self.bufferSize)
  }

  deinit {
    if descriptor >= 0 { close(descriptor) }
    if let temporaryPath { unlink(temporaryPath) }
  }

  /// Opens a file without a name, which can be given one later; -1 where there are no such files.
  private static func openUnnamed(in directory: String) -> CInt {
    #if os(Linux)
      // O_TMPFILE, a macro that Swift doesn't import; the name comes through /proc.
      guard access("/proc/self/fd", X_OK) == 0 else { return -1 }
      var descriptor: CInt
      repeat {
        descriptor = open(directory, O_WRONLY | O_CLOEXEC | 0o20_000_000 | O_DIRECTORY, 0o666)
      } while descriptor < 0 && errno == EINTR
      return descriptor
    #else
      return -1
    #endif
  }

  /// Tries hidden names until `make` could make a file of one.
  ///
  /// - Returns: The name; nil if it couldn't, with the reason in `errno`.
  private static func inventName(in directory: String, _ make: (String) -> Bool) -> String? {
    for _ in 0..<100 {
      // The name of the file to be may be as long as the file system allows already.
      let suffix = String(UInt64.random(in: 0...UInt64.max), radix: 36)
      let name = FileSystem.join(directory, ".\(suffix).partial")
      if make(name) { return name }
      if errno != EINTR && errno != EEXIST { break }
    }
    return nil
  }

  /// Writes bytes behind those written before.
  ///
  /// - Throws: `ModelFileError` of the kind `unreadable`, for a full disk for instance.
  public func write(_ bytes: UnsafeRawBufferPointer) throws(ModelFileError) {
    precondition(!isCommitted, "writes after commit")
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
    precondition(!isCommitted, "a second commit")
    try flush()
    guard fsync(descriptor) == 0 else { throw FileSystem.failure(path, "expected to sync the file, found") }
    // A process that is ended between these two leaves a hidden file behind: nothing else comes in between.
    try giveName()
    if let temporaryPath {
      guard rename(temporaryPath, path) == 0 else {
        throw FileSystem.failure(path, "expected to rename the finished file, found")
      }
      self.temporaryPath = nil
    }
    isCommitted = true
    // What was synced can't be lost by closing.
    close(descriptor)
    descriptor = -1
    // The new name lasts once the directory is synced, which not every file system offers.
    let directory = open(FileSystem.split(path).directory, O_RDONLY | O_CLOEXEC)
    if directory >= 0 {
      fsync(directory)
      close(directory)
    }
  }

  /// Gives a file without a name its own, or a hidden one if there is something at its own: no call puts a file
  /// without a name in another's place.
  private func giveName() throws(ModelFileError) {
    #if os(Linux)
      guard temporaryPath == nil else { return }
      let source = "/proc/self/fd/\(descriptor)"
      if linkat(AT_FDCWD, source, AT_FDCWD, path, AT_SYMLINK_FOLLOW) == 0 { return }
      if errno == EEXIST {
        temporaryPath = Self.inventName(in: FileSystem.split(path).directory) { name in
          linkat(AT_FDCWD, source, AT_FDCWD, name, AT_SYMLINK_FOLLOW) == 0
        }
      }
      guard temporaryPath != nil else {
        throw FileSystem.failure(path, "expected to name the finished file, found")
      }
    #endif
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
