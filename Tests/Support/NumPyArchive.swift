/// An array out of a NumPy file, in row-major order.
public struct NumPyArray: Sendable {
  /// The element type as NumPy writes it, `<f4` for instance.
  public let type: String
  /// The size of each dimension, outermost first.
  public let shape: [Int]
  /// The elements' bytes, little-endian.
  public let bytes: [UInt8]

  /// How many elements there are.
  public var count: Int { shape.reduce(1, *) }

  /// The elements of a float32 or float64 array, the latter rounded.
  public func floats() throws -> [Float] {
    switch type {
    case "<f4": elements(Float.self)
    case "<f8": elements(Double.self).map(Float.init)
    default: throw NumPyError(message: "expected floats, found \(type)")
    }
  }

  /// The elements of a float32 or float64 array.
  public func doubles() throws -> [Double] {
    switch type {
    case "<f4": elements(Float.self).map(Double.init)
    case "<f8": elements(Double.self)
    default: throw NumPyError(message: "expected floats, found \(type)")
    }
  }

  /// The elements of an array of integers or booleans.
  public func integers() throws -> [Int] {
    switch type {
    case "|u1", "|b1": elements(UInt8.self).map(Int.init)
    case "|i1": elements(Int8.self).map(Int.init)
    case "<u2": elements(UInt16.self).map(Int.init)
    case "<i2": elements(Int16.self).map(Int.init)
    case "<u4": elements(UInt32.self).map(Int.init)
    case "<i4": elements(Int32.self).map(Int.init)
    case "<i8": elements(Int64.self).map(Int.init)
    default: throw NumPyError(message: "expected integers, found \(type)")
    }
  }

  /// Copies the elements as they are; `Element` must be of the array's type.
  public func elements<Element: BitwiseCopyable>(_: Element.Type) -> [Element] {
    bytes.withUnsafeBytes { buffer in
      (0..<buffer.count / MemoryLayout<Element>.stride).map {
        buffer.loadUnaligned(fromByteOffset: $0 * MemoryLayout<Element>.stride, as: Element.self)
      }
    }
  }

  /// Reads the contents of an `.npy` file (NumPy's `numpy.lib.format`, versions 1 to 3).
  public init(npy: some RandomAccessCollection<UInt8>) throws {
    let file = Array(npy)
    guard file.count > 12, file.starts(with: [0x93] + Array("NUMPY".utf8)) else {
      throw NumPyError(message: "expected an npy file")
    }
    let isFirstVersion = file[6] == 1
    let headerStart = isFirstVersion ? 10 : 12
    let headerLength = NumPyArchive.integer(file, 8, isFirstVersion ? 2 : 4)
    guard headerStart + headerLength <= file.count else {
      throw NumPyError(message: "expected an npy header within the file")
    }
    let header = String(decoding: file[headerStart..<headerStart + headerLength], as: UTF8.self)
    guard
      let type = header.firstMatch(of: /'descr': *'([^']+)'/)?.1,
      let shape = header.firstMatch(of: /'shape': *\(([^)]*)\)/)?.1,
      header.contains("'fortran_order': False")
    else { throw NumPyError(message: "expected a C-ordered npy header, found \(header)") }
    self.type = String(type)
    self.shape = shape.split(separator: ",").compactMap { Int($0.filter(\.isNumber)) }
    bytes = Array(file[(headerStart + headerLength)...])
    let width = type.last?.wholeNumberValue ?? 0
    guard bytes.count == self.shape.reduce(width, *) else {
      throw NumPyError(message: "expected \(self.shape) elements of \(type), found \(bytes.count) bytes")
    }
  }

  /// Reads the `.npy` file at `path`.
  public init(contentsOf path: String) throws { try self.init(npy: TestFiles.read(path)) }
}

/// The arrays of an uncompressed `.npz` file, as `numpy.savez` writes it.
public struct NumPyArchive: Sendable {
  /// The arrays by name.
  public let arrays: [String: NumPyArray]

  /// Reads the `.npz` file at `path`.
  public init(contentsOf path: String) throws { try self.init(npz: TestFiles.read(path)) }

  /// Reads the contents of an `.npz` file: a zip archive (PKWARE APPNOTE 4.3) of stored `.npy` files.
  public init(npz file: [UInt8]) throws {
    guard
      let end = (0...max(0, file.count - 22)).last(where: { file[$0...].starts(with: [0x50, 0x4B, 5, 6]) })
    else { throw NumPyError(message: "expected a zip archive") }
    var arrays: [String: NumPyArray] = [:]
    var entry = Self.integer(file, end + 16, 4)
    for _ in 0..<Self.integer(file, end + 10, 2) {
      let nameLength = Self.integer(file, entry + 28, 2)
      let name = String(decoding: file[(entry + 46)..<(entry + 46 + nameLength)], as: UTF8.self)
      guard Self.integer(file, entry + 10, 2) == 0 else {
        throw NumPyError(message: "expected \(name) to be stored without compression")
      }
      let size = Self.integer(file, entry + 24, 4)
      let local = Self.integer(file, entry + 42, 4)
      let start = local + 30 + Self.integer(file, local + 26, 2) + Self.integer(file, local + 28, 2)
      let key = name.hasSuffix(".npy") ? String(name.dropLast(4)) : name
      arrays[key] = try NumPyArray(npy: file[start..<start + size])
      entry += 46 + nameLength + Self.integer(file, entry + 30, 2) + Self.integer(file, entry + 32, 2)
    }
    self.arrays = arrays
  }

  /// The array `name`.
  public subscript(_ name: String) -> NumPyArray {
    get throws {
      guard let array = arrays[name] else {
        throw NumPyError(message: "expected an array \(name), found \(arrays.keys.sorted())")
      }
      return array
    }
  }

  static func integer(_ bytes: [UInt8], _ offset: Int, _ width: Int) -> Int {
    (0..<width).reduce(0) { $0 | Int(bytes[offset + $1]) << (8 * $1) }
  }
}

/// A golden file isn't what a test took it for.
public struct NumPyError: Error, CustomStringConvertible {
  /// What was expected.
  public let message: String
  /// The message.
  public var description: String { message }
}
