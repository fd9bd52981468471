import SalanganeKernelOperands

/// The forms of packed quantised weights that kernels compute with.
///
/// A matrix is packed in panels of 16 output features. A panel is a sequence of records, each for `groupsPerRecord`
/// groups of 32 inputs: first the scales, then the codes, both with the 16 outputs side by side. `pack` writes one
/// record; `KernelTable.quantized(_:)` gives the kernels.
public enum QuantizedFormat: Int, CaseIterable, Sendable {
  /// `Q4_0` of GGUF.
  case q4_0
  /// `Q4_1` of GGUF.
  case q4_1
  /// `Q5_0` of GGUF.
  case q5_0
  /// `Q5_1` of GGUF.
  case q5_1
  /// `Q8_0` of GGUF.
  case q8_0
  /// `Q2_K` of GGUF.
  case q2_K
  /// `Q3_K` of GGUF.
  case q3_K
  /// `Q4_K` of GGUF.
  case q4_K
  /// `Q5_K` of GGUF.
  case q5_K
  /// `Q6_K` of GGUF.
  case q6_K
  /// `IQ4_NL` of GGUF.
  case iq4_NL
  /// `IQ4_XS` of GGUF.
  case iq4_XS
  /// `MXFP4` of GGUF.
  case mxfp4
  /// 8-bit codes with a float scale for every 16: for formats that have no form of their own.
  case int8

  /// The sizes of a packed form.
  public struct Shape: Sendable, Equatable {
    /// Groups of 32 inputs that a record has.
    public let groupsPerRecord: Int
    /// Bytes of a record's scales, for 16 outputs.
    public let scaleBytes: Int
    /// Bytes of the codes of one group, for 16 outputs.
    public let codeBytes: Int
    /// Whether the halves of a group have scales of their own.
    public let hasHalves: Bool
    /// Whether something is added to the values, instead of a bias being subtracted from the codes.
    public let hasMinimum: Bool

    /// Bytes of a record, for 16 outputs.
    public var recordBytes: Int { scaleBytes + groupsPerRecord * codeBytes }

    init<F: PackedFormat>(_ format: F.Type) {
      groupsPerRecord = F.Scaling.groupsPerRecord
      scaleBytes = F.Scaling.byteCount
      codeBytes = F.Layout.byteCount
      hasHalves = F.Scaling.hasHalves
      hasMinimum = F.Scaling.hasMinimum
    }
  }

  /// The sizes of this form.
  public var shape: Shape {
    switch self {
    case .q4_0: Shape(PackedQ4_0.self)
    case .q4_1: Shape(PackedQ4_1.self)
    case .q5_0: Shape(PackedQ5_0.self)
    case .q5_1: Shape(PackedQ5_1.self)
    case .q8_0: Shape(PackedQ8_0.self)
    case .q2_K: Shape(PackedQ2_K.self)
    case .q3_K: Shape(PackedQ3_K.self)
    case .q4_K: Shape(PackedQ4_K.self)
    case .q5_K: Shape(PackedQ5_K.self)
    case .q6_K: Shape(PackedQ6_K.self)
    case .iq4_NL: Shape(PackedIQ4_NL.self)
    case .iq4_XS: Shape(PackedIQ4_XS.self)
    case .mxfp4: Shape(PackedMXFP4.self)
    case .int8: Shape(PackedInt8.self)
    }
  }

  /// What is subtracted from a stored code; 0 for formats with a minimum.
  public var bias: Int32 {
    switch self {
    case .q4_0: 8
    case .q5_0, .mxfp4: 16
    case .q6_K: 32
    case .q3_K: 4
    case .q8_0, .iq4_NL, .iq4_XS, .int8: 128
    case .q4_1, .q5_1, .q2_K, .q4_K, .q5_K: 0
    }
  }

