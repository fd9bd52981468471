import SalanganeFiles

/// A plain integer type whose elements decode to the nearest `Float`; of two equally near, to the even one.
///
/// Integers of up to 24 bits are exact.
public protocol IntegerFormat: BlockFormat {
  /// The integer as it is stored, little-endian.
  associatedtype Integer: FixedWidthInteger & BitwiseCopyable
}

extension IntegerFormat {
  /// Decodes one integer.
  @inline(__always)
  public static func decode(_ block: UnsafeRawPointer, into values: UnsafeMutablePointer<Float>) {
    values[0] = Float(block.integer(0, as: Integer.self))
  }
}

/// Signed 8-bit integers.
public enum I8: IntegerFormat {
  /// The integer as it is stored.
  public typealias Integer = Int8
  /// The type this format decodes.
  public static var type: TensorType { .i8 }
}

/// Signed 16-bit integers.
public enum I16: IntegerFormat {
  /// The integer as it is stored.
  public typealias Integer = Int16
  /// The type this format decodes.
  public static var type: TensorType { .i16 }
}

/// Signed 32-bit integers.
public enum I32: IntegerFormat {
  /// The integer as it is stored.
  public typealias Integer = Int32
  /// The type this format decodes.
  public static var type: TensorType { .i32 }
}

/// Signed 64-bit integers.
public enum I64: IntegerFormat {
  /// The integer as it is stored.
  public typealias Integer = Int64
  /// The type this format decodes.
  public static var type: TensorType { .i64 }
}

/// Unsigned 8-bit integers.
public enum U8: IntegerFormat {
  /// The integer as it is stored.
  public typealias Integer = UInt8
  /// The type this format decodes.
  public static var type: TensorType { .u8 }
}

/// Unsigned 16-bit integers.
public enum U16: IntegerFormat {
  /// The integer as it is stored.
  public typealias Integer = UInt16
  /// The type this format decodes.
  public static var type: TensorType { .u16 }
}

/// Unsigned 32-bit integers.
public enum U32: IntegerFormat {
  /// The integer as it is stored.
  public typealias Integer = UInt32
  /// The type this format decodes.
  public static var type: TensorType { .u32 }
}

/// Unsigned 64-bit integers.
public enum U64: IntegerFormat {
  /// The integer as it is stored.
  public typealias Integer = UInt64
  /// The type this format decodes.
  public static var type: TensorType { .u64 }
}

/// Truth values of one byte: zero decodes to 0, anything else to 1.
public enum Bool8: BlockFormat {
  /// The type this format decodes.
  public static var type: TensorType { .bool }

  /// Decodes one truth value.
  @inline(__always)
  public static func decode(_ block: UnsafeRawPointer, into values: UnsafeMutablePointer<Float>) {
    values[0] = block.byte(0) == 0 ? 0 : 1
  }
}
