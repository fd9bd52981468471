import SalanganeFiles
import SalanganeKernels
import SalanganeModelGraph
import SalanganeTensors

/// What keys and values must have in common with a model to be used with it.
struct PromptCacheFormat: Equatable, Sendable {
  /// The model, and all that determines its results.
  let fingerprint: UInt64
  /// How numbers are stored.
  let elementType: String
  /// What each layer keeps of a position.
  let layers: [KVCache.LayerShape]
  /// Bytes of a block.
  let blockBytes: Int
  /// How many token ids there are.
  let vocabularySize: Int

  init(_ decoder: Decoder, _ cacheType: KVCacheType, _ fingerprint: ModelFingerprint) {
    self.fingerprint = fingerprint.value
    elementType = cacheType.rawValue
    layers = decoder.cacheLayers
    let bytes = KVCache.byteCount(
      layers: layers, elementType: cacheType.elementType, positions: KVCache.blockLength)
    guard let bytes else { preconditionFailure("a loaded model's blocks can be addressed") }
    blockBytes = bytes
    vocabularySize = decoder.vocabularySize
  }

  /// A number for the shapes of all layers.
  var layersDigest: UInt64 {
    layers.reduce(UInt64(layers.count)) { digest, layer in
      let fields = [layer.heads, layer.keyDimension, layer.valueDimension, layer.isLatent ? 1 : 0]
      return fields.map { UInt64($0).littleEndian }.withUnsafeBytes { Checksum.hash($0, seed: digest) }
    }
  }

  /// The element type's name, padded with zeros to 8 bytes.
  var elementName: [UInt8] { Array((Array(elementType.utf8) + [UInt8](repeating: 0, count: 8)).prefix(8)) }
}

/// A prompt cache on disk.
///
/// All numbers are little-endian. A header of 80 bytes: 8 bytes `SALANKVC`; the version and the tokens of a block, 32
/// bits each; then 64 bits each: the model's fingerprint, the name of the element type, the number of layers, a digest
/// of their shapes, the bytes of a block, the number of blocks, the checksum of the index, and that of the header up to
/// here. The index has 528 bytes for a block: the index of the block before it or -1, and 0,
/// 32 bits each; the checksum of its bytes, 64 bits; its tokens, 32 bits each. Those used last come first, and so
/// each comes behind the one before it in its text. The bytes of all blocks follow, in this order, and nothing else.
///
/// Checksums are XXH64; that of the index takes that of the entries so far as the seed for the next.
struct PromptCacheFile {
  static let magic = Array("SALANKVC".utf8)
  static let version: UInt32 = 1
  static let headerBytes = 80
  static let entryBytes = 16 + KVCache.blockLength * 4

  private let file: FileDescriptor
  private let path: String
  private let header: [UInt8]

  // MARK: Writing

  /// Writes blocks to a file, under its name only when all went well.
  ///
  /// - Parameter blocks: Those used last first; `parent` in a key is an index in this list.
  /// - Throws: `ModelFileError` if it can't be written.
  static func write(
    _ blocks: [(key: PromptBlocks.Key, block: KVBlock)], _ format: PromptCacheFormat, to path: String
  ) throws(ModelFileError) {
    let output = try AtomicFileWriter(path: path)
    var index: [UInt8] = []
    index.reserveCapacity(blocks.count * entryBytes)
    var checksum: UInt64 = 0
    for (key, block) in blocks {
      let start = index.count
      index.append(littleEndian: Int32(key.parent))
      index.append(littleEndian: Int32(0))
      index.append(littleEndian: block.withUnsafeBytes { Checksum.hash($0) })
      for token in key.tokens { index.append(littleEndian: token) }
      checksum = Checksum.hash(Array(index[start...]), seed: checksum)
    }
    var header = magic
    header.append(littleEndian: version)
    header.append(littleEndian: UInt32(KVCache.blockLength))
    header.append(littleEndian: format.fingerprint)
    header += format.elementName
    header.append(littleEndian: UInt64(format.layers.count))
    header.append(littleEndian: format.layersDigest)
    header.append(littleEndian: UInt64(format.blockBytes))
    header.append(littleEndian: UInt64(blocks.count))
    header.append(littleEndian: checksum)
    header.append(littleEndian: Checksum.hash(header))
    precondition(header.count == headerBytes)
    try output.write(header)
    try output.write(index)
    for (_, block) in blocks {
      try block.withUnsafeBytes { (bytes) throws(ModelFileError) in try output.write(bytes) }
    }
    try output.commit()
  }

