import Foundation
import Salangane
import SalanganeFiles
import SalanganeTensors
import SalanganeTestSupport
import Testing

/// Damaged files are refused, each by its name, and never lead to anything else.
@Suite struct PromptCacheFileTests {
  private static let headerBytes = 80
  private static let entryBytes = 528

  /// A model, and the bytes of a cache of two texts with the same first block: four blocks.
  private struct Fixture {
    let directory: TemporaryDirectory
    let model: LanguageModel
    let bytes: [UInt8]

    init(_ kind: PromptCacheTestModel = .dense) async throws {
      directory = try TemporaryDirectory()
      model = try await kind.load(.init(threads: 2))
      let cache = PromptCache(for: model, maximumBytes: 1 << 30)
      let text = PromptCacheTestModel.tokens(400, seed: 1)
      for prompt in [text, text.prefix(128) + PromptCacheTestModel.tokens(150, seed: 2)] {
        _ = try await model.makeSession(promptCache: cache)
          .generate(tokens: prompt, options: .init(maximumTokens: 0)).summary()
      }
      #expect(cache.tokenCount == 4 * 128)
      try cache.save(to: URL(fileURLWithPath: directory.path("whole")))
      bytes = try directory.read("whole")
    }

    var url: URL { URL(fileURLWithPath: directory.path("damaged")) }

    /// The error with which a file is refused.
    func refusal(of bytes: [UInt8]) throws -> ModelFileError? {
      try directory.write(bytes, to: "damaged")
      do {
        _ = try PromptCache(contentsOf: url, for: model, maximumBytes: 1 << 30)
        return nil
      } catch let error as ModelFileError {
        #expect(error.file == url.path && "\(error)".hasPrefix(url.path + ": "))
        #expect("\(error)".contains("expected") && !"\(error)".contains("\n"))
        return error
      }
    }

    /// The file with other numbers, and checksums to go with them.
    func forged(_ change: (inout [UInt8]) -> Void, count: Int = 4) -> [UInt8] {
      var bytes = bytes
      change(&bytes)
      var checksum: UInt64 = 0
      for index in 0..<count {
        let start = headerBytes + index * entryBytes
        checksum = Checksum.hash(Array(bytes[start..<start + entryBytes]), seed: checksum)
      }
      bytes.set(checksum, at: 64)
      bytes.set(Checksum.hash(Array(bytes[..<72])), at: 72)
      return bytes
    }
  }

