import Foundation

/// A directory of its own for one test, removed with all it holds when the last reference goes.
public final class TemporaryDirectory: Sendable {
  /// The directory's absolute path, without a slash at its end.
  public let path: String

  /// Creates a new empty directory below the system's temporary one.
  public init() throws {
    let name = "salangane-test-\(UUID().uuidString)"
    let url = FileManager.default.temporaryDirectory.appendingPathComponent(name, isDirectory: true)
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    path = url.path
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  /// The path of `name` in the directory.
  public func path(_ name: String) -> String { path + "/" + name }

  /// Writes a file, creating the directories that `name` names, and returns its path.
  @discardableResult
  public func write(_ bytes: some Sequence<UInt8>, to name: String) throws -> String {
    let file = path(name)
    let parent = (file as NSString).deletingLastPathComponent
    try FileManager.default.createDirectory(atPath: parent, withIntermediateDirectories: true)
    // A file that is still mapped must not be cut short.
    try? FileManager.default.removeItem(atPath: file)
    // `Data.write` syncs, which tests with thousands of files feel.
    guard let stream = fopen(file, "wb") else { throw CocoaError(.fileWriteUnknown) }
    defer { fclose(stream) }
    let contents = Array(bytes)
    guard fwrite(contents, 1, contents.count, stream) == contents.count else {
      throw CocoaError(.fileWriteOutOfSpace)
    }
    return file
  }

  /// Writes a text file and returns its path.
  @discardableResult
  public func write(_ text: String, to name: String) throws -> String {
    try write(Array(text.utf8), to: name)
  }

  /// The names of what is in the directory, sorted.
  public func names() throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: path).sorted()
  }

  /// The bytes of the file `name`.
  public func read(_ name: String) throws -> [UInt8] { try TestFiles.read(path(name)) }
}

/// Files that tests read.
public enum TestFiles {
  /// The path of `name` in `Tests/Goldens`.
  public static func golden(_ name: String, source: String = #filePath) -> String {
    let tests = URL(fileURLWithPath: source).deletingLastPathComponent().deletingLastPathComponent()
    return tests.appendingPathComponent("Goldens").appendingPathComponent(name).path
  }

  /// The bytes of a file.
  public static func read(_ path: String) throws -> [UInt8] {
    Array(try Data(contentsOf: URL(fileURLWithPath: path)))
  }

  /// True if there is a file or directory at `path`.
  public static func exists(_ path: String) -> Bool { FileManager.default.fileExists(atPath: path) }
}
