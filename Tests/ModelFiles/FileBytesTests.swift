import Foundation
import SalanganeFiles
import SalanganeTestSupport
import Testing

@Suite struct FileBytesTests {
  @Test(arguments: [1, 63, 4096, 100_001], [true, false])
  func holdsTheBytes(_ count: Int, mapped: Bool) throws {
    let directory = try TemporaryDirectory()
    var generator = SplitMix64(seed: UInt64(count))
    let contents = (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
    let path = try directory.write(contents, to: "file")
    let file = try FileBytes(path: path, mapped: mapped)
    #expect(file.count == count)
    #expect(file.isMapped == mapped)
    #expect(file.bytes.elementsEqual(contents))
    #expect(Int(bitPattern: file.bytes.baseAddress) % 64 == 0)
    #expect(try FileBytes.contents(of: path) == contents)
  }

  @Test(arguments: [true, false])
  func outlivesTheFile(mapped: Bool) throws {
    let directory = try TemporaryDirectory()
    let path = try directory.write([1, 2, 3], to: "file")
    let file = try FileBytes(path: path, mapped: mapped)
    try FileManager.default.removeItem(atPath: path)
    #expect(Array(file.bytes) == [1, 2, 3])
  }

  @Test(arguments: [true, false])
  func refusesWhatIsNoFile(mapped: Bool) throws {
    let directory = try TemporaryDirectory()
    let fifo = directory.path("fifo")
    #expect(mkfifo(fifo, 0o600) == 0)
    let empty = try directory.write([], to: "empty")
    let loop = directory.path("loop")
    #expect(symlink(loop, loop) == 0)
    let cases: [(String, ModelFileError.Kind, String)] = [
      (directory.path, .unreadable, "found a directory"), (fifo, .unreadable, "found a FIFO"),
      ("/dev/null", .unreadable, "found a device"), (empty, .malformed, "found an empty file"),
      (directory.path("none"), .missing, "No such file"), (empty + "/below", .missing, "Not a directory"),
      (loop, .unreadable, "expected a readable file"), ("", .missing, "a path that isn't empty"),
      (empty + "\0", .missing, "has no NUL"),
    ]
    for (path, kind, message) in cases {
      let error = #expect(throws: ModelFileError.self) { try FileBytes(path: path, mapped: mapped) }
      let found = try #require(error)
      #expect(found.kind == kind, "\(found)")
      #expect(found.description.contains(message), "\(found)")
      #expect(found.file == path)
    }
    #expect(try FileBytes.contents(of: empty) == [])
  }

  @Test func limitsSmallFiles() throws {
    let directory = try TemporaryDirectory()
    let path = try directory.write([1, 2, 3], to: "file")
    let error = #expect(throws: ModelFileError.self) { try FileBytes.contents(of: path, limit: 2) }
    #expect(try #require(error).kind == .malformed)
  }
}

@Suite struct AtomicFileWriterTests {
  @Test func replacesTheFileAtOnce() throws {
    let directory = try TemporaryDirectory()
    let path = try directory.write("old", to: "file")
    let writer = try AtomicFileWriter(path: path)
    let large = [UInt8](repeating: 7, count: 700_000)
    try writer.write([1, 2, 3])
    try writer.pad(to: 8)
    try writer.write(large)
    #expect(try directory.read("file") == Array("old".utf8))
    try writer.commit()
    #expect(writer.count == 700_008)
    #expect(try directory.read("file") == [1, 2, 3, 0, 0, 0, 0, 0] + large)
    #expect(try directory.names() == ["file"])
  }

  @Test func leavesNothingWithoutCommit() throws {
    let directory = try TemporaryDirectory()
    try directory.write("old", to: "file")
    do {
      let writer = try AtomicFileWriter(path: directory.path("file"))
      try writer.write([1])
      // On most file systems what is written has no name yet.
      #expect(try directory.names().filter { $0 != "file" }.allSatisfy { $0.hasSuffix(".partial") })
    }
    #expect(try directory.names() == ["file"])
    #expect(try directory.read("file") == Array("old".utf8))
  }

  @Test func refusesBadDestinations() throws {
    let directory = try TemporaryDirectory()
    let cases: [(String, ModelFileError.Kind)] = [
      (directory.path, .unreadable), (directory.path("none/file"), .missing), ("/dev/full", .unreadable),
      (directory.path + "/", .unreadable), ("", .missing),
    ]
    for (path, kind) in cases {
      let error = #expect(throws: ModelFileError.self) { try AtomicFileWriter(path: path) }
      #expect(error?.kind == kind, "\(path)")
    }
    #expect(try directory.names() == [])
  }

  @Test(.enabled(if: TestFiles.exists("/dev/full"))) func reportsAFullDisk() throws {
    let descriptor = open("/dev/full", O_WRONLY)
    defer { close(descriptor) }
    let error = #expect(throws: ModelFileError.self) {
      try [UInt8](repeating: 0, count: 10).withUnsafeBytes {
        try AtomicFileWriter.writeAll($0, to: descriptor, path: "model.gguf")
      }
    }
    #expect(error?.kind == .unreadable)
    #expect(error?.description.contains("No space left") == true)
  }
}