  // MARK: Reading

  /// Opens a file and checks that its header is whole.
  ///
  /// - Throws: `ModelFileError`.
  init(path: String) throws(ModelFileError) {
    self.path = path
    file = try FileDescriptor(openingRegularFile: path)
    var header = [UInt8](repeating: 0, count: min(Self.headerBytes, file.size))
    try file.read(into: &header, at: 0)
    self.header = header
    guard header.starts(with: Self.magic) else {
      throw failure(.malformed, nil, "expected a prompt cache, which starts with \"SALANKVC\"")
    }
    guard header.count == Self.headerBytes else {
      throw failure(.malformed, "header", "expected \(Self.headerBytes) bytes, found \(header.count)")
    }
    let version = header.integer(at: 8, as: UInt32.self)
    guard version == Self.version else {
      throw failure(.unsupported, "version", "expected \(Self.version), found \(version)")
    }
    guard number(72) == Checksum.hash(Array(header[..<72])) else {
      throw failure(.malformed, "header", "expected the checksum \(hexadecimal(number(72))): it is damaged")
    }
  }

  /// Checks that the file is a model's.
  ///
  /// - Throws: `ModelFileError` (`foreign`).
  func check(against format: PromptCacheFormat) throws(ModelFileError) {
    let length = header.integer(at: 12, as: UInt32.self)
    guard length == KVCache.blockLength else {
      throw failure(.foreign, "block length", "expected \(KVCache.blockLength) tokens, found \(length)")
    }
    guard number(16) == format.fingerprint else {
      throw failure(
        .foreign, "model fingerprint",
        """
        expected \(hexadecimal(format.fingerprint)), that of this model with these options and kernels, found \
        \(hexadecimal(number(16)))
        """)
    }
    guard Array(header[24..<32]) == format.elementName else {
      let name = String(decoding: header[24..<32].prefix { $0 != 0 }, as: UTF8.self)
      throw failure(.foreign, "element type", "expected \(format.elementType), found \"\(name)\"")
    }
    guard number(32) == UInt64(format.layers.count), number(40) == format.layersDigest else {
      throw failure(
        .foreign, "layers", "expected the \(format.layers.count) layers of this model, found \(number(32))")
    }
    guard number(48) == UInt64(format.blockBytes) else {
      throw failure(.foreign, "bytes of a block", "expected \(format.blockBytes), found \(number(48))")
    }
  }

  /// Reads the blocks, those used last first, as far as there is room for them.
  ///
  /// - Parameters:
  ///   - maximumBytes: The most bytes that they may take.
  ///   - format: What the file was checked against.
  /// - Throws: `ModelFileError`.
  func blocks(maximumBytes: Int, _ format: PromptCacheFormat) throws -> PromptBlocks {
    let found = number(56)
    let (bytes, overflow) = found.multipliedReportingOverflow(
      by: UInt64(Self.entryBytes + format.blockBytes))
    let rest = UInt64(file.size - Self.headerBytes)
    guard !overflow, bytes == rest else {
      throw failure(
        .malformed, nil,
        "expected \(found) blocks of \(Self.entryBytes + format.blockBytes) bytes behind the header, found \(rest) bytes"
      )
    }
    let count = Int(found)
    let wanted = min(count, maximumBytes / PromptBlocks.bytes(ofBlock: format.blockBytes))
    let entries = try entries(count, wanted: wanted, format)
    // What was asked for is refused now rather than when memory runs out.
    let available = SystemMemory.current.available
    guard wanted * format.blockBytes <= available else {
      throw failure(
        .unreadable, nil,
        """
        expected memory for \((wanted * format.blockBytes).formattedBytes), found \
        \(available.formattedBytes) that are available
        """)
    }
    var blocks = PromptBlocks(maximumBytes: maximumBytes)
    var places: [Int] = []
    for (index, entry) in entries.enumerated() {
      var key = entry.key
      if key.parent >= 0 { key.parent = places[key.parent] }
      guard !blocks.contains(key) else { throw damage(index, "expected tokens that no other block has") }
      let block = try block(
        index, at: Self.headerBytes + count * Self.entryBytes + index * format.blockBytes, entry.checksum,
        format)
      guard let place = blocks.insert(key, block, behind: places.last ?? -1) else { break }
      places.append(place)
    }
    return blocks
  }

