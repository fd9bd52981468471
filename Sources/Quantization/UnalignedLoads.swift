/// Reads of the little-endian fields of a block, which may lie at any address.
extension UnsafeRawPointer {
  /// The unsigned byte at an offset.
  @inline(__always)
  func byte(_ offset: Int) -> UInt8 {
    load(fromByteOffset: offset, as: UInt8.self)
  }

  /// The signed byte at an offset.
  @inline(__always)
  func signedByte(_ offset: Int) -> Int8 {
    load(fromByteOffset: offset, as: Int8.self)
  }

  /// The integer that starts at an offset.
  @inline(__always)
  func integer<Integer: FixedWidthInteger & BitwiseCopyable>(_ offset: Int, as type: Integer.Type) -> Integer
  {
    Integer(littleEndian: loadUnaligned(fromByteOffset: offset, as: type))
  }

  /// The IEEE half-precision number that starts at an offset.
  @inline(__always)
  func half(_ offset: Int) -> Float {
    F16.float(integer(offset, as: UInt16.self))
  }

  /// The IEEE single-precision number that starts at an offset.
  @inline(__always)
  func single(_ offset: Int) -> Float {
    Float(bitPattern: integer(offset, as: UInt32.self))
  }
}

extension UnsafeMutableRawPointer {
  /// Writes an integer, little-endian, from an offset on.
  @inline(__always)
  func store(_ value: some FixedWidthInteger & BitwiseCopyable, at offset: Int) {
    storeBytes(of: value.littleEndian, toByteOffset: offset, as: type(of: value))
  }

  /// Writes a number in IEEE half precision, rounded to nearest even, from an offset on.
  @inline(__always)
  func storeHalf(_ value: Float, at offset: Int) {
    store(F16.bits(value), at: offset)
  }
}
