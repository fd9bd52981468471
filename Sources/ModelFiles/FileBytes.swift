#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// The bytes of a file, mapped into memory or read into it.
///
/// The bytes stay valid and don't move for as long as the object lives. They never change: the memory is
/// private to the object and nothing here writes to it after `init`, which makes it safe to share between
/// threads. What another process does to a mapped file can't be prevented: one that shrinks while it is
/// mapped kills the process that reads behind its new end (unless it called `MappedFiles.catchShrinking()`), hence
/// the copying form.
public final class FileBytes: @unchecked Sendable {
  /// The path the file was opened with.
  public let path: String
  /// All bytes of the file; page-aligned if mapped, 64-byte aligned otherwise.
  public let bytes: UnsafeRawBufferPointer
  /// True if the file is mapped, false if it was copied into memory.
  public let isMapped: Bool

  /// How many bytes the file has; at least 1.
  public var count: Int { bytes.count }

  /// The mapped file, kept open so that changes can be noticed.
  private let descriptor: FileDescriptor?
  /// Where the mapping is in the table of those that are watched.
  private let place: Int?

  /// The alignment of bytes that were read instead of mapped.
  private static let alignment = 64

  /// Opens a regular file that isn't empty.
  ///
  /// - Parameters:
  ///   - path: The file's path.
  ///   - mapped: Whether to map the file, which shares the page cache and loads what is touched, or to
  ///     copy it whole.
  /// - Throws: `ModelFileError`: `missing`, `unreadable` for anything that isn't a readable regular file
  ///   or that changes its size meanwhile, `malformed` for an empty file.
  public init(path: String, mapped: Bool = true) throws(ModelFileError) {
    let descriptor = try FileDescriptor(openingRegularFile: path)
    guard descriptor.size > 0 else {
      throw ModelFileError(.malformed, file: path, expectation: "expected contents, found an empty file")
    }
    self.path = path
    isMapped = mapped
    bytes = mapped ? try Self.map(descriptor) : try Self.read(descriptor)
    self.descriptor = mapped ? descriptor : nil
    place = mapped ? MappedFiles.add(bytes, path: path) : nil
  }

  /// Checks that a mapped file still is what it was when it was opened: it has its size, and nobody wrote to it.
  ///
  /// A file that was replaced or removed under its name hasn't changed.
  ///
  /// - Throws: `ModelFileError` of the kind `unreadable`.
  package func checkUnchanged() throws(ModelFileError) { try descriptor?.expectUnchanged() }

  /// Checks that a mapped file has the size that it had when it was opened: what lies behind a new end reads as
  /// zeros, or not at all.
  ///
  /// - Throws: `ModelFileError` of the kind `unreadable`.
  package func checkSize() throws(ModelFileError) { _ = try descriptor?.expectSize() }

  deinit {
    let start = UnsafeMutableRawPointer(mutating: bytes.baseAddress!)
    if let place { MappedFiles.remove(place) }
    if isMapped {
      munmap(start, bytes.count)
    } else {
      free(start)
    }
  }

  /// The contents of a small file, such as a configuration.
  ///
  /// - Parameters:
  ///   - path: The file's path.
  ///   - limit: The largest size that is accepted.
  /// - Throws: `ModelFileError`: `missing`, `unreadable`, or `malformed` for a file beyond the limit.
  public static func contents(of path: String, limit: Int = 256 << 20) throws(ModelFileError) -> [UInt8] {
    let descriptor = try FileDescriptor(openingRegularFile: path)
    guard descriptor.size <= limit else {
      throw ModelFileError(
        .malformed, file: path, expectation: "expected at most \(limit) bytes, found \(descriptor.size)")
    }
    var contents = [UInt8](repeating: 0, count: descriptor.size)
    try contents.withUnsafeMutableBufferPointer { (buffer) throws(ModelFileError) in
      try descriptor.read(into: UnsafeMutableRawBufferPointer(buffer))
    }
    return contents
  }