  private struct Entry {
    var key: PromptBlocks.Key
    var checksum: UInt64
  }

  /// Checks the index, and gives its first entries.
  private func entries(
    _ count: Int, wanted: Int, _ format: PromptCacheFormat
  ) throws(ModelFileError) -> [Entry] {
    var entries: [Entry] = []
    var checksum: UInt64 = 0
    // Some at a time: nothing is allocated for a count that only the file vouches for.
    let portion = 512
    var buffer = [UInt8](repeating: 0, count: min(count, portion) * Self.entryBytes)
    for first in stride(from: 0, to: count, by: portion) {
      buffer.removeLast(buffer.count - min(portion, count - first) * Self.entryBytes)
      try file.read(into: &buffer, at: Self.headerBytes + first * Self.entryBytes)
      for start in stride(from: 0, to: buffer.count, by: Self.entryBytes) {
        let bytes = Array(buffer[start..<start + Self.entryBytes])
        checksum = Checksum.hash(bytes, seed: checksum)
        if entries.count < wanted { entries.append(try entry(bytes, entries, format)) }
      }
    }
    guard checksum == number(64) else {
      throw failure(.malformed, "index", "expected the checksum \(hexadecimal(number(64))): it is damaged")
    }
    return entries
  }

  private func entry(
    _ bytes: [UInt8], _ entries: [Entry], _ format: PromptCacheFormat
  ) throws(ModelFileError) -> Entry {
    let index = entries.count
    let parent = Int(bytes.integer(at: 0, as: Int32.self))
    guard parent >= -1, parent < index else {
      throw damage(index, "expected a block before it in the file to continue, or -1, found \(parent)")
    }
    let reserved = bytes.integer(at: 4, as: Int32.self)
    guard reserved == 0 else { throw damage(index, "expected 0 behind it, found \(reserved)") }
    let tokens = (0..<KVCache.blockLength).map { bytes.integer(at: 16 + $0 * 4, as: Int32.self) }
    if let token = tokens.first(where: { $0 < 0 || Int($0) >= format.vocabularySize }) {
      throw damage(index, "expected tokens from 0 to \(format.vocabularySize - 1), found \(token)")
    }
    return Entry(
      key: .init(parent: parent, tokens: tokens),
      checksum: bytes.integer(at: 8, as: UInt64.self))
  }

  private func block(
    _ index: Int, at offset: Int, _ checksum: UInt64, _ format: PromptCacheFormat
  ) throws -> KVBlock {
    let block: KVBlock
    do {
      block = try KVBlock(byteCount: format.blockBytes) { try file.read(into: $0, at: offset) }
    } catch is KVCacheError {
      throw failure(.unreadable, "block \(index)", "expected memory for \(format.blockBytes) bytes")
    }
    guard block.withUnsafeBytes({ Checksum.hash($0) }) == checksum else {
      throw damage(index, "expected the checksum \(hexadecimal(checksum)): it is damaged")
    }
    return block
  }

  // MARK: Parts

  private func number(_ offset: Int) -> UInt64 { header.integer(at: offset, as: UInt64.self) }

  private func hexadecimal(_ number: UInt64) -> String {
    let digits = String(number, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }

  private func damage(_ index: Int, _ expectation: String) -> ModelFileError {
    failure(.malformed, "block \(index)", expectation)
  }

  private func failure(
    _ kind: ModelFileError.Kind, _ subject: String?, _ expectation: String
  ) -> ModelFileError {
    ModelFileError(kind, file: path, subject: subject, expectation: expectation)
  }
}

extension FileDescriptor {
  /// Fills an array with the bytes from `offset` on.
  fileprivate func read(into array: inout [UInt8], at offset: Int) throws(ModelFileError) {
    try array.withUnsafeMutableBufferPointer { (buffer) throws(ModelFileError) in
      try read(into: UnsafeMutableRawBufferPointer(buffer), at: offset)
    }
  }
}

extension [UInt8] {
  /// The integer whose bytes start at an offset, the lowest first.
  fileprivate func integer<Integer: FixedWidthInteger>(at offset: Int, as type: Integer.Type) -> Integer {
    withUnsafeBytes { Integer(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: type)) }
  }

  fileprivate mutating func append(littleEndian integer: some FixedWidthInteger) {
    Swift.withUnsafeBytes(of: integer.littleEndian) { append(contentsOf: $0) }
  }
}