  /// Every byte of the header, and many of the rest.
  @Test func flippedBits() async throws {
    let fixture = try await Fixture()
    #expect(try fixture.refusal(of: fixture.bytes) == nil)
    let index = Self.headerBytes..<Self.headerBytes + 4 * Self.entryBytes
    let places =
      Array(0..<Self.headerBytes) + Array(stride(from: index.lowerBound, to: index.upperBound, by: 13))
      + Array(stride(from: index.upperBound, to: fixture.bytes.count, by: 1999)) + [fixture.bytes.count - 1]
    for place in places {
      for bit in [0, 7] {
        var bytes = fixture.bytes
        bytes[place] ^= 1 << UInt8(bit)
        let error = try #require(try fixture.refusal(of: bytes), "byte \(place)")
        #expect(
          error.kind == ((8..<12).contains(place) ? .unsupported : .malformed), "byte \(place): \(error)")
        let part =
          place < 8
          ? nil
          : place < 12 ? "version" : place < 80 ? "header" : place < index.upperBound ? "index" : "block"
        if let part, part != "index" {
          #expect(error.subject?.hasPrefix(part) == true, "byte \(place): \(error)")
        }
      }
    }
  }

  @Test func cutOffOrTooLong() async throws {
    let fixture = try await Fixture()
    let count = fixture.bytes.count
    let index = Self.headerBytes + 4 * Self.entryBytes
    for length in [0, 1, 7, 8, 12, 79, 80, 81, 607, 608, index - 1, index, index + 1, count / 2, count - 1] {
      let error = try #require(try fixture.refusal(of: Array(fixture.bytes[..<length])), "\(length) bytes")
      #expect(error.kind == .malformed, "\(length) bytes: \(error)")
    }
    for extra in [1, 528, count] {
      let error = try fixture.refusal(of: fixture.bytes + [UInt8](repeating: 0, count: extra))
      #expect(error?.kind == .malformed)
    }
    for name in ["nothing", ".", "a\0b"] {
      let url = URL(fileURLWithPath: fixture.directory.path(name))
      let error = #expect(throws: ModelFileError.self) {
        try PromptCache(contentsOf: url, for: fixture.model, maximumBytes: 1 << 30)
      }
      #expect(error?.kind == (name == "." ? .unreadable : .missing))
    }
  }

  /// Numbers that are wrong with checksums that are right.
  @Test(arguments: [PromptCacheTestModel.dense, .latent])
  func forgedFiles(kind: PromptCacheTestModel) async throws {
    let fixture = try await Fixture(kind)
    let size = Int32(fixture.model.vocabularySize)
    func entry(_ index: Int) -> Int { Self.headerBytes + index * Self.entryBytes }
    for (subject, kind, change) in [
      ("block length", .foreign, { $0.set(UInt32(64), at: 12) }),
      ("model fingerprint", .foreign, { $0.set(UInt64(1), at: 16) }),
      ("element type", .foreign, { $0.set(UInt64(0x0A00_3866), at: 24) }),
      ("layers", .foreign, { $0.set(UInt64.max, at: 32) }),
      ("layers", .foreign, { $0.set(UInt64(0), at: 40) }),
      ("bytes of a block", .foreign, { $0.set(UInt64(0), at: 48) }),
      ("bytes of a block", .foreign, { $0.set(UInt64.max, at: 48) }),
      (nil, .malformed, { $0.set(UInt64(0), at: 56) }),
      (nil, .malformed, { $0.set(UInt64(5), at: 56) }),
      (nil, .malformed, { $0.set(UInt64.max, at: 56) }),
      (nil, .malformed, { $0.set(UInt64(1) << 60, at: 56) }),
      ("block 0", .malformed, { $0.set(Int32(0), at: entry(0)) }),
      ("block 1", .malformed, { $0.set(Int32(1), at: entry(1)) }),
      ("block 1", .malformed, { $0.set(Int32(-2), at: entry(1)) }),
      ("block 2", .malformed, { $0.set(Int32.max, at: entry(2)) }),
      ("block 3", .malformed, { $0.set(Int32.min, at: entry(3)) }),
      ("block 0", .malformed, { $0.set(Int32(2), at: entry(0) + 4) }),
      ("block 0", .malformed, { $0.set(Int32(-1), at: entry(0) + 4) }),
      ("block 1", .malformed, { $0.set(Int32(-1), at: entry(1) + 16) }),
      ("block 1", .malformed, { $0.set(size, at: entry(1) + 16 + 127 * 4) }),
      ("block 2", .malformed, { $0.set(UInt64(1), at: entry(2) + 8) }),
      // The second block's tokens and place for those of the third.
      (
        "block 2", .malformed,
        { bytes in
          for offset in 0..<Self.entryBytes { bytes[entry(2) + offset] = bytes[entry(1) + offset] }
        }
      ),
    ] as [(String?, ModelFileError.Kind, (inout [UInt8]) -> Void)] {
      let error = try #require(try fixture.refusal(of: fixture.forged(change)))
      #expect(error.kind == kind && error.subject == subject, "\(error)")
    }
    // What is kept free must be zero.
    let error = try fixture.refusal(of: fixture.forged { bytes in bytes.set(Int32(1), at: entry(0) + 4) })
    #expect(error?.kind == .malformed && error?.subject == "block 0", "\(String(describing: error))")
    // Another version may have another header: nothing else is looked at.
    var other = fixture.bytes
    other.set(UInt32(2), at: 8)
    #expect(try fixture.refusal(of: other)?.kind == .unsupported)
  }

  /// Keys and values that aren't numbers come from a forged file only; they are noticed.
  @Test func forgedKeysAndValues() async throws {
    let fixture = try await Fixture()
    let index = Self.headerBytes + 4 * Self.entryBytes
    let blockBytes = (fixture.bytes.count - index) / 4
    let bytes = fixture.forged { bytes in
      for byte in index..<index + blockBytes { bytes[byte] = 0xFF }
      bytes.set(Checksum.hash(Array(bytes[index..<index + blockBytes])), at: Self.headerBytes + 8)
    }
    #expect(try fixture.refusal(of: bytes) == nil)
    let cache = try PromptCache(contentsOf: fixture.url, for: fixture.model, maximumBytes: 1 << 30)
    let session = try fixture.model.makeSession(promptCache: cache)
    await #expect(throws: GenerationError.self) {
      try await session.generate(tokens: PromptCacheTestModel.tokens(400, seed: 1)).summary()
    }
  }

  /// A file that can't be written leaves the one that was there.
  @Test func savingFails() async throws {
    let fixture = try await Fixture()
    let cache = try PromptCache(
      contentsOf: URL(fileURLWithPath: fixture.directory.path("whole")), for: fixture.model,
      maximumBytes: 1 << 30)
    let missing = URL(fileURLWithPath: fixture.directory.path("no/such/folder"))
    #expect(throws: ModelFileError.self) { try cache.save(to: missing) }
    #expect(throws: ModelFileError.self) { try cache.save(to: URL(fileURLWithPath: fixture.directory.path)) }
    #expect(try fixture.directory.names() == ["whole"])
    try cache.save(to: URL(fileURLWithPath: fixture.directory.path("whole")))
    #expect(try fixture.directory.read("whole") == fixture.bytes)
  }
}

extension [UInt8] {
  /// Writes an integer, the lowest byte first.
  fileprivate mutating func set(_ integer: some FixedWidthInteger, at offset: Int) {
    Swift.withUnsafeBytes(of: integer.littleEndian) { replaceSubrange(offset..<offset + $0.count, with: $0) }
  }
}