  private static func map(_ descriptor: FileDescriptor) throws(ModelFileError) -> UnsafeRawBufferPointer {
    let size = descriptor.size
    let start = mmap(nil, size, PROT_READ, MAP_PRIVATE, descriptor.number, 0)
    guard let start, start != MAP_FAILED else {
      throw descriptor.failure("expected a file that can be mapped, found")
    }
    do throws(ModelFileError) {
      try descriptor.expectUnchanged()
    } catch {
      munmap(start, size)
      throw error
    }
    return UnsafeRawBufferPointer(start: start, count: size)
  }

  private static func read(_ descriptor: FileDescriptor) throws(ModelFileError) -> UnsafeRawBufferPointer {
    var start: UnsafeMutableRawPointer?
    // Unlike Swift's own allocation, this fails without ending the process.
    guard posix_memalign(&start, alignment, descriptor.size) == 0, let start else {
      throw ModelFileError(
        .unreadable, file: descriptor.path, expectation: "expected memory for \(descriptor.size) bytes")
    }
    let buffer = UnsafeMutableRawBufferPointer(start: start, count: descriptor.size)
    do throws(ModelFileError) {
      try descriptor.read(into: buffer)
    } catch {
      free(start)
      throw error
    }
    return UnsafeRawBufferPointer(buffer)
  }
}

/// A regular file open for reading, closed with the object.
package final class FileDescriptor {
  let path: String
  let number: CInt
  /// The size at the time of opening.
  package let size: Int
  /// When the file had last been written to at that time.
  private let time: FileTime

  /// Opens a file.
  ///
  /// - Throws: `ModelFileError`: `missing`, or `unreadable` for anything that isn't a readable regular file.
  package init(openingRegularFile path: String) throws(ModelFileError) {
    try FileSystem.check(path)
    // Without O_NONBLOCK, opening a FIFO waits for a writer.
    var number: CInt
    repeat {
      number = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    } while number < 0 && errno == EINTR
    guard number >= 0 else {
      throw FileSystem.failure(path, "expected a readable file, found")
    }
    var status = stat()
    guard fstat(number, &status) == 0 else {
      let error = FileSystem.failure(path, "expected the status of the file, found")
      close(number)
      throw error
    }
    guard status.st_mode & S_IFMT == S_IFREG, let size = Int(exactly: status.st_size) else {
      close(number)
      throw ModelFileError(
        .unreadable, file: path,
        expectation: "expected a regular file, found \(FileSystem.kind(status.st_mode))")
    }
    self.path = path
    self.number = number
    self.size = size
    time = FileTime(status)
  }

  deinit { close(number) }

  /// The first bytes of the file: `count`, or fewer if the file is shorter.
  func start(_ count: Int) throws(ModelFileError) -> [UInt8] {
    var start = [UInt8](repeating: 0, count: min(count, size))
    let found = start.withUnsafeMutableBytes { buffer -> Int in
      var found: Int
      repeat {
        found = pread(number, buffer.baseAddress, buffer.count, 0)
      } while found < 0 && errno == EINTR
      return found
    }
    guard found == start.count else { throw failure("expected to read the file, found") }
    return start
  }

  /// Fills `buffer`, which is as large as the file was when it was opened.
  func read(into buffer: UnsafeMutableRawBufferPointer) throws(ModelFileError) {
    try read(into: buffer, at: 0)
    try expectUnchanged()
  }

  /// Fills `buffer` with the bytes from `offset` on.
  ///
  /// - Throws: `ModelFileError` of the kind `unreadable`, also if the file ends before.
  package func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(ModelFileError) {
    var done = 0
    while done < buffer.count {
      // Linux never reads more than about 2 GiB at once. Between parts, there is a look whether they are still wanted.
      if done > 0 { try ReadInterruption.check(file: path) }
      let wanted = min(buffer.count - done, 16 << 20)
      let count = pread(number, buffer.baseAddress! + done, wanted, off_t(offset + done))
      if count < 0 {
        if errno == EINTR { continue }
        throw failure("expected to read the file, found")
      }
      if count == 0 { break }
      done += count
    }
    guard done == buffer.count else {
      throw ModelFileError(
        .unreadable, file: path,
        expectation: "expected \(offset + buffer.count) bytes, found \(offset + done): it shrank")
    }
  }

  /// Checks that the file has the size it was opened with, and wasn't written to since.
  func expectUnchanged() throws(ModelFileError) {
    guard FileTime(try expectSize()) == time else {
      throw ModelFileError(
        .unreadable, file: path, expectation: "expected a file that nobody writes to while it is read")
    }
  }

  /// Checks that the file has the size it was opened with.
  func expectSize() throws(ModelFileError) -> stat {
    var status = stat()
    guard fstat(number, &status) == 0 else { throw failure("expected the status of the file, found") }
    guard Int(exactly: status.st_size) == size else {
      throw ModelFileError(
        .unreadable, file: path,
        expectation: "expected \(size) bytes, found \(status.st_size): its size changes")
    }
    return status
  }

  /// The error for the failed call that set `errno`.
  func failure(_ expectation: String) -> ModelFileError { FileSystem.failure(path, expectation) }
}

