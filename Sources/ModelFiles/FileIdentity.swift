#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// Which file a path leads to, whatever way it takes.
package struct FileIdentity: Equatable {
  private let device: UInt64
  private let number: UInt64

  /// The file at a path, links followed; nil if there is none.
  package init?(_ path: String) {
    var status = stat()
    guard !path.utf8.contains(0), stat(path, &status) == 0 else { return nil }
    device = UInt64(truncatingIfNeeded: status.st_dev)
    number = UInt64(truncatingIfNeeded: status.st_ino)
  }

  /// The files of a model, as far as names tell: those of a directory, all of a split GGUF set, or a single file.
  package static func model(at path: String) -> [FileIdentity] {
    if FileSystem.item(at: path) == .directory {
      return names(in: path).compactMap { FileIdentity(FileSystem.join(path, $0)) }
    }
    let (directory, name) = FileSystem.split(path)
    // `model-00001-of-00003.gguf`
    let parts = name.split(separator: "-", omittingEmptySubsequences: false)
    guard parts.count > 3, parts[parts.count - 2] == "of" else {
      return [FileIdentity(path)].compactMap { $0 }
    }
    let start = parts.dropLast(3).joined(separator: "-") + "-"
    let end = "-of-" + parts[parts.count - 1]
    return names(in: directory).filter { $0.hasPrefix(start) && $0.hasSuffix(end) }
      .compactMap { FileIdentity(FileSystem.join(directory, $0)) }
  }

  private static func names(in directory: String) -> [String] {
    guard let stream = opendir(directory) else { return [] }
    defer { closedir(stream) }
    var names: [String] = []
    while let entry = readdir(stream) {
      let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
        String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      if name != "." && name != ".." { names.append(name) }
    }
    return names
  }
}