  /// Packs the codes of one group.
  ///
  /// - Parameters:
  ///   - codes: Codes of 16 outputs, a byte each, `stride` bytes from one output's 32 to the next.
  ///   - destination: Room for `shape.codeBytes`.
  public func packCodes(
    _ codes: UnsafePointer<UInt8>, stride: Int, to destination: UnsafeMutableRawPointer
  ) {
    var group = CodeGroup(repeating: Codes())
    for vector in 0..<8 {
      var words = Codes()
      for output in 0..<16 {
        words[output] = UnsafeRawPointer(codes + (output &* stride &+ vector &* 4)).loadUnaligned(
          as: UInt32.self)
      }
      group[vector] = words
    }
    switch self {
    case .q4_0: PackedQ4_0.Layout.pack(group, destination)
    case .q4_1: PackedQ4_1.Layout.pack(group, destination)
    case .q5_0: PackedQ5_0.Layout.pack(group, destination)
    case .q5_1: PackedQ5_1.Layout.pack(group, destination)
    case .q8_0: PackedQ8_0.Layout.pack(group, destination)
    case .q2_K: PackedQ2_K.Layout.pack(group, destination)
    case .q3_K: PackedQ3_K.Layout.pack(group, destination)
    case .q4_K: PackedQ4_K.Layout.pack(group, destination)
    case .q5_K: PackedQ5_K.Layout.pack(group, destination)
    case .q6_K: PackedQ6_K.Layout.pack(group, destination)
    case .iq4_NL: PackedIQ4_NL.Layout.pack(group, destination)
    case .iq4_XS: PackedIQ4_XS.Layout.pack(group, destination)
    case .mxfp4: PackedMXFP4.Layout.pack(group, destination)
    case .int8: PackedInt8.Layout.pack(group, destination)
    }
  }

  /// Packs the scales of one output's record.
  ///
  /// - Parameters:
  ///   - scales: The numbers of the record's blocks one after the other, as the block formats order them: of each
  ///     block first those of half precision, then those of a byte; `int8` has floats.
  ///   - output: The output in the panel, 0 to 15.
  ///   - destination: The record.
  public func packScales(
    _ scales: UnsafeRawPointer, output: Int, to destination: UnsafeMutableRawPointer
  ) {
    let sizes = scaleSizes
    var offset = 0
    while offset < sizes.total {
      let size = self == .int8 ? 4 : offset < sizes.halves ? 2 : 1
      (destination + (offset &* 16 &+ output &* size)).copyMemory(from: scales + offset, byteCount: size)
      offset = offset &+ size
    }
  }

  /// Bytes of an output's scales in a record: all, and those of half-precision numbers, which come first.
  public var scaleSizes: (total: Int, halves: Int) {
    switch self {
    case .q4_0, .q5_0, .q8_0, .iq4_NL: (4, 4)
    case .q4_1, .q5_1: (8, 8)
    case .mxfp4: (4, 0)
    case .q2_K, .q4_K, .q5_K: (20, 4)
    case .q3_K, .q6_K: (18, 2)
    case .iq4_XS: (10, 2)
    case .int8: (16, 0)
    }
  }
}

/// The kernels of one packed form on one instruction set.
public struct QuantizedKernels: Sendable {
  /// The product of few rows with packed weights
  /// (rows, panels, groups, weights, panelStride in bytes, activations, output).
  public typealias Vector =
    @Sendable (Int, Int, Int, UnsafeRawPointer, Int, QuantizedActivations, ProductOutput) -> Void
  /// Unpacks groups of a panel from the start of a record on (groups, weights, tile).
  public typealias Unpack = @Sendable (Int, UnsafeRawPointer, UnpackedTile) -> Void
  /// The product of up to 12 rows with a tile (rows, panels, groups, tile, activations, output).
  public typealias Tile =
    @Sendable (Int, Int, Int, UnpackedTile, QuantizedActivations, ProductOutput) -> Void

  /// The packed form.
  public let format: QuantizedFormat
  /// The product of few rows with packed weights.
  public let vector: Vector
  /// Unpacks weights into a tile.
  public let unpack: Unpack
  /// The product of up to 12 rows with a tile of one or two panels.
  public let tile: Tile
  /// The bias that `QuantizedActivations.auxiliary` must be made with on this instruction set.
  public let bias: Int32
}