/// When a file was last written to.
private struct FileTime: Equatable {
  private let seconds: Int
  private let nanoseconds: Int

  init(_ status: stat) {
    #if canImport(Darwin)
      let time = status.st_mtimespec
    #else
      let time = status.st_mtim
    #endif
    seconds = Int(time.tv_sec)
    nanoseconds = Int(time.tv_nsec)
  }
}

/// Shorthands for calls of the system.
enum FileSystem {
  /// What there is at a path.
  enum Item: Equatable {
    case file, directory, other, nothing
  }

  /// What `path` leads to, symbolic links followed.
  static func item(at path: String) -> Item {
    var status = stat()
    guard !path.utf8.contains(0), stat(path, &status) == 0 else { return .nothing }
    switch status.st_mode & S_IFMT {
    case S_IFREG: return .file
    case S_IFDIR: return .directory
    default: return .other
    }
  }

  /// True if there is nothing at `path`, not even a symbolic link that leads nowhere.
  ///
  /// What can't be looked at counts as there, so that opening it says why.
  static func isAbsent(_ path: String) -> Bool {
    var status = stat()
    guard !path.utf8.contains(0), lstat(path, &status) != 0 else { return false }
    return errno == ENOENT || errno == ENOTDIR
  }

  /// Refuses paths that the system would cut off or read as the current directory.
  static func check(_ path: String) throws(ModelFileError) {
    guard !path.isEmpty, !path.utf8.contains(0) else {
      throw ModelFileError(
        .missing, file: path, expectation: "expected a path that isn't empty and has no NUL")
    }
  }

  /// The error for the failed call that set `errno`; `expectation` ends in a word that a reason can follow.
  static func failure(_ path: String, _ expectation: String) -> ModelFileError {
    let code = errno
    let isMissing = code == ENOENT || code == ENOTDIR
    return ModelFileError(
      isMissing ? .missing : .unreadable, file: path,
      expectation: "\(expectation) \"\(String(cString: strerror(code)))\"")
  }

  /// The words for a file mode.
  static func kind(_ mode: mode_t) -> String {
    switch mode & S_IFMT {
    case S_IFREG: "a regular file"
    case S_IFDIR: "a directory"
    case S_IFIFO: "a FIFO"
    case S_IFSOCK: "a socket"
    case S_IFCHR, S_IFBLK: "a device"
    default: "something else"
    }
  }

  /// `name` in `directory`.
  static func join(_ directory: String, _ name: String) -> String {
    directory.hasSuffix("/") ? directory + name : directory + "/" + name
  }

  /// The directory part and the last part of a path; `.` where there is no directory.
  static func split(_ path: String) -> (directory: String, name: String) {
    guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return (".", path) }
    let directory = slash == path.startIndex ? "/" : String(path[..<slash])
    return (directory, String(path[path.utf8.index(after: slash)...]))
  }
}
